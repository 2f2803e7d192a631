"""One vector at a time, or several in one backward sweep: measured once for each kind of product, then kept."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

MAX_BLOCK = 16  # vectors in one sweep: bounds the memory of a sweep to this many times that of one vector


class Blocks:
    """How many vectors each kind of product takes in one sweep; `sizes` shows the choices and may be set by hand."""

    def __init__(self):
        self.sizes: dict[str, int] = {}

    def __str__(self) -> str:
        return ", ".join(f"{kind} in blocks of {size}" for kind, size in self.sizes.items())

    def map(self, kind: str, product: Callable[[Tensor], Tensor], V: Tensor) -> Tensor | tuple[Tensor, ...]:
        """product over V's rows (k, ...), cut into blocks of the chosen size, concatenated again."""
        if len(V) == 1:
            return product(V)
        if kind not in self.sizes:
            self.sizes[kind] = _faster_size(product, V)
        parts = [product(block) for block in V.split(self.sizes[kind])]
        if isinstance(parts[0], Tensor):
            return torch.cat(parts)
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _faster_size(product, V: Tensor) -> int:
    """MAX_BLOCK (or fewer, if V has fewer rows) where a block costs less than its rows one by one; else 1."""
    block = V[:MAX_BLOCK]
    product(block[:1])  # warm up
    alone = min(_seconds(product, block[:1]) for _ in range(2))
    together = min(_seconds(product, block) for _ in range(2))
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
