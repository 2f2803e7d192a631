"""Memory beside its laws: graphs linear in N beside a constant, a Lanczos basis of m·p numbers;
a process a point.
"""

import multiprocessing
import resource

import torch

from benchmarks.nets import fresh_net
from benchmarks.options import Measurements, Options
from benchmarks.peers.instrument import risk_of
from hspec.curvature import hessian
from hspec.linalg import lanczos

EXAMPLES = (8, 16, 32, 64)  # of net c
STEPS = (16, 32, 64, 128)  # on net b


def measure(options: Options) -> Measurements:
    """{"graphs": growth of the process over N with graphs kept and rebuilt, "basis":
    the same over m}, in bytes.
    """
    options.report("memory against N and m")
    examples, steps = (EXAMPLES[:2], STEPS[:2]) if options.quick else (EXAMPLES, STEPS)
    device = str(options.device)
    kept = [_in_new_process(_product_memory, n, options.quick, device, None) for n in examples]
    yield (
        "graphs",
        {
            "num_examples": list(examples),
            "accounted": [accounted for _, accounted in kept],
            "kept": [grown for grown, _ in kept],
            "rebuilt": [
                _in_new_process(_product_memory, n, options.quick, device, 0)[0] for n in examples
            ],
        },
    )
    yield (
        "basis",
        {
            "num_steps": list(steps),
            "num_parameters": fresh_net("b", quick=options.quick).num_parameters,
            "grown": [_in_new_process(_lanczos_memory, m, options.quick, device) for m in steps],
        },
    )


def _in_new_process(function, *arguments):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _product_memory(
    num_examples: int, quick: bool, device: str, budget: int | None
) -> tuple[int, int]:
    """(growth of the peak during two products on net c, bytes that the risk accounts for
    its kept graphs).
    """
    net = fresh_net("c", quick=quick, device=device, num_examples=num_examples)
    v = torch.randn(net.num_parameters).to(device)
    before = _peak(device)
    risk = risk_of(net, memory_budget=budget)
    for _ in range(2):
        hessian(risk) @ v
    return _peak(device) - before, risk.graphs.kept_bytes


def _lanczos_memory(num_steps: int, quick: bool, device: str) -> int:
    """Growth of the peak during Lanczos on net b, above that of a run of two steps."""
    net = fresh_net("b", quick=quick, device=device)
    A, v = hessian(risk_of(net)), torch.randn(net.num_parameters).to(device)
    lanczos(A, v, 2)
    before = _peak(device)
    lanczos(A, v, num_steps)
    return _peak(device) - before


def _peak(device: str) -> int:
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
