"""P19-2: whether a centred G has lost the outliers of G."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import Verdict, finding, judge, typeset
from hspec.experiments.records import Record
from hspec.experiments.uncertainty import ONE_NET

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
        centred_verdict(record, level, way)
        for level, way in DECIDING
        if f"{level}_{way}_nodes" in record
    ]


def centred_verdict(record: Record, level: str, way: str) -> Verdict:
    count, largest = survivors(record, f"{level}_{way}_")
    return Verdict(
        "P19-2",
        f"G with {MEANS[level]} {WAYS[way]}: its largest eigenvalue over λ_C(G)",
        f"{largest:.2f}; {count} above λ_C(G), where G has {record.num_classes - 1}",
        ("ritz", ONE_NET),
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
    """Sum of the C largest Ritz values of a centred G over that of G,
    of the probe with the largest.
    """
    nodes = np.sort(np.nan_to_num(record[f"{prefix}nodes"]), axis=1)[:, ::-1]
    c = record.num_classes
    return float(nodes[:, :c].sum(1).max() / record["g_top"][:c].sum())


def findings(record: Record) -> list[str]:
    """In this run: what each centring leaves, the random groups, and the mean that is zero."""
    random = [survivors(record, f"shuffled_{way}_")[0] for way in WAYS]
    of_one, _ = survivors(record, "global_subtracted_")
    return [
        level_finding(record, "class", "classes"),
        level_finding(record, "cross", "classes and labels"),
        f"Of {record.num_classes - 1} eigenvalues of $G$ above $\\lambda_C(G)$, the means of as "
        f"many groups drawn at random leave {random[0]} where they are subtracted and {random[1]} "
        f"where they are projected out; subtracting the one mean of all leaves {of_one}.",
        f"The mean of the $g_{{n,c'}}$ under the weights $p_{{n,c'}}$ is zero to "
        f"{typeset(float(record['weighted_mean']))} of its terms.",
    ]


def level_finding(record: Record, level: str, name: str) -> str:
    """What is left about the means of one level, both ways."""
    rows = [row for row in DECIDING if row[0] == level and f"{'_'.join(row)}_nodes" in record]
    left = " and ".join(
        f"{survivors(record, f'{of}_{way}_')[1]:.2f} $\\lambda_C(G)$ where they are {WAYS[way]}"
        for of, way in rows
    )
    return finding(
        f"About the means of {name} the largest eigenvalue is {left}.",
        *(centred_verdict(record, *row) for row in rows),
    )
