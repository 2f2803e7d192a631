"""Laws for one branch of a spectrum, fitted to its distribution function by least
Kolmogorov-Smirnov distance.

Both laws have one free parameter, so neither is favoured. On lo ≤ |λ| ≤ hi, hi the largest
eigenvalue of the branch,

    power law     φ(λ) ∝ |λ|^(−a)           a is fitted
    semicircle    φ(λ) ∝ √(R² − λ²)         R ≥ hi is fitted
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hspec.linalg import SpectralMeasure, noise_floor
from hspec.linalg.smoothing import EPSILON

GRID_POINTS = 400  # of the window, evenly in log |λ|: where the distance is taken
PARAMETERS = 400  # tried for each law, twice: over its whole range, then around the best
LEAST_NODES = 5  # in a window, or there is nothing to fit
# nodes next to zero: they stand for the atom and what lies around it, not for eigenvalues of their
# size
SKIPPED = 2
EXPONENTS = (-2.0, 6.0)  # a below zero rises
RADII = (1.0, 100.0)  # in units of hi; a very large radius is the uniform law


@dataclass(frozen=True)
class Branch:
    """The distribution of the eigenvalues of one sign, in the window that the quadrature resolves.

    size   (GRID_POINTS,) |λ|, from lo to hi
    cdf    (n_v, GRID_POINTS) each probe's share of the window's eigenvalues of at most that size:
    from 0 to 1
    mass   share of all eigenvalues that lie in the window
    """

    size: NDArray[np.float64]
    cdf: NDArray[np.float64]
    mass: float


@dataclass(frozen=True)
class Fit:
    """One law's best parameter on one branch: over all probes together, and probe by probe.

    law        "power law" or "semicircle"
    parameter  a, or R in the eigenvalues' units; distance: the Kolmogorov-Smirnov distance at it
    parameters, distances   (n_v,) the same for each probe alone: what their spread says of the
    sampling error
    cdf        (GRID_POINTS,) the fitted distribution function
    """

    law: str
    parameter: float
    distance: float
    parameters: NDArray[np.float64]
    distances: NDArray[np.float64]
    cdf: NDArray[np.float64]


def floors(measure: SpectralMeasure, sign: int) -> dict[str, float]:
    """Sizes |λ| below which a branch says nothing: the float32 noise, ε‖A‖, and the quadrature's
    own resolution.

    "resolution" is the size of the third node from zero, in the probe where it is largest: nearer
    to zero, a few nodes stand for most of the spectrum.
    """
    resolution = max(_sizes(measure, i, sign)[0][SKIPPED] for i in range(measure.num_probes))
    return {
        "noise": noise_floor(measure),
        "ε": EPSILON * max(np.abs(measure.support)),
        "resolution": float(resolution),
    }


def branch(
    measure: SpectralMeasure, sign: int, within: tuple[float, float] | None = None
) -> Branch:
    """The branch of ``sign`` (+1 or −1), by default from the highest of its :func:`floors` to its
    largest node.

    Between two nodes of a Gauss rule its distribution function is known only within bounds; it is
    drawn through their middles, straight over log |λ|, which is nearer to the truth than the rule's
    own steps.

    Raises ValueError where a probe has fewer than five nodes in the window: there is nothing to
    fit.
    """
    probes = [_sizes(measure, i, sign) for i in range(measure.num_probes)]
    whole = max(floors(measure, sign).values()), min(size[-1] for size, _ in probes)
    lo, hi = within or whole
    if _fewest_nodes(measure, sign, (lo, hi)) < LEAST_NODES:
        raise ValueError(
            f"the branch of sign {sign:+d} has too few nodes from {lo:.3g} to {hi:.3g}: take more "
            "Lanczos steps"
        )
    size = np.geomspace(lo, hi, GRID_POINTS)
    raw = np.stack([np.interp(np.log(size), np.log(nodes), middle) for nodes, middle in probes])
    mass = raw[:, -1:] - raw[:, :1]
    return Branch(size, (raw - raw[:, :1]) / mass, float(mass.mean()))


def halves(measure: SpectralMeasure, sign: int) -> tuple[Branch, Branch] | None:
    """The branch cut at the geometric middle of its window: a power law has one exponent in both.

    None where a half has too few nodes to be fitted.
    """
    lo, *_, hi = branch(measure, sign).size
    windows = (lo, float(np.sqrt(lo * hi))), (float(np.sqrt(lo * hi)), hi)
    if min(_fewest_nodes(measure, sign, window) for window in windows) < LEAST_NODES:
        return None
    return branch(measure, sign, windows[0]), branch(measure, sign, windows[1])


def _fewest_nodes(measure: SpectralMeasure, sign: int, within: tuple[float, float]) -> int:
    """Nodes in the window, of the probe that has fewest."""
    probes = [_sizes(measure, i, sign)[0] for i in range(measure.num_probes)]
    return min(int(((size >= within[0]) & (size <= within[1])).sum()) for size in probes)


def _sizes(measure: SpectralMeasure, probe: int, sign: int) -> tuple[NDArray, NDArray]:
    """|θ| of one probe's nodes on a branch, ascending,
    and the middle of the distribution function's step at each.
    """
    nodes, weights = measure.nodes[probe], measure.weights[probe]
    mine = (sign * nodes > 0) & (weights > 0)
    if mine.sum() <= SKIPPED:
        raise ValueError(
            f"the branch of sign {sign:+d} has {mine.sum()} nodes: take more Lanczos steps"
        )
    order = np.argsort(np.abs(nodes[mine]))
    size, weight = np.abs(nodes[mine])[order], weights[mine][order]
    return size, np.cumsum(weight) - weight / 2


def power_law_cdf(size: NDArray, exponents: NDArray) -> NDArray:
    """CDF (k, n) of φ ∝ λ^(−a) on [size[0], size[-1]], for each of the exponents a (k,)."""
    rate = (1 - np.asarray(exponents, dtype=np.float64))[:, None]
    x = np.log(size / size[0])
    near_one = np.abs(rate * x[-1]) < 1e-8  # expm1(r x)/expm1(r X) → x/X
    safe = np.where(near_one, 1.0, rate)
    return np.where(near_one, x / x[-1], np.expm1(safe * x) / np.expm1(safe * x[-1]))


def semicircle_cdf(size: NDArray, radii: NDArray) -> NDArray:
    """CDF (k, n) of φ ∝ √(R² − λ²) on [size[0], size[-1]],
    for each of the radii R ≥ size[-1] (k,).
    """
    u = np.minimum(size / np.asarray(radii, dtype=np.float64)[:, None], 1.0)
    area = u * np.sqrt(1 - u**2) + np.arcsin(u)
    return (area - area[:, :1]) / (area[:, -1:] - area[:, :1])


def fit(law: str, of: Branch) -> Fit:
    """The law's parameter of least Kolmogorov-Smirnov distance to the branch."""
    cdf, candidates = LAWS[law](of.size)
    parameter, distance = _nearest(of.size, of.cdf.mean(0), cdf, candidates)
    alone = np.array([_nearest(of.size, one, cdf, candidates) for one in of.cdf])
    return Fit(
        law, parameter, distance, alone[:, 0], alone[:, 1], cdf(of.size, np.array([parameter]))[0]
    )


def _nearest(
    size: NDArray, target: NDArray, cdf: Callable, candidates: NDArray
) -> tuple[float, float]:
    for _ in range(2):
        distances = np.abs(cdf(size, candidates) - target).max(axis=1)
        best = int(distances.argmin())
        around = candidates[[max(best - 1, 0), min(best + 1, len(candidates) - 1)]]
        found = float(candidates[best]), float(distances[best])
        candidates = np.linspace(*around, PARAMETERS)
    return found


def _exponents(size: NDArray) -> tuple[Callable, NDArray]:
    return power_law_cdf, np.linspace(*EXPONENTS, PARAMETERS)


def _radii(size: NDArray) -> tuple[Callable, NDArray]:
    return semicircle_cdf, size[-1] * np.geomspace(*RADII, PARAMETERS)


LAWS = {"power law": _exponents, "semicircle": _radii}
