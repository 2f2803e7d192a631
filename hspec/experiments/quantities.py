"""The spectral quantities that chapters report; the book's notation page defines them."""

from __future__ import annotations

import numpy as np
import scipy.stats

from hspec.linalg import SpectralMeasure


def outlier_count(eigenvalues: np.ndarray, num_classes: int) -> tuple[int, float]:
    """Number of outliers: the position k ≤ 3C of the largest ratio λ_k / λ_{k+1}, and that ratio.

    eigenvalues  the largest eigenvalues, in any order; at least two must be positive
    Only positive eigenvalues are compared: a ratio across zero says nothing.
    """
    top = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    top = top[top > 0][: 3 * num_classes + 1]
    if len(top) < 2:
        raise ValueError(f"counting outliers needs at least two positive eigenvalues, got {len(top)}")
    ratios = top[:-1] / top[1:]
    k = int(ratios.argmax())
    return k + 1, float(ratios[k])


def tail_share(
    nodes: np.ndarray, g_parts: np.ndarray, weights: np.ndarray, tail: float
) -> tuple[float, float]:
    """Share of the bulk's upper tail that is G's, and its standard error over probes (NaN for one probe).

    nodes, g_parts, weights   (n_v, r): Ritz values θ of the deflated Hessian in descending order, uᵀ G u of their
                              vectors, and quadrature weights w; padded with NaN
    tail                      the share of the bulk's eigenvalues that counts as its tail

        share = Σ w uᵀ G u / Σ w θ,    over the nodes, from the largest, that hold the mass ``tail``, and over probes:

    the part of the tail's sum of eigenvalues, tr(Π Hess Π) with Π the tail's projector, that is tr(Π G Π). The rest is
    H's. G's part is never negative; where H is negative on the tail, G's share exceeds one.
    """
    weights = np.nan_to_num(weights)
    before = np.pad(np.cumsum(weights, axis=1), ((0, 0), (1, 0)))[:, :-1]  # mass of larger nodes
    inside = np.where(before < tail, weights, 0.0)
    part = (inside * np.nan_to_num(g_parts)).sum(1)
    whole = (inside * np.nan_to_num(nodes)).sum(1)
    share = part.sum() / whole.sum()
    if len(whole) < 2:
        return float(share), float("nan")
    scatter = (part - share * whole).std(ddof=1) / np.sqrt(len(whole))
    return float(share), float(scatter / abs(whole.mean()))


def separation(upper: tuple[np.ndarray, np.ndarray], lower: tuple[np.ndarray, np.ndarray]) -> float:
    """Distance of two groups of positive eigenvalues in units of their spread, on a logarithmic axis.

    upper, lower  each (values, weights) of any lengths

        (median log λ of upper − median log λ of lower) / √((IQR² of upper + IQR² of lower) / 2)

    It is positive where ``upper`` lies above; at 1 the groups' medians are one interquartile range apart.
    Raises ValueError for a group without positive values.
    """
    quartiles = [log_quartiles(*group) for group in (upper, lower)]
    pooled = np.sqrt(np.mean([(q[2] - q[0]) ** 2 for q in quartiles]))
    return float((quartiles[0][1] - quartiles[1][1]) / pooled)


def log_quartiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The three quartiles of log10 of the positive values under weights, linear between the weights' midpoints."""
    values, weights = np.ravel(values), np.ravel(weights)
    real = (values > 0) & (weights > 0)
    if not real.any():
        raise ValueError("quartiles of a logarithm need positive values with positive weights")
    order = np.argsort(values[real])
    x, w = np.log10(values[real][order]), weights[real][order]
    return np.interp([0.25, 0.5, 0.75], (np.cumsum(w) - w / 2) / w.sum(), x)


def energy_ratio(part: SpectralMeasure, whole: SpectralMeasure) -> tuple[float, float]:
    """‖A‖_F² / ‖B‖_F² from the second moments of two quadratures, and its standard error (NaN for one probe).

    Both must come from the same probes, one row each: their errors then largely cancel in the ratio (delta method).
    """
    if part.num_probes != whole.num_probes:
        raise ValueError(
            f"the probes must be the same: {part.num_probes} of one, {whole.num_probes} of the other"
        )
    above, below = (m.dimension * np.nansum(m.weights * m.nodes**2, axis=1) for m in (part, whole))
    ratio = above.mean() / below.mean()
    if len(above) < 2:
        return float(ratio), float("nan")
    scatter = (above - ratio * below).std(ddof=1) / np.sqrt(len(above))
    return float(ratio), float(scatter / below.mean())


def mean_and_interval(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the first axis, the probes, and the half-width of its Student-t interval; NaN for a single probe."""
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n < 2:
        return values[0], np.full(values[0].shape, np.nan)
    t = scipy.stats.t.ppf(0.5 + level / 2, n - 1)
    return values.mean(0), t * values.std(0, ddof=1) / np.sqrt(n)


def level_separation(
    upper: np.ndarray, nodes: np.ndarray, weights: np.ndarray, *, by: str, floor: float = 0.0
) -> tuple[float, float]:
    """:func:`separation` of one part of G from its within-class part B2, and the standard error over probes.

    upper           exact eigenvalues of A1 or B1
    nodes, weights  (n_v, m), the quadrature of B2; one separation a probe
    by              "count": every eigenvalue above ``floor`` (absolute) counts one. A null space, and what quadrature
                    and rounding cannot tell from it, would decide the medians without a floor.
                    "trace": every eigenvalue counts as much as its share of the trace. Small ones then do not matter,
                    and what matters is what a quadrature resolves; the floor is not needed.

    NaN where a group has no eigenvalue above the floor: then there is nothing to separate.
    Raises ValueError for another ``by``.
    """
    if by not in ("count", "trace"):
        raise ValueError(f'a separation is by "count" or by "trace", got {by!r}')

    def weighted(values, multiplicity):
        values = np.nan_to_num(values)
        return values, np.where(values > floor, multiplicity * (values if by == "trace" else 1.0), 0.0)

    group = weighted(upper, np.ones(len(upper)))
    rows = [weighted(n, w) for n, w in zip(nodes, weights, strict=True)]
    if not all((multiplicity > 0).any() for _, multiplicity in (group, *rows)):
        return float("nan"), float("nan")
    found = np.array([separation(group, row) for row in rows])
    sem = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
    return float(found.mean()), float(sem)
