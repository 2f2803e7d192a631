"""How Lanczos vectors are kept orthogonal: fully, when the ω-recurrence says so, or not at all.

Without it rounding lets converged eigenvectors back in, and one outlier shows up as many: ghosts.
Each strategy is called with w (n_v, p), V (n_v, j + 1, p), q_j and q_{j−1} (n_v, p), and the
scalars so far. It changes w in place, and q_j where the next step should subtract another one; it
returns what it took off w along q_j, and the norms of what is left, (n_v,) each.
"""

import numpy as np
import torch

from hspec.distributed import ALONE, Alone
from hspec.linalg.inner_products import inner, norms

# basis rows brought to the working precision at a time, where the basis is stored in another
CHUNK = 16
# a vector that loses more of its norm than this in one pass needs a second ("twice is enough")
DROP = 0.7


def project_out(X: torch.Tensor, V: torch.Tensor, ranks: Alone = ALONE) -> torch.Tensor:
    """Remove from each row of X_i the directions V_i, in place; X (n_v, k, p), V (n_v, j, p) on a
    contiguous buffer per probe.

    Returns the coefficients, (n_v, k, j) in float64. Classical Gram-Schmidt, as two matrix
    products, each of which reads the basis once for all k; a basis stored in another precision goes
    by chunks of rows.

    ranks: the processes that keep a part of the coordinates of V each, (n_v, j, p/W); X is whole on
    all of them.
    """
    own = X[..., ranks.rows(X.shape[-1])]
    found = [_remove(X_i, V_i, ranks) for X_i, V_i in zip(own, V, strict=True)]
    ranks.join(X.flatten(0, 1))
    return torch.stack(found).double()


def _remove(X: torch.Tensor, V: torch.Tensor, ranks: Alone) -> torch.Tensor:
    coefficients = []
    for rows in V.split(len(V) if V.dtype == X.dtype else CHUNK):
        rows = rows.to(X.dtype)
        H = ranks.sum((X.squeeze(0) @ rows.T).view(len(X), -1))
        X.addmm_(H, rows, alpha=-1)
        coefficients.append(H)
    return torch.cat(coefficients, 1)


def _has_dropped(left: torch.Tensor, coefficients: torch.Tensor) -> bool:
    """By Pythagoras: ‖w‖² before is what is left and what was removed, (n_v, j)."""
    squares = left.square()
    return bool((squares < DROP**2 * (squares + coefficients.square().sum(1))).any())


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

    def __call__(self, w, V, q, before, alphas, betas):
        X = w[:, None]
        removed = project_out(X, V, self.ranks)[:, 0]
        correction, left = removed[:, -1], norms(w)
        if w.dtype == torch.float64 or w.device.type != "cpu" or _has_dropped(left, removed):
            correction = correction + project_out(X, V, self.ranks)[:, 0, -1]
            left = norms(w)
        return correction, left


class Off:
    """The bare three-term recurrence. Ghost eigenvalues will appear; the density survives,
    counts do not.
    """

    needs_basis = False

    def __call__(self, w, V, q, before, alphas, betas):
        return torch.zeros(len(w), dtype=torch.float64, device=w.device), norms(w)


class Partial:
    """Only when the estimated loss of orthogonality reaches √eps, and then of w and q_j together.

    ω_{j+1,i} estimates q_{j+1}·q_i; it obeys the Lanczos recurrence itself, up to rounding:

        β_j ω_{j+1,i} = β_i ω_{j,i+1} + (α_i − α_j) ω_{j,i} + β_{i−1} ω_{j,i−1} − β_{j−1} ω_{j−1,i}
        + rounding

    As long as |ω| < √eps the tridiagonal matrix is that of full reorthogonalisation to rounding
    (Simon, Math. Comp. 42, 1984). Two vectors in a row have to be orthogonal for the next one to
    be; they are projected together, which reads the basis once for both; the next step subtracts
    the projected q_j, and the basis has it. They are projected against the first vectors only, up
    to the last one of which |ω| > eps^(3/4): what comes back are outliers, and those are made of
    the first vectors. The decision needs the scalars on the host: one synchronisation a step on a
    GPU.

    Rounding is that of the recurrence, eps (β_i + β_j), and that of the products, which is of the
    size of eps ‖A‖ or worse, however small β is: it is measured, as the largest
    |w·q_{j−1}| so far that the recurrence does not explain. Left out, a bulk a thousand times
    narrower than the outliers lost all orthogonality within 90 steps in float32.
    """

    needs_basis = True

    def __init__(self, num_probes: int, num_steps: int, eps: float, ranks: Alone = ALONE):
        self.eps, self.ranks = eps, ranks
        # ω_{j,·} and ω_{j+1,·}, entry i + 1 for vector i
        self.omega = [np.zeros((num_probes, num_steps + 2)) for _ in range(2)]
        self.noise = np.zeros(num_probes)  # of the products, in A's units

    def __call__(self, w, V, q, before, alphas, betas):
        left, j = norms(w), V.shape[1] - 1
        scalars = (inner(w, before).abs(), alphas[:, : j + 1], betas[:, :j], left)
        omega = self._advance(j, *(numbers.cpu().numpy() for numbers in scalars))
        correction = torch.zeros(len(w), dtype=torch.float64, device=w.device)
        if (np.abs(omega[:, 1 : j + 1]) > self.eps**0.5).any():
            lost = np.maximum(np.abs(omega), np.abs(self.omega[1]))[:, 1 : j + 1].max(0)
            n = int(np.flatnonzero(lost > self.eps**0.75)[-1]) + 1
            correction, share = self._restore(w, q, V[:, :n])
            V[:, -1] = q[:, self.ranks.rows(q.shape[1])]
            left, remains = norms(w), self.eps + self.eps**0.5 * share
            omega[:, 1 : n + 1] = self.omega[1][:, 1 : n + 1] = remains
        self.omega = [self.omega[1], omega]
        return correction, left

    def _restore(self, w, q, V):
        """w and q_j orthogonal to V, in place: what that takes off w along q_j, and the share that
        the last pass took off.

        V's own rows are orthogonal to √eps only: of that share √eps is left. Where it is much,
        there is a second pass.
        """
        X = torch.stack([w, q], 1)
        for _ in range(2):
            removed = project_out(X, V, self.ranks).flatten(0, 1).norm(dim=1)
            share = float((removed / norms(X.flatten(0, 1))).nan_to_num(0.0).max())
            if share < self.eps**0.25:
                break
        w.copy_(X[:, 0])
        q.copy_(X[:, 1])
        along = inner(q, w)
        w.addcmul_(along[:, None].to(w.dtype), q, value=-1)
        return along, share

    def _advance(self, j, along, alphas, betas, beta):
        """ω_{j+1,·} from ω_{j,·} and ω_{j−1,·}; all (n_v, …); along is |w·q_{j−1}|,
        betas[:, i] couples vectors i and i + 1.
        """
        previous, current = self.omega
        current[:, j + 1] = 1.0  # q_j · q_j
        new = np.zeros_like(current)
        if j:
            value = betas * current[:, 2 : j + 2]
            value += (alphas[:, :j] - alphas[:, j:]) * current[:, 1 : j + 1]
            value[:, 1:] += betas[:, :-1] * current[:, 1:j]
            value -= betas[:, -1:] * previous[:, 1 : j + 1]
            unexplained = along > np.abs(value[:, -1])
            self.noise = np.maximum(self.noise, np.where(unexplained, along, 0.0))
            rounding = self.eps * (betas + beta[:, None]) + self.noise[:, None]
            with np.errstate(divide="ignore", invalid="ignore"):
                value = (value + np.copysign(rounding, value)) / beta[:, None]
            if not beta.all():
                value = np.nan_to_num(value, nan=1.0, posinf=1.0, neginf=-1.0)
            new[:, 1 : j + 1] = value
        new[:, j + 1] = self.eps
        new[beta == 0] = 0.0  # a run that has stopped asks for nothing
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
