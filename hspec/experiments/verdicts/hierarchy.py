"""P18-6, P18-7 and P18-8: the clusters of the means, and how far the parts of G lie from each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.quantities import level_separation
from hspec.experiments.records import Record
from hspec.experiments.verdicts.tail import trend_verdicts

READINGS = {"trace": "by trace", "count": "by number"}
ROUNDING = 1e-6  # relative to the largest eigenvalue: ten times the rounding of single-precision gradients
SIGNIFICANT = 0.01  # of the permutation test
APART = 1.0  # in pooled interquartile ranges: the medians lie outside each other's middle halves, roughly
SURE = 2.0  # standard errors


def verdict_clusters(record: Record) -> list[Verdict]:
    """P18-6, in the original distances: silhouette under the true class, and nearest class means."""
    return [silhouette_verdict(record), nearest_verdict(record)]


def silhouette_summary(record: Record, metric: str) -> dict[str, float]:
    """Mean silhouettes of the g_{c,c'}: by c with its standard error over classes, by c', shuffled; p of the first."""
    values, labels, permuted = (
        record[name] for name in (f"{metric}_silhouette", "true_class", f"{metric}_permuted")
    )
    by_class = np.array([values[labels == c].mean() for c in np.unique(labels)])
    return {
        "true": float(values.mean()),
        "error": float(by_class.std(ddof=1) / np.sqrt(len(by_class))),
        "other": float(record[f"{metric}_other_silhouette"].mean()),
        "permuted": float(permuted.mean()),
        "p": float((1 + (permuted >= values.mean()).sum()) / (1 + len(permuted))),
    }


def silhouette_verdict(record: Record) -> Verdict:
    found = silhouette_summary(record, "euclidean")
    return Verdict(
        "P18-6",
        "silhouette of the g_{c,c'} under label c, Euclidean distance (± s.e. over classes)",
        f"{found['true']:.2f} ± {found['error']:.2f}, p = {found['p']:.2g}; under label c' {found['other']:.2f}",
        f"positive, more than under label c', p ≤ {SIGNIFICANT:g} under shuffled labels",
        outcome(found["true"] > max(0.0, found["other"]) and found["p"] <= SIGNIFICANT),
    )


def nearest_share(record: Record, metric: str) -> float:
    """Share of the g_{c,c'} to which g_c is the nearest of all class means."""
    return float((record[f"{metric}_nearest"] == record["true_class"]).mean())


def nearest_verdict(record: Record) -> Verdict:
    share, count = nearest_share(record, "euclidean"), len(record["true_class"])
    error = np.sqrt(max(share * (1 - share), 1 / count) / count)
    return Verdict(
        "P18-6",
        "share of the g_{c,c'} whose nearest class mean is g_c",
        f"{share:.2f} ± {error:.2f} (by chance {1 / int(record['num_classes']):.2f})",
        "more than one half",
        outcome(share > 0.5, decided=bool(abs(share - 0.5) > SURE * error)),
    )


def separation_of(
    record: Record, part: str, by: str = "trace", floor: float | None = None, *, exact: bool = True
) -> tuple[float, float]:
    """How far A1 or B1 lies above B2, and the standard error over probes (0 where B2's spectrum is exact).

    by     "trace" or "count": see :func:`hspec.experiments.quantities.level_separation`
    floor  relative to the largest eigenvalue of all parts; None: by count, rounding where B2 is exact, else what the
           quadrature resolves (:func:`resolution`); by trace, zero
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


def check_reading(by: str) -> str:
    """``by`` itself, if it is a key of :data:`READINGS`; ValueError otherwise."""
    if by not in READINGS:
        raise ValueError(f"eigenvalues count by one of {', '.join(READINGS)}; got {by!r}")
    return by


def resolution(nodes: np.ndarray) -> float:
    """The eigenvalue above which the nodes (n_v, m) of a quadrature place a quartile reliably.

    Near the edge of a spectrum the nodes lie like Chebyshev's, the j-th at (jπ/2m)² of its width; the third is taken.
    """
    return float((3 * np.pi / (2 * nodes.shape[1])) ** 2 * np.nanmax(nodes))


def verdict_bulks(record: Record) -> list[Verdict]:
    """P18-7: whether B1's and B2's eigenvalues make two bulks; by the trace they carry, and by their number."""
    return [bulks_verdict(record, by) for by in READINGS]


def bulks_verdict(record: Record, by: str) -> Verdict:
    value, error = separation_of(record, "B1", by)
    sure = abs(value - APART) > SURE * np.nan_to_num(error, nan=np.inf)
    return Verdict(
        "P18-7",
        f"separation of B1 from B2, {READINGS[by]}",
        f"{value:.2f} ± {error:.2f}",
        f"more than {APART:g}",
        outcome(value > APART, decided=bool(sure)),
    )


def verdict_growth(grid: Grid, records: Mapping[Cell, Record | None]) -> list[Verdict]:
    """P18-8: the signs of four trends, in both readings. B2's exact spectra are left aside: few cells have them."""
    return [verdict for by in READINGS for verdict in growth_verdicts(grid, records, by)]


def growth_verdicts(grid: Grid, records: Mapping[Cell, Record | None], by: str) -> list[Verdict]:
    b1, a1 = (separation_table(grid, records, part, by) for part in ("B1", "A1"))
    return [
        *trend_verdicts(
            "P18-8", f"separation of B1 from B2, {READINGS[by]}", b1, {"epochs": +1, "sample size": -1}
        ),
        *trend_verdicts(
            "P18-8", f"separation of A1 from B2, {READINGS[by]}", a1, {"epochs": +1, "sample size": +1}
        ),
    ]


def separation_table(grid: Grid, records: Mapping[Cell, Record | None], part: str, by: str) -> np.ndarray:
    """Separations from B2's quadrature, (repeats, epochs, sample sizes)."""
    return grid.table(records, lambda r: separation_of(r, part, by, exact=False)[0])
