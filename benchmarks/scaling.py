"""What products cost on many GPUs: flops, bytes kept and bytes moved, from counts made here and a
machine's data sheet.

Run as `python -m benchmarks.scaling`, it prints the table of the page *Beyond one machine*.
"""

import functools
import operator
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hspec.curvature import Risk, hessian

SUSTAINED = 2e13  # flop/s of one GPU in float32 (assumed: a third of an H100's 67 Tflop/s)
LINK = 5e10  # byte/s in and out of one GPU (assumed: 400 Gbit/s)
BYTES = 4  # of a float32


@dataclass(frozen=True)
class Problem:
    """A net and a sample: parameters p, flops of a forward pass an example, examples,
    Lanczos steps.
    """

    name: str
    parameters: float
    forward: float
    examples: float
    steps: int


# Parameters and flops of a forward pass are the nets' published ones; 2 p flops a token for a
# transformer.
PROBLEMS = (
    Problem("ResNet-50, ImageNet", 25.6e6, 8.2e9, 1.28e6, 128),
    Problem("transformer 7B, 2²⁰ tokens", 7e9, 14e9, 2**20, 64),
)


def counted(net: nn.Module, x: torch.Tensor) -> dict[str, float]:
    """Flops of a gradient and of a product with the Hessian, in forward passes;
    the graph built anew, or kept.
    """
    y = torch.zeros(len(x), dtype=torch.long)

    def flops(work) -> int:
        with FlopCounterMode(display=False) as counter:
            work()
        return counter.get_total_flops()

    def gradient() -> None:
        loss = nn.functional.cross_entropy(net(x), y)
        torch.autograd.grad(loss, list(net.parameters()))

    forward = flops(lambda: net(x))
    found = {"gradient": flops(gradient) / forward}
    for name, budget in {"built": 0, "kept": None}.items():
        A = hessian(Risk.from_module(net, [(x, y)], memory_budget=budget, check=False))
        v = torch.ones(A.shape[0])
        A @ v  # plans, and builds what is kept
        found[name] = flops(functools.partial(operator.matmul, A, v)) / forward
    return found


def cost(problem: Problem, ranks: int, forwards: float) -> dict[str, float]:
    """Of one product and of a quadrature on `ranks` GPUs, a product taking `forwards` forward
    passes.

    Seconds of arithmetic and of the all-reduce, which moves 2 (W − 1)/W vectors in and out of every
    GPU; bytes of a vector and of a rank's part of the basis; the share of the time that is
    arithmetic.
    """
    vector = BYTES * problem.parameters
    arithmetic = forwards * problem.forward * problem.examples / ranks / SUSTAINED
    moved = 2 * (ranks - 1) / ranks * vector
    return {
        "arithmetic": arithmetic,
        "reduction": moved / LINK,
        "moved": moved,
        "vector": vector,
        "basis": problem.steps * vector / ranks,
        "efficiency": arithmetic / (arithmetic + moved / LINK),
    }


def table(forwards: float, ranks: tuple[int, ...] = (8, 64)) -> str:
    """The page's table, in Markdown."""
    rows = [
        "| problem | GPUs | arithmetic, s | all-reduce, s | moved, GB | vector, GB | basis a GPU, "
        "GB | efficiency |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for problem in PROBLEMS:
        for n in ranks:
            c = cost(problem, n, forwards)
            rows.append(
                f"| {problem.name} | {n} | {c['arithmetic']:.3g} | {c['reduction']:.2g} | "
                f"{c['moved'] / 1e9:.3g} | "
                f"{c['vector'] / 1e9:.3g} | {c['basis'] / 1e9:.3g} | {c['efficiency']:.3f} |"
            )
    return "\n".join(rows)


def example() -> dict[str, float]:
    """`counted` for a small convolutional net."""
    net = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 64, 10),
    )
    return counted(net, torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


if __name__ == "__main__":
    forwards = example()
    print({name: round(value, 2) for name, value in forwards.items()})
    print(table(forwards["built"]))
