"""Finished Lanczos runs on disk: the scalars only, kilobytes,
from which a quadrature is known."""

from pathlib import Path

import numpy as np
import torch

from hspec.linalg.checkpoint import checksum, read_piece, write_piece
from hspec.linalg.inner_products import norms
from hspec.linalg.operator import LinearOperator
from hspec.linalg.symmetry import SYMMETRY
from hspec.linalg.tridiagonal import Tridiagonal


class Finished:
    """What is left at `path` of runs from `starts` (n_v, p): their α and β,
    and nothing as long as p. Of several ranks, the first one reads and writes for all.
    """

    def __init__(self, path: Path, A: LinearOperator, starts: torch.Tensor, settings: str) -> None:
        self.path, self.A, self.starts = path, A, starts
        self.fingerprint = {
            "operator": f"{A.name} {A.shape} {A.dtype}",
            "start": checksum(starts),
            "settings": settings,
        }

    def save(self, runs: list[Tridiagonal]) -> None:
        """Keep the runs, without their bases."""
        scalars = [np.stack([run.alphas, np.append(run.betas, run.residual_norm)]) for run in runs]
        lengths = torch.tensor([s.shape[1] for s in scalars])
        both = torch.from_numpy(np.hstack(scalars))
        with self.A.ranks.agreed():
            if self.A.ranks.rank == 0:
                write_piece(self.path, self.fingerprint, {"lengths": lengths, "scalars": both})

    def load(self, *, test: bool) -> list[Tridiagonal] | None:
        """The runs, or None where they are not there; `test` makes one product, to see that A is
        what it was.

        Raises ValueError for runs of another operator, start or setting, or for another matrix of
        its name.
        """
        piece = self.A.ranks.told(lambda: read_piece(self.path, self.fingerprint))
        if piece is None:
            return None
        parts = piece["scalars"].split(piece["lengths"].tolist(), dim=1)
        if test:
            self._require_same_matrix(*parts[0][:, 0].tolist())
        return [
            Tridiagonal(a, b[:-1], None, None, float(b[-1])) for a, b in (s.numpy() for s in parts)
        ]

    def _require_same_matrix(self, alpha: float, beta: float) -> None:
        """A q_1 = α_1 q_1 + β_1 q_2: its part along q_1, and its length."""
        q = self.starts[:1] / norms(self.starts[:1])[:, None].to(self.starts.dtype)
        w = (self.A @ q[0])[None]
        along, length = float(q.double() @ w.double().T), float(norms(w))
        if (
            max(abs(along - alpha), abs(length - np.hypot(alpha, beta)))
            > SYMMETRY[self.A.dtype] * length
        ):
            raise ValueError(
                f"{self.A} is no longer the matrix whose run {self.path} holds: delete "
                f"{self.path.parent}, "
                "or name another checkpoint folder."
            )
