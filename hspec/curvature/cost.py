"""What products with a risk's matrices will take, found out before they are asked for:
memory and time.
"""

import time
from dataclasses import dataclass

import torch

from hspec.curvature.engine.memory import free_memory
from hspec.curvature.risk import Risk
from hspec.linalg.operator import LinearOperator


@dataclass(frozen=True)
class GraphMemory:
    """Bytes that the first-order graphs of a sample take.

    Attributes:
        num_batches: graphs there are; num_fitting: that fit in the budget together, in order.
        graph_bytes: of all of them; budget: what they may take; free: what the device has free now.
    """

    num_batches: int
    num_fitting: int
    graph_bytes: int
    budget: int
    free: int


def graph_memory(risk: Risk) -> GraphMemory:
    """The memory of a risk's graphs, by the sizes found on a few examples; goes through the data
    once.

    Example:
        >>> net = torch.nn.Linear(4, 3)
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1]))])
        >>> memory = graph_memory(risk)
        >>> memory.num_batches, memory.num_fitting
        (1, 1)
    """
    with risk.graphs.lock, risk.graphs.numerics:
        plan = risk.graphs.planned()
        sizes = [plan.num_bytes(batch) for batch in risk.data]
    fitting, used = 0, 0
    for size in sizes:
        if used + size <= risk.memory_budget:
            fitting, used = fitting + 1, used + size
    return GraphMemory(
        len(sizes), fitting, sum(sizes), risk.memory_budget, free_memory(risk.device)
    )


def seconds_of_product(A: LinearOperator, num_columns: int = 1) -> float:
    """Seconds that A @ X takes for a block of columns: by one product, waited for.

    The first product with a risk's matrices also builds the graphs: time the second one.
    """
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(A.shape[0], num_columns, generator=generator).to(A.device, A.dtype)
    _wait(A.device)
    start = time.perf_counter()
    A @ X
    _wait(A.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
