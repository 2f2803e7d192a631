"""Rayleigh-Ritz on a growing orthonormal basis: the machinery below `eigsh`."""

from dataclasses import dataclass

import numpy as np
import torch

from hspec.linalg.deflation import orthonormal_basis
from hspec.linalg.inner_products import cross, norms
from hspec.linalg.recurrence import SYMMETRY
from hspec.linalg.tridiagonal import select

FLOOR = 50.0  # residuals below FLOOR · eps · ‖A‖ are rounding, and count as converged
DEPENDENT = 1e-3  # directions of a block with a smaller singular value, relative to its largest, add nothing


@dataclass(frozen=True)
class Ritz:
    """The wanted Ritz pairs, as far as the subspace has them; `edges` is |λ_k| of each pair's own end."""

    values: np.ndarray
    residuals: np.ndarray
    edges: np.ndarray
    floor: float
    vectors: torch.Tensor | None = (
        None  # (p, k), and directions A q − λ q (p, k): where residuals are computed
    )
    directions: torch.Tensor | None = None

    def unconverged(self, tol: float) -> np.ndarray:
        """Indices of the pairs still to work on, largest residual first."""
        left = np.flatnonzero(self.residuals > np.maximum(tol * self.edges, self.floor))
        return left[np.argsort(-self.residuals[left])]

    def is_final(self, settled: np.ndarray | None) -> bool:
        """Whether converged pairs may be believed to be the outermost.

        Residuals at rounding level are the sign of an invariant subspace, outside of which more copies of an
        eigenvalue may lie: then a random direction must have been tried, and have changed nothing.
        """
        if self.residuals.max() > self.floor:
            return True
        if settled is None or len(settled) != len(self.values):
            return False
        return np.allclose(self.values, settled, rtol=0.0, atol=self.floor)


class Subspace:
    """Orthonormal rows V (j, p) with A V beside them, T = V A Vᵀ, and the last products' part outside of V.

    A V − T V vanishes but for its last rows, as long as each block added spans the `outside` (b, p) left by the one
    before: so residuals of Ritz pairs are known from b-by-b inner products, without a pass over V.
    """

    def __init__(self, A, size, check):
        self.A, self.check, self.size = A, check, size
        self.V, self.AV = (torch.empty(size, A.shape[0], dtype=A.dtype, device=A.device) for _ in range(2))
        self.T = np.zeros((size, size))
        self.count = self.num_products = 0

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
        self.outside_gram = cross(self.outside, self.outside).cpu().numpy()
        self._fill(j, rows.cpu().numpy())

    def _fill(self, j: int, rows: np.ndarray) -> None:
        """T's new rows and columns from V A V_newᵀ (j + b, b)."""
        if not np.isfinite(rows).all():
            raise FloatingPointError(f"{self.A} @ v is not finite: look for overflow or nan in the operator.")
        new = slice(j, self.count)
        self.T[: self.count, new] = rows
        self.T[new, : self.count] = rows.T
        self.T[new, new] = (rows[j:] + rows[j:].T) / 2
        if j and self.check:
            self._check_symmetry(j, rows)
            self.check = False

    def _orthonormal(self, X: torch.Tensor) -> torch.Tensor:
        """X orthonormal, and orthogonal to V; directions that are nearly V's or each other's are dropped."""
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
            raise ValueError(
                f"{self.A} is not symmetric, or changes between two products: u·Av and v·Au differ by {off:.3g}, "
                f"its entries in the basis reach {size:.3g}. Pass (A + A.T) / 2, switch dropout and shuffling off, "
                "or pass check=False if this is rounding."
            )

    def ritz(self, k: int, which: str, *, exact: bool) -> Ritz:
        """The wanted pairs of T; with their vectors and computed residuals, or with estimated residuals only."""
        theta, S = np.linalg.eigh(self.T[: self.count, : self.count])
        chosen, edges = _wanted(theta, k, which)
        values, S = theta[chosen], S[:, chosen]
        floor = FLOOR * torch.finfo(self.A.dtype).eps * np.abs(theta).max()
        if not exact:
            last = S[self.count - len(self.outside_gram) :]  # (b, k)
            residuals = np.sqrt(np.maximum(np.sum(last * (self.outside_gram @ last), 0), 0.0))
            return Ritz(values, residuals, edges, floor)
        S = torch.from_numpy(S).to(self.V)
        vectors = self.V[: self.count].T @ S
        directions = self.AV[: self.count].T @ S - vectors * torch.from_numpy(values).to(self.V)
        residuals = norms(directions.T.contiguous()).cpu().numpy()
        return Ritz(values, residuals, edges, floor, vectors, directions)

    def restart(self, which: str, keep: int) -> None:
        """Thick restart: keep the leading Ritz vectors only."""
        theta, S = np.linalg.eigh(self.T[: self.count, : self.count])
        ends = (keep + 1) // 2 if which == "both" else keep
        chosen, _ = _wanted(theta, ends, which)
        S = torch.from_numpy(S[:, chosen].T).to(self.V)
        self.V[: len(chosen)] = S @ self.V[: self.count]
        self.AV[: len(chosen)] = S @ self.AV[: self.count]
        self.T[:] = 0.0
        self.count = len(chosen)
        self.T[: self.count, : self.count] = np.diag(theta[chosen])


def _unit_rows(X: torch.Tensor) -> torch.Tensor:
    return X / cross(X, X).diagonal().sqrt()[:, None].to(X.dtype)


def _wanted(theta: np.ndarray, k: int, which: str) -> tuple[np.ndarray, np.ndarray]:
    """As `select`, of as many pairs as there are; and |λ_k| at each pair's end."""
    m = len(theta)
    if which == "both" and 2 * k > m:
        return np.arange(m)[::-1], np.full(m, np.abs(theta).max())
    k = min(k, m)
    chosen = select(theta, k, which, "Ritz pairs")
    top, bottom = np.abs(theta[m - k]), np.abs(theta[k - 1])
    edges = {"largest": [top] * k, "smallest": [bottom] * k, "both": [top] * k + [bottom] * k}[which]
    return chosen, np.array(edges)
