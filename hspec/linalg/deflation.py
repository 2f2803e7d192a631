"""Taking known eigenvectors out of an operator, and comparing subspaces."""

import numpy as np
import torch

from hspec.linalg.autocast import without_autocast
from hspec.linalg.inner_products import cross
from hspec.linalg.operator import LinearOperator, Wrapper, aslinearoperator
from hspec.linalg.pairs import EigenPairs


class Deflated(Wrapper):
    """(I − QQᵀ) A (I − QQᵀ); made by `deflate`."""

    def __init__(self, A: LinearOperator, Q: torch.Tensor) -> None:
        super().__init__(f"{A.name} deflated by {Q.shape[1]}", A)
        self.removed_basis = Q

    def _matmat(self, X: torch.Tensor) -> torch.Tensor:
        return self._project(self.parts[0]._matmat(self._project(X)))

    def _project(self, X: torch.Tensor) -> torch.Tensor:
        return X - self.removed_basis @ cross(self.removed_basis.T, X.T).to(X.dtype)


@without_autocast
def deflate(A: LinearOperator | torch.Tensor, pairs: EigenPairs | torch.Tensor) -> LinearOperator:
    """(I − QQᵀ) A (I − QQᵀ), Q the vectors of `pairs` (p, k): A without these directions, by
    two-sided projection.

    Where the pairs are only nearly eigenpairs, projection on both sides keeps the operator
    symmetric and free of their residuals to first order; keep these far below the bulk's edge all
    the same. Q need not hold A's own eigenvectors: any subspace can be taken out.

    The k zero eigenvalues that this makes are not part of the spectrum one wants to see: `slq` of a
    deflated operator draws its probes orthogonal to Q and measures the p − k others;
    `SpectralMeasure.with_spikes` puts the removed eigenvalues back.

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p).
        pairs: eigenpairs, or vectors (p,), (p, k) of any lengths and angles: their span counts. No
            vector at all, (p, 0), leaves A as it is.

    Raises:
        ValueError: vectors that do not fit, are not finite, or leave nothing.

    Example:
        >>> A = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
        >>> print(deflate(A, torch.tensor([1.0, 0.0, 0.0])))
        A deflated by 1

    Source: P18a, P20 (low-rank deflation).
    """
    A = aslinearoperator(A)
    Q = pairs.vectors if isinstance(pairs, EigenPairs) else pairs
    A._check(Q, "deflated by")
    if Q.ndim == 2 and not Q.shape[1]:
        return A
    Q = orthonormal_basis(Q if Q.ndim == 2 else Q[:, None])
    if A.removed_basis is not None:
        Q = orthonormal_basis(torch.cat([A.removed_basis, Q], dim=1))
        A = A.parts[0] if isinstance(A, Deflated) else A  # one projection by both, not two
    if Q.shape[1] >= A.shape[0]:
        raise ValueError(
            f"Deflating {Q.shape[1]} vectors of dimension {A.shape[0]} leaves nothing."
        )
    return Deflated(A, Q)


@without_autocast
def orthonormal_basis(M: torch.Tensor, tol: float | None = None) -> torch.Tensor:
    """Orthonormal columns (p, r) that span the columns of M (p, k),
    r its rank to `tol` (relative; rounding).
    """
    tol = max(M.shape[1], 10) * torch.finfo(M.dtype).eps if tol is None else tol
    if not torch.isfinite(M).all():
        raise ValueError("The vectors have entries that are not finite.")
    Q, R = torch.linalg.qr(M)
    U, sigma, _ = torch.linalg.svd(R)
    rank = int((sigma > tol * sigma[0]).sum())
    if rank == 0:
        raise ValueError("The vectors span nothing: all are zero.")
    return _orthonormal_to_rounding(Q @ U[:, :rank])


def _orthonormal_to_rounding(Q: torch.Tensor) -> torch.Tensor:
    """Q (QᵀQ)^(−1/2), the nearest orthonormal matrix:
    LAPACK's sums of millions of float32 terms are off by 1e-4.
    """
    D, U = torch.linalg.eigh(cross(Q.T, Q.T))
    return Q @ (U / D.sqrt() @ U.T).to(Q.dtype)


@without_autocast
def subspace_cosines(Q: torch.Tensor, M: torch.Tensor) -> np.ndarray:
    """Cosines of the principal angles between the spans of Q (p, k) and M (p, l): (min of the
    ranks,), descending.

    The singular values of M̂ᵀQ̂, hats for orthonormal bases. 1 is a direction that both have, 0 one
    at right angles to the other subspace. Their mean square is the subspaces' overlap
    ‖M̂ᵀQ̂‖_F²/C, C the smaller dimension.

    Args:
        Q: (p, k) vectors of any lengths and angles: their span counts.
        M: (p, l), of Q's dtype and device.

    Raises:
        ValueError: for blocks that do not fit each other, are not finite, or span nothing.

    Example:
        >>> I = torch.eye(3)
        >>> print(subspace_cosines(I[:, :2], I[:, 1:]).round(6))
        [1. 0.]

    Source: P19 (approximating the principal subspace by averaging).
    """
    if Q.ndim != 2 or M.ndim != 2 or len(Q) != len(M):
        raise ValueError(
            f"Two blocks of columns of one height are needed; got {tuple(Q.shape)}, "
            f"{tuple(M.shape)}."
        )
    cosines = torch.linalg.svdvals(cross(orthonormal_basis(M).T, orthonormal_basis(Q).T))
    return cosines.clamp(max=1.0).cpu().numpy()
