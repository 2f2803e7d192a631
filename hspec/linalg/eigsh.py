"""The ends of a spectrum, to a stated residual, from few products."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from hspec.linalg.deflation import orthonormal_basis
from hspec.linalg.memory import empty
from hspec.linalg.operator import LinearOperator, aslinearoperator
from hspec.linalg.pairs import EigenPairs
from hspec.linalg.recurrence import SYMMETRY
from hspec.linalg.trace import draw_probe
from hspec.linalg.tridiagonal import select

FLOOR = 50.0  # residuals below FLOOR · eps · ‖A‖ are rounding, and count as converged

NOISE = 0.1  # of a random direction, beside the start vectors given
DEPENDENT = (
    1e-3  # a block's directions with a smaller singular value than this share of the largest add nothing
)


def eigsh(
    A: LinearOperator | torch.Tensor,
    k: int,
    *,
    which: str = "largest",
    start: torch.Tensor | None = None,
    tol: float = 1e-3,
    max_products: int | None = None,
    block_size: int = 1,
    max_basis: int | None = None,
    generator: torch.Generator,
    callback: Callable[[int], None] | None = None,
    check: bool = True,
) -> EigenPairs:
    """k eigenpairs at one end or both ends of the spectrum, each with residual ‖A q − λ q‖ ≤ tol · |λ_k|.

    which          "largest", "smallest" (most negative), or "both" (k at each end: 2k pairs); values descend
    start          (p, j) vectors near the ones wanted, such as the class means g_c; random by default
    tol            relative to |λ_k|, the wanted eigenvalue nearest the bulk, at its own end
    max_products   at which to stop, with a RuntimeWarning and what has been found (default 100 + 40 per pair)
    block_size     residuals followed at a time: 1 takes the fewest products; more where blocks are cheap, or
                   where eigenvalues are multiple
    callback       called with the number of products spent, after each round
    max_basis      vectors kept before a restart, at twice the memory (default 40 + 2 · wanted + 4 · block_size)

    Rayleigh-Ritz on a growing orthonormal basis V with A V kept beside it: each round adds the residuals of
    the leading unconverged Ritz pairs, which is thick-restart Lanczos, or its block form. Residuals are
    computed, not estimated. An exhausted (invariant) basis is refreshed at random.

    Raises ValueError for k > p, a start that does not fit, or an operator that is not symmetric (seen in
    VᵀAV, at no cost); FloatingPointError for a product that is not finite.
    """
    A = aslinearoperator(A)
    if not A.exact:
        raise ValueError(
            f'{A} has products in reduced precision, too coarse for eigenvectors: use precision="exact"'
        )
    select(np.empty(A.shape[0]), k, which, f"of {A}: its dimension is too small")
    wanted = 2 * k if which == "both" else k
    size = min(A.shape[0], max_basis or 2 * wanted + 4 * block_size + 40)
    _check_settings(A.shape[0], wanted, size, tol, block_size)
    limit = max_products or 100 + 40 * wanted
    space = _Subspace(A, size, generator, check)
    space.extend(_start(A, start, min(block_size, size), generator))
    settled = None  # the values before the last refresh
    while True:
        if callback is not None:
            callback(space.num_products)
        ritz = space.ritz(k, which)
        left = ritz.unconverged(tol)
        room = A.shape[0] - space.count
        found = len(ritz.values) == wanted and not len(left)
        if room == 0 or (found and ritz.is_final(settled)):
            break
        if space.num_products >= limit:
            _warn(A, ritz, left, wanted, space.num_products)
            break
        if not len(left):
            settled = ritz.values
        block = ritz.directions[:, left[:block_size]] if len(left) else draw_probe(A, generator)[:, None]
        block = block[:, :room]
        if space.count + block.shape[1] > size:
            space.restart(which, keep=max(wanted, min((wanted + size) // 2, size - block.shape[1])))
        space.extend(block)
    return EigenPairs(ritz.values, ritz.vectors, ritz.residuals, space.num_products)


def _check_settings(p: int, wanted: int, size: int, tol: float, block_size: int) -> None:
    if not tol > 0 or block_size < 1:
        raise ValueError(f"tol must be positive and block_size at least 1; got {tol} and {block_size}.")
    least = min(p, wanted + 2 * block_size)
    if size < least:
        raise ValueError(f"max_basis = {size} is too small for {wanted} pairs: allow at least {least}.")


def _start(A, start, block_size, generator) -> torch.Tensor:
    """Orthonormal start vectors (p, block_size): random, or random combinations of those given plus a little noise.

    A Krylov space from one combination needs about half the products of one from all the columns, each of
    which would have to be raised to a power of A by itself; the noise keeps it out of invariant subspaces.
    """
    X = torch.stack([_unit(draw_probe(A, generator)) for _ in range(block_size)], dim=1)
    if start is not None:
        start = start[:, None] if start.ndim == 1 else start
        A._check(start, "started from")
        hints = orthonormal_basis(start)
        mixed = hints @ torch.randn(
            hints.shape[1], block_size, generator=generator, device=generator.device, dtype=torch.float64
        ).to(hints)
        X = mixed / torch.linalg.vector_norm(mixed, dim=0) + NOISE * X
    return orthonormal_basis(X)


def _unit(v: torch.Tensor) -> torch.Tensor:
    return v / torch.linalg.vector_norm(v)


def _warn(A, ritz, left, wanted, num_products) -> None:
    worst = ritz.residuals[left].max() if len(left) else 0.0
    warnings.warn(
        f"eigsh of {A} stopped after {num_products} products: {wanted - len(ritz.values) + len(left)} of {wanted} "
        f"pairs have not converged, the largest residual is {worst:.3g}. Raise max_products, or tol.",
        RuntimeWarning,
        stacklevel=3,
    )


@dataclass(frozen=True)
class _Ritz:
    """The wanted Ritz pairs, as far as the subspace has them; `edges` is |λ_k| of each pair's own end."""

    values: np.ndarray
    vectors: torch.Tensor  # (p, k)
    directions: torch.Tensor  # (p, k), A q − λ q
    residuals: np.ndarray
    edges: np.ndarray
    floor: float

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


class _Subspace:
    """Orthonormal rows V (j, p) with A V beside them and T = V A Vᵀ, in buffers of `size` rows."""

    def __init__(self, A, size, generator, check):
        self.A, self.generator, self.check = A, generator, check
        self.V = empty((size, A.shape[0]), A.dtype, A.device)
        self.AV = empty((size, A.shape[0]), A.dtype, A.device)
        self.T = np.zeros((size, size))
        self.count = self.num_products = 0

    def extend(self, X: torch.Tensor) -> None:
        """Add the directions X (p, b), made orthonormal to V; one product each."""
        X = self._orthonormal(X)
        j, b = self.count, X.shape[1]
        new = slice(j, j + b)
        self.V[new] = X.T
        self.AV[new] = (self.A @ X if b > 1 else (self.A @ X[:, 0])[:, None]).T
        self.num_products += b
        self.count = j + b
        column = (self.V[: j + b] @ self.AV[new].T).double().cpu().numpy()
        if not np.isfinite(column).all():
            raise FloatingPointError(f"{self.A} @ v is not finite: look for overflow or nan in the operator.")
        self.T[: j + b, new] = column
        self.T[new, : j + b] = column.T
        self.T[new, new] = (column[j:] + column[j:].T) / 2
        if j and self.check:
            self._check_symmetry(j, column)
            self.check = False

    def _orthonormal(self, X: torch.Tensor) -> torch.Tensor:
        """X orthonormal, and orthogonal to V; directions that are nearly V's or each other's are dropped."""
        V = self.V[: self.count]
        for _ in range(2):
            X = X / torch.linalg.vector_norm(X, dim=0)
            X = orthonormal_basis(X - V.T @ (V @ X), DEPENDENT)
        return X

    def _check_symmetry(self, j: int, column: np.ndarray) -> None:
        mirrored = (self.V[j : self.count] @ self.AV[:j].T).double().cpu().numpy().T
        off, size = np.abs(mirrored - column[:j]).max(), np.abs(self.T).max()
        if off > SYMMETRY[self.A.dtype] * size:
            raise ValueError(
                f"{self.A} is not symmetric, or changes between two products: u·Av and v·Au differ by {off:.3g}, "
                f"its entries in the basis reach {size:.3g}. Pass (A + A.T) / 2, switch dropout and shuffling off, "
                "or pass check=False if this is rounding."
            )

    def ritz(self, k: int, which: str) -> _Ritz:
        """The wanted pairs of T, with their residuals."""
        theta, S = np.linalg.eigh(self.T[: self.count, : self.count])
        chosen, edges = _wanted(theta, k, which)
        values = theta[chosen]
        S = torch.from_numpy(S[:, chosen]).to(self.V)
        vectors = self.V[: self.count].T @ S
        directions = self.AV[: self.count].T @ S - vectors * torch.from_numpy(values).to(self.V)
        residuals = torch.linalg.vector_norm(directions, dim=0, dtype=torch.float64).cpu().numpy()
        floor = FLOOR * torch.finfo(self.A.dtype).eps * np.abs(theta).max()
        return _Ritz(values, vectors, directions, residuals, edges, floor)

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
