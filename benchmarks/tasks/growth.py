"""How time grows with N, p and m, beside the laws: products linear in N and p, reorthogonalisation
4 m² p bytes (each float32 row of the basis read twice a step)."""

import torch

from benchmarks.nets import fresh_net
from benchmarks.options import Measurements, Options
from benchmarks.peers.instrument import risk_of
from benchmarks.timing import interleaved
from hspec.curvature import hessian
from hspec.linalg import LinearOperator, lanczos

EXAMPLES = (250, 500, 1000, 2000, 4000)
WIDTHS = (0.25, 0.5, 1.0, 2.0)
STEPS = (16, 32, 64, 128)
DIMENSION = 1_000_000  # of the diagonal matrix on which reorthogonalisation is all the work


class Diagonal(LinearOperator):
    """A matrix whose products cost next to nothing."""

    def __init__(self, entries: torch.Tensor):
        super().__init__(len(entries), entries.dtype, entries.device, "D")
        self.entries = entries

    def _matmat(self, X):
        return self.entries[:, None] * X


def measure(options: Options) -> Measurements:
    """Series of (x, seconds): one product against N and against p on net b,
    Lanczos against m on a diagonal matrix.
    """
    options.report("growth with N, p and m")
    rounds = 1 if options.quick else 5
    yield (
        "examples",
        _product_series(
            options, {n: {"num_examples": n} for n in _some(EXAMPLES, options)}, rounds
        ),
    )
    yield (
        "parameters",
        _product_series(options, {w: {"width": w} for w in _some(WIDTHS, options)}, rounds),
    )
    yield "steps", _lanczos_series(options, rounds)


def _some(values, options: Options):
    return values[:2] if options.quick else values


def _product_series(options: Options, variants: dict, rounds: int) -> dict:
    calls, sizes = {}, {}
    for name, kwargs in variants.items():
        net = fresh_net("b", quick=options.quick, device=options.device, **kwargs)
        v = torch.randn(net.num_parameters, generator=torch.Generator().manual_seed(0)).to(
            net.device
        )
        A = hessian(risk_of(net))
        calls[str(name)] = lambda A=A, v=v: A @ v
        sizes[str(name)] = (net.num_examples, net.num_parameters)
    times = interleaved(calls, rounds, options.device)
    rows = [(*sizes[name], times.fastest(name)) for name in calls]
    return {
        "num_examples": [r[0] for r in rows],
        "num_parameters": [r[1] for r in rows],
        "seconds": [r[2] for r in rows],
    }


def _lanczos_series(options: Options, rounds: int) -> dict:
    p = DIMENSION // (100 if options.quick else 1)
    generator = torch.Generator().manual_seed(0)
    A = Diagonal(torch.rand(p, generator=generator).to(options.device))
    v = torch.randn(p, generator=generator).to(options.device)
    steps = _some(STEPS, options)
    kinds = ("full", "partial", "none")
    calls = {
        f"{kind} {m}": lambda kind=kind, m=m: lanczos(A, v, m, reorthogonalize=kind)
        for kind in kinds
        for m in steps
    }
    row = torch.randn(256, p, device=options.device)
    times = interleaved(calls | {"stream": lambda: row @ v}, rounds, options.device)
    return {
        "num_parameters": p,
        "num_steps": list(steps),
        "seconds": {kind: [times.fastest(f"{kind} {m}") for m in steps] for kind in kinds},
        "bytes_per_second": row.nbytes / times.fastest("stream"),
    }
