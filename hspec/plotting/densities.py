"""Each probe's own smoothed density: what bands are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from hspec.linalg import SpectralMeasure
from hspec.linalg.smoothing import EPSILON


def probe_densities(measure: SpectralMeasure, t: ArrayLike, width: float) -> np.ndarray:
    """Each probe's φ_σ(t), see `SpectralMeasure.density`: (n_v, *t.shape), whose mean is the
    density.

    Args:
        measure: of n_v probes.
        t: eigenvalues, of any shape.
        width: σ of the Gaussian kernel, in the eigenvalues' units.

    Example:
        >>> measure = SpectralMeasure([[0.0, 1.0], [0.5, 1.0]], *2 * [[[0.5, 0.5], [0.5, 0.5]]], 4)
        >>> probe_densities(measure, [0.0, 0.5, 1.0], width=0.2).shape
        (2, 3)

    Source: GKX19 (the smoothed density).
    """
    return _by_probe(measure, lambda one: one.density(t, width))


def probe_log_densities(
    measure: SpectralMeasure,
    log10_t: ArrayLike,
    sign: int,
    width: float,
    epsilon: float = EPSILON,
) -> np.ndarray:
    """Each probe's density per decade of one branch, see `SpectralMeasure.log_density`: (n_v,
    *t.shape).

    The shift ε‖A‖ is each probe's own; ‖A‖, its largest node, differs little among them.

    Args:
        measure: Of n_v probes.
        log10_t: Decimal logarithms of |λ|, of any shape.
        sign: 1 for the positive eigenvalues, −1 for the negative ones.
        width: σ of the Gaussian kernel, in decades.
        epsilon: What lies within ε‖A‖ of zero is not resolved.

    Example:
        >>> import numpy as np
        >>> from hspec.linalg import SpectralMeasure
        >>> halves = [[0.5, 0.5], [0.5, 0.5]]
        >>> measure = SpectralMeasure([[0.01, 1.0], [0.02, 1.0]], halves, halves, 4)
        >>> probe_log_densities(measure, np.linspace(-3, 1, 5), sign=1, width=0.1).shape
        (2, 5)

    Source: P20, C.7.
    """
    return _by_probe(measure, lambda one: one.log_density(log10_t, sign, width, epsilon))


def _by_probe(
    measure: SpectralMeasure, density: Callable[[SpectralMeasure], np.ndarray]
) -> np.ndarray:
    return np.stack([density(one) for one in _probes(measure)])


def _probes(measure: SpectralMeasure) -> Iterator[SpectralMeasure]:
    rows = zip(measure.nodes, measure.weights, measure.plain_weights, measure.exact, strict=True)
    return (SpectralMeasure(n, w, plain, measure.dimension, exact) for n, w, plain, exact in rows)
