"""Pictures of a spectral measure: Gaussian smoothing, on a linear or a logarithmic axis.

Widths are choices of a drawing, not of a measurement; a drawn density is never rescaled, so clipped
mass shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from hspec.linalg.measure import SpectralMeasure

EPSILON = 1e-5  # relative to ‖A‖; P20 C.7: the density of log(|A| + ε I)
CHUNK = 1 << 22  # kernel values held at a time


def density(measure: SpectralMeasure, t: ArrayLike, width: float) -> np.ndarray:
    """φ_σ(t) = mean over probes of Σ_k τ_k exp(−(t − θ_k)²/2σ²)/√(2π)σ; σ = width, in the
    eigenvalues' units.

    It integrates to 1 over the line; over a grid that clips the spectrum, to less.
    Source: GKX19, P20 (appendix D.2).
    """
    nodes, weights = _flat(measure)
    return _mixture(np.asarray(t, dtype=np.float64), nodes, weights, width)


def log_density(
    measure: SpectralMeasure, log10_t: ArrayLike, sign: int, width: float, epsilon: float = EPSILON
) -> np.ndarray:
    """Density of the eigenvalues of one sign per unit of x = log10|λ|, smoothed in log space.

    With y = log10(|λ| + ε‖A‖), the nodes' y are smoothed by a Gaussian of `width` decades, and the
    change of variables y → x is made at the grid point: ψ(y(x)) · 10^x/(10^x + ε‖A‖). ‖A‖ is the
    largest |node|. Below ε‖A‖ the picture is that of the kernel, not of the spectrum. The branches'
    masses add up to 1 less the mass at exactly zero, which is on neither. Divide by ln(10)·10^x for
    the density per unit of λ: a power law is a straight line there.

    sign: +1 or −1.   Source: P20, C.7.
    """
    if sign not in (1, -1):
        raise ValueError(f"sign is +1 or -1, the branch to draw; got {sign}.")
    nodes, weights = _flat(measure)
    shift = epsilon * np.abs(nodes).max()
    branch = nodes * sign > 0
    x = np.asarray(log10_t, dtype=np.float64)
    y = np.log10(10.0**x + shift)
    slope = 10.0**x / (10.0**x + shift)
    return slope * _mixture(y, np.log10(np.abs(nodes[branch]) + shift), weights[branch], width)


def noise_floor(measure: SpectralMeasure, precision: str = "float32") -> float:
    """eps · ‖A‖: products in that precision say nothing about eigenvalues smaller than this;
    draw none below it.

    ‖A‖ is the measure's largest |node|, so the floor is in the eigenvalues' units.

    Args:
        measure: of the matrix whose products were taken.
        precision: NumPy's name of the dtype they were taken in: "float32" or "float64".

    Example:
        >>> print(f"{noise_floor(SpectralMeasure.from_eigenvalues([-1.0, 0.0, 4.0])):.2e}")
        4.77e-07
    """
    return float(np.finfo(precision).eps * max(np.abs(measure.support)))


def _flat(measure: SpectralMeasure) -> tuple[np.ndarray, np.ndarray]:
    """All probes' nodes and their weights in the mean."""
    real = np.isfinite(measure.nodes) & (measure.weights > 0)
    return measure.nodes[real], measure.weights[real] / measure.num_probes


def _mixture(t: np.ndarray, nodes: np.ndarray, weights: np.ndarray, width: float) -> np.ndarray:
    if not width > 0:
        raise ValueError(f"The kernel width must be positive; got {width}.")
    result = np.zeros(t.shape)
    step = max(1, CHUNK // max(t.size, 1))
    for start in range(0, len(nodes), step):
        some = slice(start, start + step)
        z = (t[..., None] - nodes[some]) / width
        result += np.exp(-0.5 * z**2) @ weights[some]
    return result / (np.sqrt(2 * np.pi) * width)


def _papyan_width(kappa: float) -> Callable[[SpectralMeasure, int], float]:
    def width(measure: SpectralMeasure, num_steps: int) -> float:
        if num_steps < 2:
            raise ValueError(f"This width needs at least two Lanczos steps; got {num_steps}.")
        low, high = measure.support
        half_range = 0.5 * (high - low) * (1 + 2 * MARGIN)
        return half_range * 2 / (num_steps - 1) / np.sqrt(8 * np.log(kappa))

    return width


def _ghorbani_width(measure: SpectralMeasure, num_steps: int) -> float:
    low, high = measure.support
    return float(np.sqrt(1e-5 * max(1.0, high - low)))


MARGIN = (
    0.05  # P19's code: the range is widened by 5 % at each end before it is rescaled to [−1, 1]
)

# Published kernel widths σ(measure, number of Lanczos steps), in the eigenvalues' units.
KERNEL_WIDTHS = {
    "P20": _papyan_width(kappa=3.0),  # P20 D.2
    "P19": _papyan_width(kappa=1.25),  # P19's code
    "GKX19": _ghorbani_width,  # GKX19's code: σ² = 1e-5 · max(1, λ_max − λ_min), on 10,000 points
}
