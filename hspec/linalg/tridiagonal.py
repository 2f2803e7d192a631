"""The outcome of a Lanczos run, and the eigenpairs in it."""

from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded when they are first used
import torch

from hspec.linalg.arguments import whole_number
from hspec.linalg.autocast import without_autocast
from hspec.linalg.pairs import EigenPairs


@dataclass(frozen=True)
class Tridiagonal:
    """A V = V T + r e_mᵀ with VᵀV = I and T = tridiag(betas, alphas, betas).

    Attributes:
        alphas, betas: (m,) and (m − 1,) float64 numpy.
        V, residual: (p, m) and r (p,), tensors on the operator's device; None where the basis was
            not kept.
        residual_norm: ‖r‖ = β_m; of the size of rounding where the run stopped early.
    """

    alphas: np.ndarray
    betas: np.ndarray
    V: torch.Tensor | None
    residual: torch.Tensor | None
    residual_norm: float

    @property
    def T(self) -> np.ndarray:
        """The tridiagonal matrix, (m, m) float64."""
        return np.diag(self.alphas) + np.diag(self.betas, 1) + np.diag(self.betas, -1)

    def ritz(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ritz values θ ascending, and the first and last components of T's eigenvectors: three
        (m,) arrays.

        first² are the weights of the Gauss rule; β_m |last| are the residual norms of the Ritz
        pairs.
        """
        theta, S = self._eigh()
        return theta, S[0], S[-1]

    def _eigh(self) -> tuple[np.ndarray, np.ndarray]:
        try:
            return scipy.linalg.eigh_tridiagonal(self.alphas, self.betas)
        except np.linalg.LinAlgError:  # LAPACK's fastest gives up on some ghosts; QR does not
            return scipy.linalg.eigh_tridiagonal(self.alphas, self.betas, lapack_driver="stev")


@without_autocast
def eigenpairs_from(tridiagonal: Tridiagonal, k: int, which: str = "largest") -> EigenPairs:
    """k Ritz pairs of a Lanczos run with kept basis: y = V s, residual ‖A y − θ y‖ = β_m |s_m|. No
    product.

    One run so gives outliers, range and bulk. It shows each eigenvalue once, however multiple it
    is; `eigsh` looks for copies.

    Args:
        tridiagonal: what `lanczos` returned.
        k: number of pairs at an end. All pairs together are at most as many as the steps.
        which: "largest", "smallest" or "both" (k at each end, 2k pairs).

    Returns:
        The pairs, values descending, as the run has left them. Their residuals tell which have
        converged.

    Raises:
        ValueError: more pairs than steps, none at all, another `which`, or a run without its basis.

    Example:
        >>> run = lanczos(torch.diag(torch.tensor([1.0, 2.0, 4.0])), torch.ones(3), 3)
        >>> print(eigenpairs_from(run, 2).values.round(4))
        [4. 2.]
    """
    if tridiagonal.V is None:
        raise ValueError("This run kept no basis: run lanczos itself, which does.")
    theta, S = tridiagonal._eigh()
    chosen = select(theta, k, which, "Lanczos steps: run more steps, or ask for fewer pairs")
    S = S[:, chosen]
    vectors = tridiagonal.V.to(tridiagonal.residual.dtype) @ torch.from_numpy(S).to(
        tridiagonal.residual
    )
    return EigenPairs(theta[chosen], vectors, tridiagonal.residual_norm * np.abs(S[-1]))


def select(theta: np.ndarray, k: int, which: str, available: str) -> np.ndarray:
    """Indices, by descending value, of the k wanted among ascending values."""
    if which not in ("largest", "smallest", "both"):
        raise ValueError(f'which is "largest", "smallest" or "both"; got {which!r}.')
    k, m = whole_number(k, "k"), len(theta)
    wanted = 2 * k if which == "both" else k
    if wanted > m:
        raise ValueError(f"{wanted} eigenpairs asked of {m} {available}.")
    order = np.arange(m)[::-1]
    return {
        "largest": order[:k],
        "smallest": order[m - k :],
        "both": np.r_[order[:k], order[m - k :]],
    }[which]
