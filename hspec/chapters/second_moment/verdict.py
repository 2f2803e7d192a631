"""P19-2: whether a centred G has lost the outliers of G."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import Verdict, finding, judge
from hspec.experiments.records import Record

ROUNDING = 1e-3  # relative: the residual to which λ_C is known
WAYS = {"subtracted": "subtracted", "projected": "projected out"}
MEANS = {
    "global": "the one mean of all δ_{n,c'}",
    "class": "the δ_c and δ_{c,c}",
    "cross": "all δ_{c,c'}",
    "shuffled": "means of random groups",
}
DECIDING = (
    ("class", "subtracted"),
    ("class", "projected"),
    ("cross", "subtracted"),
    ("cross", "projected"),
)


def verdict_second_moment(record: Record) -> list[Verdict]:
    """Largest eigenvalue of G about its class means, and about its cross-class means.

    Each in two ways.
    """
    return [
        centred_verdict(record, level, way) for level, way in DECIDING if f"{level}_{way}_nodes" in record
    ]


def centred_verdict(record: Record, level: str, way: str) -> Verdict:
    count, largest = survivors(record, f"{level}_{way}_")
    return Verdict(
        "P19-2",
        f"G with {MEANS[level]} {WAYS[way]}: its largest eigenvalue over λ_C(G)",
        f"{largest:.2f}; {count} above λ_C(G), of {record.num_classes} of G's",
        "at most 1: the outliers are gone; that it counts from λ_C on is ours",
        *judge(largest, 1 + ROUNDING),
    )


def survivors(record: Record, prefix: str) -> tuple[int, float]:
    """How many eigenvalues of a centred G lie above λ_C(G), and the largest over λ_C(G).

    Ritz values of the probe that shows most: each is at most the eigenvalue that it stands for.
    """
    edge = record["g_top"][record.num_classes - 1]
    nodes = np.nan_to_num(record[f"{prefix}nodes"])
    return int((nodes > edge * (1 + ROUNDING)).sum(axis=1).max()), float(nodes.max() / edge)


def outliers_left(record: Record, prefix: str) -> float:
    """Sum of the C largest Ritz values of a centred G over that of G, of the probe with the largest."""
    nodes = np.sort(np.nan_to_num(record[f"{prefix}nodes"]), axis=1)[:, ::-1]
    c = record.num_classes
    return float(nodes[:, :c].sum(1).max() / record["g_top"][:c].sum())


def findings(record: Record) -> list[str]:
    """In this run: what each centring leaves, the random groups, and the mean that is zero."""
    rows = {pair: centred_verdict(record, *pair) for pair in DECIDING if f"{'_'.join(pair)}_nodes" in record}
    told = [
        finding(
            f"About the means by {name} the largest eigenvalue is, in units of $\\lambda_C(G)$: "
            + "; ".join(
                f"{verdict.value} ({WAYS[way]})" for (of, way), verdict in rows.items() if of == level
            )
            + ".",
            *(verdict for (of, _), verdict in rows.items() if of == level),
        )
        for level, name in (("class", "class"), ("cross", "class and label"))
    ]
    count, largest = survivors(record, "shuffled_subtracted_")
    of_one, _ = survivors(record, "global_subtracted_")
    return [
        *told,
        f"Means of as many groups drawn at random leave {count} eigenvalues above $\\lambda_C(G)$, the largest "
        f"{largest:.2f} $\\lambda_C(G)$; the one mean of all leaves {of_one}.",
        f"The mean of the $g_{{n,c'}}$ under the weights $p_{{n,c'}}$ is zero to {float(record['weighted_mean']):.0e} "
        "of its terms.",
    ]
