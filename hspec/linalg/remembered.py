"""Resuming is a matrix: products kept on disk, so that a computation that was killed need
not do them again.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from hspec.linalg.arguments import whole_number
from hspec.linalg.checkpoint import checksum, read_piece, write_piece
from hspec.linalg.inner_products import norms
from hspec.linalg.operator import LinearOperator, Wrapper, aslinearoperator
from hspec.linalg.symmetry import SYMMETRY

EVERY = 10  # products written at a time: a kill loses fewer than that
PIECE = 1 << 28  # bytes of them at most, but for a single one


class Remembered(Wrapper):
    """A, whose products are written to a folder, and read from there as long as the same ones are
    asked for.

    "The same" is bit by bit, and in the same order: a computation without chance repeats itself to
    where it was killed, and goes on. Made by `remembered`.

    The folder holds pieces `products-000010.pt`, `products-000020.pt`, …, named by their last
    product. Each states its first one, so a gap ends what is read. Of several ranks, the first one
    reads and writes for all; how many there are makes no difference.
    """

    def __init__(self, A: LinearOperator, folder: str | os.PathLike, every: int = EVERY) -> None:
        super().__init__(A.name, A)
        self.folder, most = Path(folder), max(1, PIECE // (A.shape[0] * A.dtype.itemsize))
        self.every = min(whole_number(every, "checkpoint_every"), most)
        self.fingerprint = {"operator": f"{A.name} {A.shape} {A.dtype}"}
        self.past = self._stored() if self.ranks.rank == 0 else iter(())
        self.recent: list[
            tuple[int, torch.Tensor]
        ] = []  # since the last piece: checksum of X, (A X)ᵀ
        self.num_calls = 0
        self.is_new = False  # whether one of the recent products is not on disk

    def _matmat(self, X: torch.Tensor) -> torch.Tensor:
        self.num_calls += 1
        asked, rows = (
            int(checksum(X), 16),
            torch.empty_like(X.T, memory_format=torch.contiguous_format),
        )
        with self.ranks.agreed():
            stored, found = next(self.past, (None, rows))
        if self.ranks.gather(asked == stored)[0]:
            product = self.ranks.first(found.to(X)).T
            self._check_first(X, product)
        else:
            if stored is not None:
                self._forget_the_rest()
            product, self.is_new = self.parts[0]._matmat(X), True
        self.recent.append((asked, product.T))
        if len(self.recent) == self.every:
            self.flush()
        return product

    def flush(self) -> None:
        """Write what is not on disk yet: for the end of a computation."""
        with self.ranks.agreed():
            if self.is_new and self.ranks.rank == 0:
                self._write()
        self.recent, self.is_new = [], False

    def _write(self) -> None:
        asked, rows = zip(*self.recent, strict=True)
        piece = {
            "first": torch.tensor(self.num_calls - len(rows) + 1),
            "asked": torch.tensor(asked),
            "widths": torch.tensor([len(Y) for Y in rows]),
            "rows": torch.cat(rows),
        }
        write_piece(self._path(self.num_calls), self.fingerprint, piece)

    def forget(self) -> None:
        """Remove the products from disk, the latest first."""
        for path in self._paths()[::-1] if self.ranks.rank == 0 else []:
            path.unlink(missing_ok=True)

    def _stored(self) -> Iterator[tuple[int, torch.Tensor]]:
        """The products on disk, in order and without a gap: the checksum of X,
        and (A X)ᵀ (k, p).
        """
        known = 0
        for path in self._paths():
            piece = read_piece(path, self.fingerprint)
            if piece is None or piece["first"] > known + 1:
                return
            rows = piece["rows"].split(piece["widths"].tolist())
            seen = known + 1 - int(piece["first"])  # already read from a piece of another length
            yield from list(zip(piece["asked"].tolist(), rows, strict=True))[seen:]
            known = max(known, int(piece["first"]) + len(rows) - 1)

    def _check_first(self, X: torch.Tensor, product: torch.Tensor) -> None:
        """Make the first product again, to see that A is still the same matrix."""
        if self.num_calls > 1:
            return
        A = self.parts[0]
        if bool((norms((A @ X - product).T) > SYMMETRY[self.dtype] * norms(product.T)).any()):
            raise ValueError(
                f"{A} is no longer the matrix whose products {self.folder} holds: delete that "
                "folder, or name "
                "another."
            )

    def _forget_the_rest(self) -> None:
        """What was kept is of another way from here on."""
        self.past = iter(())
        for path in self._paths()[::-1]:
            if _last(path) >= self.num_calls:
                path.unlink(missing_ok=True)
        self.is_new = True  # a piece that held the recent ones may be gone

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("products-*.pt"), key=_last)

    def _path(self, last: int) -> Path:
        return self.folder / f"products-{last:06d}.pt"


def remembered(
    A: LinearOperator | torch.Tensor, folder: str | os.PathLike, every: int = EVERY
) -> Remembered:
    """A with a memory on disk: any algorithm that is run on it again finds its products there,
    after a kill too.

    `lanczos`, `slq` and `eigsh` do this where they are given a folder as `checkpoint`. Products are
    compared bit by bit with those asked for, so a run with other arguments uses what it can, and
    then its own; the first product is made again, to see that A is still the same matrix.

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p).
        folder: made where there is none; one for each computation. It takes p numbers a product.
        every: products written at a time; a kill loses fewer than that. `flush()` writes the rest.

    Returns:
        An operator with the facts of A.

    Raises:
        ValueError: the folder belongs to another operator (at the first product).
        OSError: it cannot be written; what is there stays.

    Example:
        >>> import tempfile
        >>> A = remembered(torch.diag(torch.tensor([1.0, 2.0])), tempfile.mkdtemp())
        >>> A @ torch.ones(2)
        tensor([1., 2.])
    """
    return Remembered(aslinearoperator(A), folder, every)


def _last(path: Path) -> int:
    return int(path.stem.split("-")[1])
