"""Products kept on disk, so that a computation that was killed need not do them again."""

import os
from collections.abc import Iterator

import torch

from hspec.linalg.checkpoint import Checkpoint, checksum
from hspec.linalg.operator import LinearOperator
from hspec.linalg.recurrence import SYMMETRY


class Remembered(LinearOperator):
    """A, whose products are written to a folder one by one, and read from there as long as the same ones are asked for.

    "The same" is bit by bit: a computation without chance repeats itself to where it was killed, and goes on. Its first
    product is done again, to make sure that A is still the same matrix.

    Raises ValueError for a folder that belongs to another operator.
    """

    def __init__(self, A: LinearOperator, folder: str | os.PathLike):
        super().__init__(A.shape[0], A.dtype, A.device, A.name)
        self.A, self.exact, self.removed_basis = A, A.exact, A.removed_basis
        self.checkpoint = Checkpoint(folder, {"operator": f"{A.name} {A.shape} {A.dtype}"})
        self.past: Iterator[tuple[int, dict]] = iter(self.checkpoint.load())
        self.num_products = 0

    def _matmat(self, X):
        self.num_products += X.shape[1]
        asked = torch.tensor(int(checksum(X), 16))
        _, piece = next(self.past, (0, None))
        if piece is not None and torch.equal(piece["asked"], asked):
            return self._checked(X, piece["product"].to(X))
        self.past = iter(())  # another way from here on
        product = self.A @ X
        self.checkpoint.save(self.num_products, {"asked": asked, "product": product})
        return product

    def _checked(self, X, product):
        if self.num_products == X.shape[1]:
            off, size = (torch.linalg.vector_norm(Y) for Y in (self.A @ X - product, product))
            if off > SYMMETRY[self.dtype] * size:
                raise ValueError(
                    f"{self.A} is no longer the matrix whose products {self.checkpoint.folder} holds: "
                    "delete that folder, or name another."
                )
        return product
