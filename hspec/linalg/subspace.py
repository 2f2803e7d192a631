"""Rayleigh-Ritz on a growing orthonormal basis: the machinery below `eigsh`."""

from dataclasses import dataclass

import numpy as np
import torch

from hspec.linalg.deflation import orthonormal_basis
from hspec.linalg.inner_products import cross, norms
from hspec.linalg.operator import LinearOperator
from hspec.linalg.symmetry import SYMMETRY, asymmetry_error

FLOOR = 50.0  # residuals below FLOOR · eps · ‖A‖ are rounding, and count as converged
TINY = 1e-300  # instead, for the zero matrix
# directions of a block with a smaller singular value, relative to its largest, add nothing
DEPENDENT = 1e-3


@dataclass(frozen=True)
class Ritz:
    """The wanted Ritz pairs, as far as the subspace has them.

    values, residuals (k,), descending by value; edges (k,) is |λ_k| of each pair's own end
    floor              what counts as rounding
    vectors            (p, k), and directions A q − λ q (p, k): where residuals are computed
    """

    values: np.ndarray
    residuals: np.ndarray
    edges: np.ndarray
    floor: float
    vectors: torch.Tensor | None = None
    directions: torch.Tensor | None = None

    def slack(self, tol: float) -> np.ndarray:
        """How far from an eigenvalue each pair may be, (k,)."""
        return np.maximum(tol * self.edges, self.floor)

    def unconverged(self, tol: float) -> np.ndarray:
        """Indices of the pairs still to work on, largest residual first."""
        left = np.flatnonzero(self.residuals > self.slack(tol))
        return left[np.argsort(-self.residuals[left])]


class Subspace:
    """Orthonormal rows V (j, p) with A V beside them, T = V A Vᵀ, and what A V has outside of V.

    A V − T V vanishes but for its last rows, as long as each block added spans the `outside` (b, p)
    left by the one before: so residuals of Ritz pairs are known from b-by-b inner products, without
    a pass over V.
    """

    def __init__(self, A: LinearOperator, which: str, check: bool):
        self.A, self.which, self.check = A, which, check
        removed = 0 if A.removed_basis is None else A.removed_basis.shape[1]
        self.dimension = A.shape[0] - removed  # what a deflation has taken out is not looked into
        self.size = self.count = self.num_products = 0

    def allocate(self, size: int) -> None:
        """Memory for `size` rows."""
        self.size, p = size, self.A.shape[0]
        options = {"dtype": self.A.dtype, "device": self.A.device}
        self.V, self.AV = torch.empty(size, p, **options), torch.empty(size, p, **options)
        self.T = np.zeros((size, size))

    @property
    def is_whole(self) -> bool:
        return self.count == self.dimension

    @property
    def rounding(self) -> float:
        """eps ‖A‖, as far as the subspace knows A."""
        return torch.finfo(self.A.dtype).eps * np.abs(self.T[: self.count, : self.count]).max()

    def extend(self, X: torch.Tensor) -> None:
        """Add the rows X (b, p), made orthonormal to V; one product each."""
        X = self._orthonormal(X)
        j, b = self.count, len(X)
        new = slice(j, j + b)
        self.V[new] = X
        self.AV[new] = (self.A @ X.T).T if b > 1 else self.A @ X[0]
        self.num_products += b
        self.count = j + b
        rows = cross(self.V[: j + b], self.AV[new])
        self.outside = self.AV[new] - rows.T.to(self.V.dtype) @ self.V[: j + b]
        self.outside_gram = _gram(self.outside)
        self._fill(j, rows.cpu().numpy())

    def _fill(self, j: int, rows: np.ndarray) -> None:
        """T's new rows and columns from V A V_newᵀ (j + b, b)."""
        if not np.isfinite(rows).all():
            raise FloatingPointError(
                f"{self.A} @ v is not finite: look for overflow or nan in the operator."
            )
        new = slice(j, self.count)
        self.T[: self.count, new] = rows
        self.T[new, : self.count] = rows.T
        self.T[new, new] = (rows[j:] + rows[j:].T) / 2
        if j and self.check:
            self._check_symmetry(j, rows)
            self.check = False

    def _orthonormal(self, X: torch.Tensor) -> torch.Tensor:
        """X orthonormal, and orthogonal to V; directions that are nearly V's or each
        other's are dropped.
        """
        V = self.V[: self.count]
        for _ in range(2):
            X = _unit_rows(X)
            if self.count:
                X = X - cross(X, V).to(X.dtype) @ V
            X = _unit_rows(X) if len(X) == 1 else orthonormal_basis(X.T, DEPENDENT).T
        return X.contiguous()

    def _check_symmetry(self, j: int, rows: np.ndarray) -> None:
        mirrored = cross(self.AV[:j], self.V[j : self.count]).cpu().numpy()
        off, size = np.abs(mirrored - rows[:j]).max(), np.abs(self.T).max()
        if off > SYMMETRY[self.A.dtype] * size:
            raise asymmetry_error(self.A, off, size, self.V[0])

    def ritz(self, k: int, *, exact: bool) -> Ritz:
        """The k wanted pairs of T (2k for both ends): with vectors and computed residuals,
        or with estimated ones.
        """
        theta, S = np.linalg.eigh(self.T[: self.count, : self.count])
        wanted = 2 * k if self.which == "both" else k
        chosen = np.sort(outermost(self.count, self.which)[:wanted])[::-1]
        edges = _edges(theta, chosen, k, self.which)
        values, S = theta[chosen], S[:, chosen]
        floor = max(FLOOR * torch.finfo(self.A.dtype).eps * np.abs(theta).max(), TINY)
        if not exact:
            last = S[self.count - len(self.outside_gram) :]  # (b, k)
            squares = np.sum(last * (self.outside_gram @ last), 0)
            return Ritz(values, np.sqrt(np.maximum(squares, 0.0)), edges, floor)
        rotation = torch.from_numpy(S.T.copy()).to(self.V)
        vectors, directions = (
            rotation @ self.V[: self.count],
            rotation @ self.AV[: self.count],
        )  # rows
        directions.addcmul_(vectors, torch.from_numpy(values).to(self.V)[:, None], value=-1)
        residuals = norms(directions).cpu().numpy()
        return Ritz(values, residuals, edges, floor, vectors.T, directions.T)

    def restart(self, keep: int, fixed: int = 0) -> None:
        """Thick restart: of the rows after the first `fixed` keep the outermost Ritz
        vectors only, outermost first.
        """
        part = slice(fixed, self.count)
        theta, S = np.linalg.eigh(self.T[part, part])
        chosen = outermost(len(theta), self.which)[:keep]
        new, S = slice(fixed, fixed + len(chosen)), S[:, chosen]
        coupling = self.T[:fixed, part] @ S
        rotation = torch.from_numpy(S.T.copy()).to(self.V)
        self.V[new] = rotation @ self.V[part]
        self.AV[new] = rotation @ self.AV[part]
        self.T[fixed:] = self.T[:, fixed:] = 0.0
        self.T[new, new] = np.diag(theta[chosen])
        self.T[:fixed, new], self.T[new, :fixed] = coupling, coupling.T
        self.count = new.stop


def outermost(m: int, which: str) -> np.ndarray:
    """The indices of m ascending values, those at the wanted end first;
    of both ends by turns."""
    up = np.arange(m)
    both = np.stack([up[::-1], up], 1).ravel()[:m]
    return {"largest": up[::-1], "smallest": up, "both": both}[which]


def _edges(theta: np.ndarray, chosen: np.ndarray, k: int, which: str) -> np.ndarray:
    """|λ_k| at each chosen pair's end; of all values the largest,
    as long as both ends are not apart.
    """
    m = len(theta)
    if which == "both" and 2 * k > m:
        return np.full(len(chosen), np.abs(theta).max())
    k = min(k, m)
    top, bottom = np.abs(theta[m - k]), np.abs(theta[k - 1])
    edges = {"largest": [top] * k, "smallest": [bottom] * k, "both": [top] * k + [bottom] * k}
    return np.array(edges[which])


def _unit_rows(X: torch.Tensor) -> torch.Tensor:
    """Rows of length one: to the right size first, since float32 holds few squares,
    and then to rounding.
    """
    X = X / norms(X)[:, None].to(X.dtype)
    return X / cross(X, X).diagonal().sqrt()[:, None].to(X.dtype)


def _gram(X: torch.Tensor) -> np.ndarray:
    """X Xᵀ (b, b), without squares of numbers whose squares float32 does not hold."""
    sizes = norms(X)
    if len(X) == 1:
        return sizes.square()[:, None].cpu().numpy()
    unit = X / torch.where(sizes > 0, sizes, 1.0)[:, None].to(X.dtype)
    return (sizes[:, None] * cross(unit, unit) * sizes).cpu().numpy()
