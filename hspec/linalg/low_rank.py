"""Low-rank operators F diag(s) Fᵀ: their spectra are exact, from a small Gram matrix."""

import numpy as np
import torch

from hspec.linalg.autocast import without_autocast
from hspec.linalg.inner_products import cross, gram
from hspec.linalg.operator import LinearOperator
from hspec.linalg.pairs import EigenPairs


class LowRank(LinearOperator):
    """F diag(s) Fᵀ with F (p, k) and s (k,) of any sign: A1, A2, B1 and their kin.

    A product takes 2 p k multiplications a vector. The columns of F may have any lengths and
    angles: `eigenvalues` and `eigenpairs` are exact all the same.

    Args:
        F: (p, k), float32 or float64; its dtype and device are the operator's.
        s: (k,) weights, converted to F's dtype and device.
        name: how it is called in formulas and messages.
        exact: False where F was computed in reduced precision (see `LinearOperator`).

    Raises:
        ValueError: F and s do not fit each other, have entries that are not finite, or F is
            neither float32 nor float64.

    Example:
        >>> F = torch.tensor([[3.0, 0.0], [4.0, 0.0], [0.0, 1.0]])
        >>> A = LowRank(F, torch.tensor([1.0, -2.0]))
        >>> print(A.shape, A.eigenvalues().round(6))
        (3, 3) [25. -2.]

    Source: P18a, P20 (the decomposition of G): the means are few, so these spectra need no Lanczos.
    """

    def __init__(
        self, F: torch.Tensor, s: torch.Tensor, name: str = "F diag(s) Fᵀ", *, exact: bool = True
    ) -> None:
        if F.ndim != 2 or s.shape != (F.shape[1],):
            raise ValueError(
                f"F (p, k) and s (k,) are needed; got shapes {tuple(F.shape)} and {tuple(s.shape)}."
            )
        super().__init__(F.shape[0], F.dtype, F.device, name, exact=exact)
        if not (torch.isfinite(F).all() and torch.isfinite(s).all()):
            raise ValueError(f"{name}: F or s has entries that are not finite.")
        self.F, self.s = F.detach(), s.detach().to(F)

    def _matmat(self, X):
        return self.F @ (self.s[:, None] * cross(self.F.T, X.T).to(X.dtype))

    @without_autocast
    def eigenpairs(self) -> EigenPairs:
        """All eigenpairs of the range (as many as the numerical rank of F), λ descending; no p-by-p
        work.

        With the Gram matrix FᵀF = U D Uᵀ (float64), Q = F U D^(−1/2) is orthonormal and
        F diag(s) Fᵀ = Q (D^(1/2) Uᵀ diag(s) U D^(1/2)) Qᵀ, a k-by-k eigenproblem. Eigenvalues are
        exact to float64 rounding of the largest.
        """
        D, U = torch.linalg.eigh(gram(self.F))
        rounding = len(D) * torch.finfo(D.dtype).eps * D[-1]
        kept = rounding < D
        D, U = D[kept], U[:, kept]
        root = U * D.sqrt()  # (k, r)
        values, W = torch.linalg.eigh(root.T @ (self.s.double()[:, None] * root))
        values, W = values.flip(0), W.flip(1)
        vectors = self.F @ ((U / D.sqrt()) @ W).to(self.dtype)
        residuals = torch.linalg.vector_norm(
            self._matmat(vectors) - vectors * values.to(self.dtype), dim=0, dtype=torch.float64
        )
        return EigenPairs(values.cpu().numpy(), vectors, residuals.cpu().numpy())

    @without_autocast
    def eigenvalues(self) -> np.ndarray:
        """The eigenvalues of the range and some zeros, descending, (k,): far less work than the
        pairs where k is large.

        For s ≥ 0 those of diag(s)^(1/2) FᵀF diag(s)^(1/2); else the pairs' values.
        """
        if bool((self.s < 0).any()):
            return self.eigenpairs().values
        return weighted_eigenvalues(gram(self.F), self.s.double())


@without_autocast
def weighted_eigenvalues(gram: torch.Tensor, weights: torch.Tensor) -> np.ndarray:
    """Eigenvalues of Σ_i w_i v_i v_iᵀ, w ≥ 0, without its p − k zeros, descending,
    from gram_{ij} = v_i·v_j (k, k).
    """
    root = weights.sqrt()
    return torch.linalg.eigvalsh(root[:, None] * gram * root).flip(0).cpu().numpy()
