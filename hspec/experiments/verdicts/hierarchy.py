"""P18-6, P18-7 and P18-8: the clusters of the means, and how far the parts of G lie from each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.quantities import level_separation
from hspec.experiments.store import Record
from hspec.experiments.verdicts.tail import trend_verdicts

FLOOR = 1e-5  # relative to the largest eigenvalue: P20's ε of the log-spectrum
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


def separation_of(record: Record, part: str, floor: float = FLOOR) -> tuple[float, float]:
    """How far A1 or B1 lies above B2, and the standard error over probes; ``floor`` is relative to the largest."""
    largest = max(record["A1"].max(), record["B1"].max(), np.nanmax(record["B2_nodes"]))
    return level_separation(record[part], record["B2_nodes"], record["B2_weights"], floor * largest)


def verdict_bulks(record: Record, floor: float = FLOOR) -> list[Verdict]:
    """P18-7: whether B1's and B2's eigenvalues make two bulks."""
    value, error = separation_of(record, "B1", floor)
    return [
        Verdict(
            "P18-7",
            "separation of B1 from B2: medians of log λ over the pooled interquartile range",
            f"{value:.2f} ± {error:.2f}",
            f"more than {APART:g}",
            outcome(value > APART, decided=bool(abs(value - APART) > SURE * error)),
        )
    ]


def verdict_growth(grid: Grid, records: Mapping[Cell, Record | None], floor: float = FLOOR) -> list[Verdict]:
    """P18-8: the signs of four trends."""
    b1, a1 = (
        grid.table(records, lambda r, part=part: separation_of(r, part, floor)[0]) for part in ("B1", "A1")
    )
    return [
        *trend_verdicts("P18-8", "separation of B1 from B2", b1, {"epochs": +1, "sample size": -1}),
        *trend_verdicts("P18-8", "separation of A1 from B2", a1, {"epochs": +1, "sample size": +1}),
    ]
