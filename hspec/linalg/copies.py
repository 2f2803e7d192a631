"""What a Krylov space cannot show: further copies of the eigenvalues found in it.

The vectors A^j v hold one eigenvector of each eigenvalue, however many there are. So once the
wanted pairs have converged, a random direction is sent into what they leave, until it shows
something that belongs to the wanted end, or until the chance that it would have overlooked such a
thing is small.

The chance is a bound, not a guess. Let C be A on the complement of the rows set aside, r the random
direction and C W = W T + f e_mᵀ its Lanczos relation. If C has a unit eigenvector u whose
eigenvalue μ lies above all Ritz values, then (μ − T) Wᵀu = (u·f) e_m, hence

    (u·r)² ≤ ρ(μ) = ‖f‖² z_1² / (1 + ‖f‖² ‖z‖²),    z = (μ − T)⁻¹ e_m,

which falls as μ moves away from the Ritz values (it is the Christoffel function, the largest mass
that a measure with these moments can have at μ or beyond), and by a factor with every step. But
(u·r)² of a random r is a Beta(1/2, (n − 1)/2) variable: it is below ρ(c) with a probability that is
known, and small. All this in exact arithmetic: what lies within rounding, 50 eps ‖A‖, of λ_k is not
told from it.

Source: Parlett, The Symmetric Eigenvalue Problem, chapters 10 and 13 (interlacing, Lanczos);
Kuczyński and Woźniakowski, SIAM J. Matrix Anal. Appl. 13(4), 1992 (random starts).
"""

from collections.abc import Callable

import numpy as np
import scipy  # its parts are loaded when they are first used
import torch

from hspec.linalg.inner_products import norms
from hspec.linalg.subspace import Ritz, Subspace

ROOM = 4  # rows of memory beside the wanted vectors, at least
CHANCE = 1e-3  # of having overlooked an eigenvalue, at which the search ends


class Search:
    """One look for eigenvalues beyond `ritz`: rows set aside, then the Krylov rows of random
    directions.

    `chance` bounds the probability that A has a further eigenvalue beyond λ_k + tol |λ_k| at a
    wanted end; `found` says that there is one.
    """

    def __init__(self, space: Subspace, ritz: Ritz, tol: float, draw: Callable[[], torch.Tensor]):
        self.space, self.ritz, self.draw = space, ritz, draw
        self.slack = ritz.slack(tol)
        self.chance, self.found = 1.0, False
        self._set_aside()

    def step(self) -> None:
        """One product more."""
        space = self.space
        if space.count == space.size:
            self._make_room()
        space.extend(self.next)
        self.next = space.outside
        if any(_largest(self._seen(sign)) >= c for sign, c in self._thresholds()):
            self.found = True
            return
        self.chance = self.before * sum(self._chances())
        if space.is_whole:
            self.chance = 0.0
        elif self._residual() <= space.rounding:  # the directions so far are an invariant subspace
            self._start_anew()

    def _set_aside(self) -> None:
        """Keep the wanted Ritz vectors, and those others that are known well enough to be
        left out too.
        """
        space, wanted = self.space, len(self.ritz.values)
        space.restart(max(wanted, min((wanted + space.size) // 2, space.size - ROOM)))
        space.count = max(wanted, self._known())
        self._start_anew()

    def _known(self) -> int:
        """How many rows may be set aside.

        By interlacing, A has no more than k values beyond x if it has none in the complement of any
        k rows, those of the wanted pairs. With others of value θ_i and residual r_i left out too,
        there is none if C has none beyond x − Σ r_i²/(x − θ_i), by a Schur complement: half of the
        slack is spent on that.
        """
        space, wanted = self.space, len(self.ritz.values)
        theta = space.T.diagonal()[: space.count].copy()
        V, AV = space.V[: space.count], space.AV[: space.count]
        R = AV - torch.from_numpy(theta[:, None]).to(V) * V
        squares = norms(R).cpu().numpy() ** 2
        known = space.count
        for sign, c in self._thresholds():
            x = 2 * c - sign * self._last(sign)[0]
            spent = np.cumsum(squares[wanted:] / np.maximum(x - sign * theta[wanted:], 1e-300))
            known = min(known, wanted + int((spent <= x - c).sum()))
        return known

    def _thresholds(self):
        """(sign, c) of each wanted end: nothing of sign · C may lie at c or beyond;
        halfway into the slack.
        """
        for sign in {"largest": (1,), "smallest": (-1,), "both": (1, -1)}[self.space.which]:
            value, slack = self._last(sign)
            yield sign, sign * value + slack / 2

    def _last(self, sign: int) -> tuple[float, float]:
        """λ_k of that end and its slack."""
        values, both = self.ritz.values, self.space.which == "both"
        i = (len(values) // 2 - (sign > 0)) if both else (-1 if sign > 0 else 0)
        return values[i], self.slack[i]

    def _start_anew(self) -> None:
        """A random direction, orthogonal to all rows so far."""
        self.before = self.chance
        self.fixed = self.first = self.space.count
        self.passed = {1: 1.0, -1: 1.0}
        self.next = self.draw()

    def _make_room(self) -> None:
        """Leave of the random direction's rows the outermost half;
        what is known of u·r goes along in `passed`.
        """
        space = self.space
        if space.size - self.fixed < ROOM:
            return self._set_aside()
        for sign, c in self._thresholds():
            self.passed[sign] *= self._solve(sign, c)[0] ** 2
        space.restart((space.size - self.fixed) // 2, self.fixed)
        self.first = space.count
        return None

    def _seen(self, sign: int) -> np.ndarray:
        rows = slice(self.fixed, self.space.count)
        return sign * self.space.T[rows, rows]

    def _residual(self) -> float:
        return float(np.sqrt(self.space.outside_gram[0, 0]))

    def _solve(self, sign: int, c: float) -> np.ndarray:
        """‖f‖ z, z = (c − T)⁻¹ e_m, from the row on that r, or what was left of it, has."""
        T = self._seen(sign)
        f = max(self._residual(), self.space.rounding)
        z = np.linalg.solve(c * np.eye(len(T)) - T, np.eye(len(T))[-1])
        return f * z[self.first - self.fixed :]

    def _chances(self):
        """P((u·r)² ≤ ρ) at each end."""
        n = self.space.dimension - self.fixed
        for sign, c in self._thresholds():
            z = self._solve(sign, c)
            rho = self.passed[sign] * z[0] ** 2 / (1 + z @ z)
            yield 1.0 if n < 2 else float(scipy.special.betainc(0.5, (n - 1) / 2, min(rho, 1.0)))


def _largest(T: np.ndarray) -> float:
    return np.linalg.eigvalsh(T)[-1]
