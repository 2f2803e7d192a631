"""How Lanczos vectors are kept orthogonal: fully, when the ω-recurrence says so, or not at all.

Without it rounding lets converged eigenvectors back in, and one outlier shows up as many: ghosts.
Each strategy is called with w (n_v, p), which it changes in place, V (n_v, j, p), the vectors
before the last ones (n_v, p) and the scalars so far; it returns what it took off along the last
rows, and the norms of what is left, (n_v,) each.
"""

import numpy as np
import torch

from hspec.distributed import ALONE, Alone
from hspec.linalg.inner_products import inner, norms

# basis rows brought to the working precision at a time, where the basis is stored in another
CHUNK = 16
# a vector that loses more of its norm than this in one pass needs a second ("twice is enough")
DROP = 0.7


def project_out(
    w: torch.Tensor, V: torch.Tensor, ranks: Alone = ALONE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Remove from each w_i the directions V_i, in place; w (n_v, p), V (n_v, j, p) on a contiguous
    buffer per probe.

    Returns the coefficients of the last rows and ‖what was removed‖², (n_v,) each. Classical
    Gram-Schmidt, as two matrix-vector products; a basis stored in another precision goes by chunks
    of rows.

    ranks: the processes that keep a part of the coordinates of V each, (n_v, j, p/W); w is whole on
    all of them.
    """
    own = w[:, ranks.rows(w.shape[1])]
    found = [_remove(w_i, V_i, ranks) for w_i, V_i in zip(own, V, strict=True)]
    ranks.join(w)
    last, removed = zip(*found, strict=True)
    return torch.stack(last).double(), torch.stack(removed)


def _remove(w: torch.Tensor, V: torch.Tensor, ranks: Alone) -> tuple[torch.Tensor, torch.Tensor]:
    coefficients = []
    for rows in V.split(len(V) if V.dtype == w.dtype else CHUNK):
        rows = rows.to(w.dtype)
        h = ranks.sum(rows @ w)
        w.addmv_(rows.T, h, alpha=-1)
        coefficients.append(h)
    return h[-1], torch.cat(coefficients).double().square().sum()


def _has_dropped(left: torch.Tensor, removed: torch.Tensor) -> bool:
    """By Pythagoras: ‖w‖² before is what is left and what was removed."""
    squares = left.square()
    return bool((squares < DROP**2 * (squares + removed)).any())


class Full:
    """Against all previous vectors at every step: one pass in float32, two where that is not
    enough.

    In float64 the second pass always runs. In float32 on the CPU it runs when the norm drops, the
    sign that what is left is mostly rounding. On a GPU looking at the norm would stop the stream:
    two passes, always.
    """

    needs_basis = True

    def __init__(self, ranks: Alone = ALONE) -> None:
        self.ranks = ranks

    def __call__(self, w, V, before, alphas, betas):
        correction, removed = project_out(w, V, self.ranks)
        left = norms(w)
        if w.dtype == torch.float64 or w.device.type != "cpu" or _has_dropped(left, removed):
            correction = correction + project_out(w, V, self.ranks)[0]
            left = norms(w)
        return correction, left


class Off:
    """The bare three-term recurrence. Ghost eigenvalues will appear; the density survives,
    counts do not.
    """

    needs_basis = False

    def __call__(self, w, V, before, alphas, betas):
        return torch.zeros(len(w), dtype=torch.float64, device=w.device), norms(w)


class Partial:
    """Only when the estimated loss of orthogonality reaches √eps, and then twice in a row.

    ω_{j+1,i} estimates q_{j+1}·q_i; it obeys the Lanczos recurrence itself, up to rounding:

        β_j ω_{j+1,i} = β_i ω_{j,i+1} + (α_i − α_j) ω_{j,i} + β_{i−1} ω_{j,i−1} − β_{j−1} ω_{j−1,i}
        + rounding

    As long as |ω| < √eps the tridiagonal matrix is that of full reorthogonalisation to rounding
    (Simon, Math. Comp. 42, 1984). The decision needs the scalars on the host: one synchronisation a
    step on a GPU.

    Rounding is that of the recurrence, eps (β_i + β_j), and that of the products, which is of the
    size of eps ‖A‖ or worse, however small β is: it is measured, as the largest |w·q_{j−1}| so far,
    which would vanish without it. Left out, a bulk a thousand times narrower than the outliers lost
    all orthogonality within 90 steps in float32.
    """

    needs_basis = True

    def __init__(self, num_probes: int, num_steps: int, eps: float, ranks: Alone = ALONE):
        self.eps = eps
        self.omega = np.zeros(
            (2, num_probes, num_steps + 2)
        )  # ω_{j,·} and ω_{j+1,·}, entry i + 1 for vector i
        self.noise = np.zeros(num_probes)  # of the products, in A's units
        self.again = False
        self.full = Full(ranks)

    def __call__(self, w, V, before, alphas, betas):
        left, j = norms(w), V.shape[1] - 1
        self.noise = np.maximum(self.noise, inner(w, before).abs().cpu().numpy())
        scalars = (alphas[:, : j + 1], betas[:, :j], left)
        omega = self._advance(j, *(numbers.cpu().numpy() for numbers in scalars))
        lost = bool((np.abs(omega[:, 1 : j + 2]) > self.eps**0.5).any())
        correction = torch.zeros(len(w), dtype=torch.float64, device=w.device)
        if lost or self.again:
            correction, left = self.full(w, V, before, alphas, betas)
            omega[:, 1 : j + 2] = self.eps
        self.again = lost and not self.again
        self.omega = np.stack([self.omega[1], omega])
        return correction, left

    def _advance(self, j, alphas, betas, beta):
        """ω_{j+1,·} from ω_{j,·} and ω_{j−1,·}; all (n_v, …); betas[:,
        i] couples vectors i and i + 1.
        """
        previous, current = self.omega
        current = current.copy()
        current[:, j + 1] = 1.0  # q_j · q_j
        new = np.zeros_like(current)
        i = np.arange(j)
        if j:
            below = np.where(i > 0, np.take(betas, np.maximum(i - 1, 0), axis=1), 0.0)
            value = (
                betas[:, i] * current[:, i + 2]
                + (alphas[:, i] - alphas[:, j : j + 1]) * current[:, i + 1]
                + below * current[:, i]
                - betas[:, j - 1 : j] * previous[:, i + 1]
            )
            rounding = self.eps * (betas[:, i] + beta[:, None]) + self.noise[:, None]
            with np.errstate(divide="ignore", invalid="ignore"):
                value = (value + np.copysign(rounding, value)) / beta[:, None]
            new[:, 1 : j + 1] = np.nan_to_num(value, nan=1.0, posinf=1.0, neginf=-1.0)
        new[:, j + 1] = self.eps
        new[beta == 0] = 0.0  # a run that has stopped asks for nothing
        self.omega[1] = current
        return new


def make(
    kind: str, num_probes: int, num_steps: int, eps: float, ranks: Alone = ALONE
) -> Full | Partial | Off:
    """The strategy by name: "full", "partial" or "none"; ranks:
    those that the basis is cut up between.
    """
    if kind == "full":
        return Full(ranks)
    if kind == "partial":
        return Partial(num_probes, num_steps, eps, ranks)
    if kind == "none":
        return Off()
    raise ValueError(f'reorthogonalize is "full", "partial" or "none"; got {kind!r}.')
