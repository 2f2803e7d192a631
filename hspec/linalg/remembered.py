"""Products kept on disk, so that a computation that was killed need not do them again."""

import os
from collections.abc import Iterator

import torch

from hspec.linalg.checkpoint import Checkpoint, checksum
from hspec.linalg.operator import LinearOperator, Wrapper
from hspec.linalg.symmetry import SYMMETRY

EVERY = 10  # products written at a time: a kill loses fewer than that


class Remembered(Wrapper):
    """A, whose products are written to a folder, and read from there as long as the same ones are asked for.

    "The same" is bit by bit: a computation without chance repeats itself to where it was killed, and goes on. Its first
    product is done again, to make sure that A is still the same matrix.

    Raises ValueError for a folder that belongs to another operator.
    """

    def __init__(self, A: LinearOperator, folder: str | os.PathLike, every: int = EVERY) -> None:
        super().__init__(A.name, A)
        self.A, self.every = A, every
        self.checkpoint = Checkpoint(folder, {"operator": f"{A.name} {A.shape} {A.dtype}"})
        self.past = self._stored()
        self.recent: list[tuple[int, torch.Tensor]] = []  # since the last piece: checksum of X, A X
        self.num_calls = 0

    def _stored(self) -> Iterator[tuple[int, torch.Tensor]]:
        for _, piece in self.checkpoint.load():
            products = piece["products"].split(piece["widths"].tolist(), dim=1)
            yield from zip(piece["asked"].tolist(), products, strict=True)

    def _matmat(self, X):
        self.num_calls += 1
        asked = int(checksum(X), 16)
        stored, product = next(self.past, (None, None))
        if asked == stored:
            product = self._checked(X, product.to(X))
        else:
            self.past = iter(())  # another way from here on
            product = self.A @ X
        self._keep(asked, product, is_new=asked != stored)
        return product

    def _checked(self, X, product):
        if self.num_calls == 1:
            off, size = (torch.linalg.vector_norm(Y) for Y in (self.A @ X - product, product))
            if off > SYMMETRY[self.dtype] * size:
                raise ValueError(
                    f"{self.A} is no longer the matrix whose products {self.checkpoint.folder} holds: "
                    "delete that folder, or name another."
                )
        return product

    def _keep(self, asked: int, product: torch.Tensor, is_new: bool) -> None:
        self.recent.append((asked, product))
        if len(self.recent) < self.every:
            return
        if is_new:
            asked, products = zip(*self.recent, strict=True)
            widths = [Y.shape[1] for Y in products]
            piece = {
                "asked": torch.tensor(asked),
                "widths": torch.tensor(widths),
                "products": torch.cat(products, 1),
            }
            self.checkpoint.save(self.num_calls, piece)
        self.recent = []
