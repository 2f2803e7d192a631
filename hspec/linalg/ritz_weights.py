"""What the nodes of a Lanczos quadrature weigh: converged ones 1/p,
where they are simple eigenvalues.
"""

from collections.abc import Sequence

import numpy as np
import scipy  # its parts are loaded when they are first used

from hspec.linalg.tridiagonal import Tridiagonal

CONVERGED = 1e-6  # β_m |s_mi| below this share of λ_max: the Ritz pair is an eigenpair
FALSE_ALARM = (
    1e-4  # chance that a spectrum of simple eigenvalues is taken for one with multiple ones
)


def ritz_weights(runs: Sequence[Tridiagonal], dimension: int) -> list[np.ndarray]:
    """Converged-Ritz weights (m,) of each run from a random probe, to its Ritz values ascending.

    A Ritz pair with residual < 1e-6 max|θ| is an eigenvalue, and its weight in the spectrum is 1/p,
    whatever the probe's own (vᵀq)², which is a χ²₁/p draw. The other plain weights are rescaled to
    carry the rest.

    Multiple eigenvalues (the null space of dead weights, a rank-deficient G) are told by their
    weight, over all probes together: the draws at one eigenvalue add up to a χ² variable, and one
    that is too large by chance in ten thousand spectra is no simple eigenvalue's. Its multiplicity
    is not known, so its nodes keep the weights of their probes. Where what is left is too heavy as
    a whole, or nothing is left to carry the remaining mass, multiplicities hide among the small
    weights: the plain weights are returned.

    Args:
        runs: fully reorthogonalised, or as good.
        dimension: p, the number of eigenvalues measured.
    """
    nodes, plain, converged = zip(*(_rule(run) for run in runs), strict=True)
    simple = _simple(nodes, [dimension * weights for weights in plain], converged)
    return [_rescaled(*both, dimension) for both in zip(plain, simple, strict=True)]


def _rule(run: Tridiagonal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, plain weights, and which of the nodes have converged."""
    theta, first, last = run.ritz()
    converged = run.residual_norm * np.abs(last) < CONVERGED * np.abs(theta).max()
    return theta, first**2, converged


def _simple(nodes, draws, converged) -> list[np.ndarray]:
    """Which nodes of each run may be taken for simple eigenvalues."""
    theta, draw = (
        np.concatenate([x[mask] for x, mask in zip(y, converged, strict=True)])
        for y in (nodes, draws)
    )
    if not len(theta):
        return list(converged)
    order = np.argsort(theta, kind="stable")
    same = (
        2 * CONVERGED * np.abs(theta).max()
    )  # two Ritz values of one eigenvalue are no farther apart
    group = np.empty(len(theta), dtype=int)
    group[order] = np.r_[0, np.cumsum(np.diff(theta[order]) > same)]
    count, weight = np.bincount(group), np.bincount(group, draw)
    light = weight <= scipy.special.chdtri(count, FALSE_ALARM / len(count))
    as_a_whole = scipy.special.chdtri(max(count[light].sum(), 1), FALSE_ALARM)
    accepted = light[group] & (weight[light].sum() <= as_a_whole)
    runs = np.split(accepted, np.cumsum([mask.sum() for mask in converged])[:-1])
    return [_at(mask, values) for mask, values in zip(converged, runs, strict=True)]


def _at(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`values` at the true places of `mask`, false elsewhere."""
    result = mask.copy()
    result[mask] = values
    return result


def _rescaled(plain: np.ndarray, simple: np.ndarray, dimension: int) -> np.ndarray:
    """1/p where a node is simple; elsewhere plain weights times what makes the sum one."""
    rest, remaining = plain[~simple].sum(), 1.0 - simple.sum() / dimension
    if simple.sum() == dimension:
        return np.full(len(plain), 1.0 / dimension)
    if remaining <= 0 or rest <= 0:
        return plain
    return np.where(simple, 1.0 / dimension, plain * (remaining / rest))
