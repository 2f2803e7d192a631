"""One vector at a time, or several in one backward sweep: measured once for each kind of product, then kept."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

MAX_BLOCK = 16  # vectors in one sweep: bounds the memory of a sweep to this many times that of one vector


class Blocks:
    """How many vectors each kind of product takes in one sweep; `sizes` shows the choices and may be set by hand.

    Convolutions on a CPU are not measured: their matrix products are large enough for one vector.
    """

    def __init__(self, parameters: list[Tensor]):
        self.sizes: dict[str, int] = {}
        self.may_pay = parameters[0].device.type != "cpu" or all(q.dim() <= 2 for q in parameters)

    def __str__(self) -> str:
        return ", ".join(f"{kind} in blocks of {size}" for kind, size in self.sizes.items())

    def map(self, kind: str, product: Callable[[Tensor], Tensor], V: Tensor) -> Tensor:
        """product over V's rows (k, ...), cut into blocks of the chosen size, concatenated again."""
        parts = [product(block) for block in V.split(self.size(kind, product, V))]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def size(self, kind: str, product: Callable[[Tensor], Tensor], V: Tensor) -> int:
        """The chosen size; measured on rows of V where it is not known yet."""
        if len(V) > 1 and kind not in self.sizes:
            self.sizes[kind] = _faster_size(product, V) if self.may_pay else 1
        return self.sizes.get(kind, 1)


def _faster_size(product, V: Tensor) -> int:
    """MAX_BLOCK where a block of V's rows (at most so many) costs less than its rows one by one; else 1."""
    block = V[:MAX_BLOCK]
    alone, together = (min(_seconds(product, rows) for _ in range(2)) for rows in (block[:1], block))
    return MAX_BLOCK if together < 0.9 * alone * len(block) else 1


def _seconds(product, V: Tensor) -> float:
    _wait(V)
    start = time.perf_counter()
    product(V)
    _wait(V)
    return time.perf_counter() - start


def _wait(V: Tensor) -> None:
    if V.is_cuda:  # only while measuring: products themselves never synchronise
        torch.cuda.synchronize(V.device)
