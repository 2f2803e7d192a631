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

    Args:
        vectors: keep what is asked for as well, and take for the same what is so to rounding;
            `with_product` then hands back that of which the product is. Sums over another number of
            ranks round otherwise, and so do another machine's. It takes 2p numbers a product: a
            vector made anew from products that are kept differs by rounding that grows each step.
    """

    def __init__(
        self,
        A: LinearOperator,
        folder: str | os.PathLike,
        every: int = EVERY,
        *,
        vectors: bool = False,
    ) -> None:
        super().__init__(A.name, A)
        size = A.shape[0] * A.dtype.itemsize * (1 + vectors)
        self.folder, self.vectors, most = Path(folder), vectors, max(1, PIECE // size)
        self.every = min(whole_number(every, "checkpoint_every"), most)
        self.fingerprint = {"operator": f"{A.name} {A.shape} {A.dtype}"}
        self.past = self._stored() if self.ranks.rank == 0 else iter(())
        # since the last piece: checksum of X, (A X)ᵀ, and Xᵀ where vectors are kept
        self.recent: list[tuple[int, torch.Tensor, torch.Tensor]] = []
        self.num_calls = 0
        self.is_new = False  # whether one of the recent products is not on disk

    def _matmat(self, X: torch.Tensor) -> torch.Tensor:
        return self._recall(X)[1]

    def with_product(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._check(X, "multiplied by")
        return self._recall(X)

    def _recall(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.num_calls += 1
        rows = X.T.contiguous()
        asked, nothing = int(checksum(X), 16), torch.empty_like(rows)
        with self.ranks.agreed():
            stored, found, given = next(self.past, (None, nothing, nothing))
        is_same = asked == stored
        is_close = self.vectors and not is_same and stored is not None
        is_close = is_close and _are_close(given.to(rows), rows)
        is_same, is_close = self.ranks.gather((is_same, is_close))[0]
        if is_close:
            asked, rows = stored, self.ranks.first(given.to(rows, copy=True))
        if is_same or is_close:
            product = self.ranks.first(found.to(rows)).T
            self._check_first(rows.T, product)
        else:
            if stored is not None:
                self._forget_the_rest()
            product, self.is_new = self.parts[0]._matmat(X), True
        kept = rows.clone() if self.vectors else rows.new_empty(0, rows.shape[1])
        self.recent.append((asked, product.T, kept))
        if len(self.recent) == self.every:
            self.flush()
        return (rows.T if is_close else X), product

    def flush(self) -> None:
        """Write what is not on disk yet: for the end of a computation."""
        with self.ranks.agreed():
            if self.is_new and self.ranks.rank == 0:
                self._write()
        self.recent, self.is_new = [], False

    def _write(self) -> None:
        asked, rows, given = zip(*self.recent, strict=True)
        piece = {
            "first": torch.tensor(self.num_calls - len(rows) + 1),
            "asked": torch.tensor(asked),
            "widths": torch.tensor([len(Y) for Y in rows]),
            "rows": torch.cat(rows),
            "given": torch.cat(given),
        }
        write_piece(self._path(self.num_calls), self.fingerprint, piece)

    def forget(self) -> None:
        """Remove the products from disk, the latest first."""
        for path in self._paths()[::-1] if self.ranks.rank == 0 else []:
            path.unlink(missing_ok=True)

    def _stored(self) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """The products on disk, in order and without a gap: the checksum of X, (A X)ᵀ (k, p), and
        Xᵀ (k, p), or (0, p) where it was not kept.
        """
        known = 0
        for path in self._paths():
            piece = read_piece(path, self.fingerprint)
            if piece is None or piece["first"] > known + 1:
                return
            widths = piece["widths"].tolist()
            rows, given = piece["rows"], piece.get("given", piece["rows"][:0])
            kept = given.split(widths) if len(given) else [given] * len(widths)
            seen = known + 1 - int(piece["first"])  # already read from a piece of another length
            asked = piece["asked"].tolist()
            yield from list(zip(asked, rows.split(widths), kept, strict=True))[seen:]
            known = max(known, int(piece["first"]) + len(widths) - 1)

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


def _are_close(given: torch.Tensor, rows: torch.Tensor) -> bool:
    """Whether the rows are the same to rounding: to a tenth of the loss of orthogonality that a
    Lanczos run mends, see `Partial`.
    """
    if given.shape != rows.shape:
        return False
    tolerance = torch.finfo(rows.dtype).eps ** 0.5 / 10
    return bool((norms(given - rows) <= tolerance * norms(rows)).all())


def _last(path: Path) -> int:
    return int(path.stem.split("-")[1])
