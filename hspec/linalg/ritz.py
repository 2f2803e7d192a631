"""What a given subspace holds of a matrix, without an eigensolver."""

import numpy as np
import torch
from torch import Tensor

from hspec.linalg.autocast import without_autocast
from hspec.linalg.deflation import orthonormal_basis
from hspec.linalg.inner_products import cross
from hspec.linalg.operator import LinearOperator, aslinearoperator


@without_autocast
def ritz_values(A: LinearOperator | Tensor, M: Tensor) -> np.ndarray:
    """Eigenvalues of M̂ᵀ A M̂, descending, float64: as many as M (p, k) has rank, from as many
    products.

    M̂ is an orthonormal basis of M's span. The i-th is at most A's i-th eigenvalue (Cauchy), and
    their sum tr(M̂ᵀ A M̂) the curvature that the span captures: over the sum of A's largest, the
    share of it.

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p).
        M: (p, k) vectors of any lengths and angles, or one (p,), of A's dtype and device: their
            span counts.

    Raises:
        ValueError: for an M that does not fit A, is not finite, or spans nothing.

    Source: P19 (approximating the principal subspace by averaging); Cauchy's interlacing theorem.

    Example:
        >>> A, M = torch.diag(torch.tensor([3.0, 2.0, 1.0])), torch.eye(3)[:, :2]
        >>> print(ritz_values(A, M))
        [3. 2.]
    """
    A = aslinearoperator(A)
    A._check(M, "restricted to the span of")
    M = M[:, None] if M.ndim == 1 else M
    basis = orthonormal_basis(M)
    inner = cross(basis.T, (A @ basis).T)
    return torch.linalg.eigvalsh((inner + inner.T) / 2).flip(0).cpu().numpy()
