"""How far the parts of G lie from each other: A1 or B1 from B2,
eigenvalues counted or weighted by the trace.
"""

from __future__ import annotations

import numpy as np

from hspec.experiments.records import Record
from hspec.statistics import mean_and_error

READINGS = {"trace": "by trace", "count": "by number"}
ROUNDING = (
    1e-6  # relative to the largest eigenvalue: ten times the rounding of single-precision gradients
)


def separation_of(
    record: Record, part: str, by: str = "trace", floor: float | None = None, *, exact: bool = True
) -> tuple[float, float]:
    """How far A1 or B1 lies above B2, and the standard error over probes (0 where B2's spectrum is
    exact).

    by     "trace" or "count": see :func:`hspec.experiments.quantities.level_separation`
    floor  relative to the largest eigenvalue of all parts; None: by count, rounding where B2 is
           exact, else what the quadrature resolves (:func:`resolution`); by trace, zero
    exact  whether to use B2's exact spectrum where the record has it
    """
    nodes, weights = record["B2_nodes"], record["B2_weights"]
    exact = exact and "exact_B2" in record
    if exact:
        nodes = record["exact_B2"][None]
        weights = np.ones(nodes.shape)
    largest = max(record["A1"].max(), record["B1"].max(), np.nanmax(nodes))
    if floor is not None:
        floor *= largest
    else:
        floor = 0.0 if by == "trace" else ROUNDING * largest if exact else resolution(nodes)
    value, error = level_separation(record[part], nodes, weights, by=by, floor=floor)
    return value, 0.0 if exact else error


def resolved_from(record: Record) -> float:
    """How small an eigenvalue of B2 may be that the record's quadrature resolves, relative to the
    largest of all parts: :func:`resolution`.
    """
    nodes = record["B2_nodes"]
    return resolution(nodes) / max(record["A1"].max(), record["B1"].max(), np.nanmax(nodes))


def check_reading(by: str) -> str:
    """``by`` itself, if it is a key of :data:`READINGS`; ValueError otherwise."""
    if by not in READINGS:
        raise ValueError(f"eigenvalues count by one of {', '.join(READINGS)}; got {by!r}")
    return by


def resolution(nodes: np.ndarray) -> float:
    """The eigenvalue above which the nodes (n_v, m) of a quadrature place a quartile reliably.

    Near the edge of a spectrum the nodes lie like Chebyshev's, the j-th at (jπ/2m)² of its width;
    the third is taken.
    """
    return float((3 * np.pi / (2 * nodes.shape[1])) ** 2 * np.nanmax(nodes))


def separation(upper: tuple[np.ndarray, np.ndarray], lower: tuple[np.ndarray, np.ndarray]) -> float:
    """Distance of two groups of positive eigenvalues in units of their spread, on a logarithmic
    axis.

    upper, lower  each (values, weights) of any lengths

        (median log λ of upper − median log λ of lower) / √((IQR² of upper + IQR² of lower) / 2)

    It is positive where ``upper`` lies above; at 1 the groups' medians are one interquartile range
    apart.
    Raises ValueError for a group without positive values.
    """
    quartiles = [log_quartiles(*group) for group in (upper, lower)]
    pooled = np.sqrt(np.mean([(q[2] - q[0]) ** 2 for q in quartiles]))
    return float((quartiles[0][1] - quartiles[1][1]) / pooled)


def log_quartiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The three quartiles of log10 of the positive values under weights,
    linear between the weights' midpoints.
    """
    values, weights = np.ravel(values), np.ravel(weights)
    real = (values > 0) & (weights > 0)
    if not real.any():
        raise ValueError("quartiles of a logarithm need positive values with positive weights")
    order = np.argsort(values[real])
    x, w = np.log10(values[real][order]), weights[real][order]
    return np.interp([0.25, 0.5, 0.75], (np.cumsum(w) - w / 2) / w.sum(), x)


def level_separation(
    upper: np.ndarray, nodes: np.ndarray, weights: np.ndarray, *, by: str, floor: float = 0.0
) -> tuple[float, float]:
    """:func:`separation` of one part of G from its within-class part B2, and the standard error
    over probes.

    upper           exact eigenvalues of A1 or B1
    nodes, weights  (n_v, m), the quadrature of B2; one separation a probe
    by              "count": every eigenvalue above ``floor`` (absolute) counts one. A null space,
                    and what quadrature and rounding cannot tell from it, would decide the medians
                    without a floor. "trace": every eigenvalue counts as much as its share of the
                    trace. Small ones then do not matter, and what matters is what a quadrature
                    resolves; the floor is not needed.

    NaN where a group has no eigenvalue above the floor: then there is nothing to separate.
    Raises ValueError for another ``by``.
    """
    if by not in ("count", "trace"):
        raise ValueError(f'a separation is by "count" or by "trace", got {by!r}')

    def weighted(values, multiplicity):
        values = np.nan_to_num(values)
        return values, np.where(
            values > floor, multiplicity * (values if by == "trace" else 1.0), 0.0
        )

    group = weighted(upper, np.ones(len(upper)))
    rows = [weighted(n, w) for n, w in zip(nodes, weights, strict=True)]
    if not all((multiplicity > 0).any() for _, multiplicity in (group, *rows)):
        return float("nan"), float("nan")
    found = [separation(group, row) for row in rows]
    mean, error = mean_and_error(found)
    return float(mean), float(error)
