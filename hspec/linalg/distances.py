"""Distances between spectra."""

import numpy as np

from hspec.linalg.measure import SpectralMeasure


def wasserstein(a: SpectralMeasure, b: SpectralMeasure) -> float:
    """W_1(a, b) = ∫ |F_a − F_b| dt, in the eigenvalues' units;
    divide by the range to compare matrices.

    F is the cumulative distribution (`SpectralMeasure.cdf`), the mean over probes. Of two spectra
    of p eigenvalues each, W_1 is the mean distance of the i-th of one from the i-th of the other.

    Args:
        a, b: measures, of any numbers of probes, nodes and eigenvalues.

    Example:
        >>> a = SpectralMeasure.from_eigenvalues([0.0, 2.0])
        >>> b = SpectralMeasure.from_eigenvalues([1.0, 5.0])
        >>> wasserstein(a, b)
        2.0
    """
    t = _breakpoints(a, b)
    return float(np.abs(a.cdf(t) - b.cdf(t))[:-1] @ np.diff(t))


def kolmogorov_smirnov(a: SpectralMeasure, b: SpectralMeasure, outside: float = 0.0) -> float:
    """sup |F_a(t) − F_b(t)| over |t| ≥ outside · max|λ|.

    A spectrum with a huge atom near zero dominates the plain distance (0.85 for a perfect run):
    `outside=1e-3` looks beyond the atom. max|λ| is taken over both measures.

    Args:
        a, b: measures, of any numbers of probes, nodes and eigenvalues.
        outside: a share of max|λ|; what lies nearer to zero than that is left out. 0 leaves out
            nothing.

    Returns:
        A share of eigenvalues, from 0 to 1.

    Example:
        >>> a = SpectralMeasure.from_eigenvalues([0.0, 1.0, 2.0, 3.0])
        >>> b = SpectralMeasure.from_eigenvalues([0.0, 0.0, 2.0, 3.0])
        >>> kolmogorov_smirnov(a, b), kolmogorov_smirnov(a, b, outside=0.5)
        (0.25, 0.0)
    """
    t = _breakpoints(a, b)
    cut = outside * np.abs(t).max()
    t = np.unique(np.r_[t, -cut, cut])
    difference = np.abs(a.cdf(t) - b.cdf(t))
    at, before = (
        difference,
        np.r_[0.0, difference[:-1]],
    )  # F is constant from one breakpoint to just before the next
    return float(max(at[np.abs(t) >= cut].max(), before[(t <= -cut) | (t > cut)].max(initial=0.0)))


def _breakpoints(a: SpectralMeasure, b: SpectralMeasure) -> np.ndarray:
    nodes = np.concatenate([a.nodes.ravel(), b.nodes.ravel()])
    return np.unique(nodes[np.isfinite(nodes)])
