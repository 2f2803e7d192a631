"""P19-3: whether the means δ_{c,c'} cluster by the logit c' first, and by the class c later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hspec.experiments.claims import OUTCOMES, Verdict, finding, outcome
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.records import Record
from hspec.experiments.uncertainty import marked
from hspec.statistics import interval, mean_and_error
from hspec.words import counted

METRICS = {"euclidean": "Euclidean distance", "cosine": "cosine distance"}
Records = Mapping[Cell, Record | None]


def verdict_order(grid: Grid, records: Records) -> list[Verdict]:
    """In both metrics: which label leads at the first epoch and at the last,
    and whether it makes clusters.
    """
    return [verdict for metric in METRICS for verdict in order_in(grid, records, metric)]


def order_in(grid: Grid, records: Records, metric: str) -> list[Verdict]:
    """Three rows: the leader first, the leader last,
    and the smaller of their two silhouettes."""
    early, late = grid.epochs[0], grid.epochs[-1]
    ahead = class_ahead(grid, records, metric)
    first = silhouette_table(grid, records, "logit", metric)[:, 0]
    last = silhouette_table(grid, records, "class", metric)[:, -1]
    what = f"mean silhouette of the δ_{{c,c'}} by {METRICS[metric]}"
    rows = (
        (f"{what} after epoch {early}, under label c' less that under label c", -ahead[:, 0], ""),
        (
            f"{what} after epoch {late}, under label c less that under label c'",
            ahead[:, -1],
            f"; {crossing_epochs(ahead, grid.epochs)}",
        ),
        (
            f"{what}, the smaller of c' early and c late: clusters at all",
            np.minimum(first, last),
            "",
        ),
    )
    return [sign_verdict(*row) for row in rows]


def sign_verdict(quantity: str, values: np.ndarray, more: str) -> Verdict:
    """Whether it is positive, by Student's interval over repeats (R,)."""
    mean, error = mean_and_error(values)
    low, high = interval(mean, error, len(values))
    return Verdict(
        "P19-3",
        quantity,
        f"{marked('seed', float(mean), low, high)}{more}",
        (counted(len(values), "seed"),),
        "positive",
        *judged_sign(low, high),
    )


def judged_sign(low: float, high: float) -> tuple[str, str]:
    """Outcome and margin of "it is positive", from the 95 % interval."""
    if not np.isfinite([low, high]).all():
        return OUTCOMES[2], "one repeat has no uncertainty"
    if low <= 0 <= high:
        return OUTCOMES[2], "zero is within the uncertainty"
    return outcome(low > 0), f"95 % interval {low:.2f} to {high:.2f}"


def silhouette_table(
    grid: Grid, records: Records, label: str, metric: str = "euclidean"
) -> np.ndarray:
    """Mean silhouettes under "class" or "logit": (repeats, epochs)."""
    name = f"{metric}_{'' if label == 'class' else 'other_'}silhouette"
    return grid.table(records, lambda record: record[name].mean())[:, :, -1]


def class_ahead(grid: Grid, records: Records, metric: str = "euclidean") -> np.ndarray:
    """Silhouette under label c less that under c' (repeats, epochs)."""
    by_class, by_logit = (
        silhouette_table(grid, records, label, metric) for label in ("class", "logit")
    )
    return by_class - by_logit


def effect_table(
    grid: Grid, records: Records, effect: int, metric: str = "euclidean"
) -> np.ndarray:
    """Shares of the variance (repeats, epochs).

    What the class explains (0), the logit (1), both (2).
    """
    return grid.table(records, lambda record: record[f"{metric}_effects"][effect])[:, :, -1]


def crossing_epochs(ahead: np.ndarray, epochs: Sequence[int]) -> str:
    """In words, from which epoch on the class leads to the end, repeat by repeat;
    ahead (repeats, epochs).
    """
    found = []
    for row in ahead:
        behind = np.flatnonzero(~(row > 0))
        first = behind[-1] + 1 if len(behind) else 0
        found.append("never" if first == len(row) else f"{epochs[first]}")
    return f"from epoch {', '.join(found)} on"


def findings(grid: Grid, records: Records) -> list[str]:
    """In this run: both silhouettes early and late in either metric,
    and the analysis of variance.
    """
    shares = [effect_table(grid, records, effect).mean(0) for effect in range(3)]
    first, last = grid.epochs[0], grid.epochs[-1]
    return [
        *(order_finding(grid, records, metric) for metric in METRICS),
        f"Of the variance of the means the class explains {shares[0][0]:.0%} after epoch {first} "
        "and "
        f"{shares[0][-1]:.0%} after epoch {last}, the logit {shares[1][0]:.0%} and "
        f"{shares[1][-1]:.0%}, both "
        f"together {shares[2][0]:.0%} and {shares[2][-1]:.0%}.",
    ]


def order_finding(grid: Grid, records: Records, metric: str) -> str:
    """The four silhouettes of one metric, and what its rows say."""
    by_logit, by_class = (
        silhouette_table(grid, records, label, metric).mean(0) for label in ("logit", "class")
    )
    return finding(
        f"By {METRICS[metric]} the mean silhouette under the logit $c'$ goes from "
        f"{by_logit[0]:.2f} after epoch "
        f"{grid.epochs[0]} to {by_logit[-1]:.2f} after epoch {grid.epochs[-1]}, under the class "
        "$c$ from "
        f"{by_class[0]:.2f} to {by_class[-1]:.2f}.",
        *order_in(grid, records, metric),
    )
