"""P19-3: whether the means δ_{c,c'} cluster by the logit c' first, and by the class c later."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hspec.experiments.claims import OUTCOMES, Verdict, finding, outcome
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.records import Record
from hspec.statistics import interval, mean_and_error

Records = Mapping[Cell, Record | None]


def verdict_order(grid: Grid, records: Records) -> list[Verdict]:
    """The sign of the difference of two silhouettes, at the first epoch and at the last."""
    early, late = grid.epochs[0], grid.epochs[-1]
    ahead = class_ahead(grid, records)
    crossings = crossing_epochs(grid, records)
    return [
        sign_verdict(early, -ahead[:, 0], "under label c' less that under label c", ""),
        sign_verdict(late, ahead[:, -1], "under label c less that under label c'", f"; {crossings}"),
    ]


def sign_verdict(epoch: int, differences: np.ndarray, what: str, more: str) -> Verdict:
    """Whether a difference is positive, by Student's interval over repeats (R,)."""
    mean, error = mean_and_error(differences)
    low, high = interval(mean, error, len(differences))
    return Verdict(
        "P19-3",
        f"mean silhouette of the δ_{{c,c'}} after epoch {epoch}, {what} (± s.e. over repeats)",
        f"{mean:.2f} ± {error:.2f}{more}",
        "positive",
        *judged_sign(low, high),
    )


def judged_sign(low: float, high: float) -> tuple[str, str]:
    """Outcome and margin of "it is positive", from the 95 % interval."""
    if not np.isfinite([low, high]).all():
        return OUTCOMES[2], "one repeat has no uncertainty"
    if low <= 0 <= high:
        return OUTCOMES[2], "zero is within the uncertainty"
    return outcome(low > 0), f"95 % interval {low:.2f} … {high:.2f}"


def silhouette_table(grid: Grid, records: Records, label: str, metric: str = "euclidean") -> np.ndarray:
    """Mean silhouettes under "class" or "logit": (repeats, epochs)."""
    name = f"{metric}_{'' if label == 'class' else 'other_'}silhouette"
    return grid.table(records, lambda record: record[name].mean())[:, :, -1]


def class_ahead(grid: Grid, records: Records, metric: str = "euclidean") -> np.ndarray:
    """Silhouette under label c less that under c' (repeats, epochs)."""
    by_class, by_logit = (silhouette_table(grid, records, label, metric) for label in ("class", "logit"))
    return by_class - by_logit


def effect_table(grid: Grid, records: Records, effect: int, metric: str = "euclidean") -> np.ndarray:
    """Shares of the variance (repeats, epochs).

    What the class explains (0), the logit (1), both (2).
    """
    return grid.table(records, lambda record: record[f"{metric}_effects"][effect])[:, :, -1]


def crossing_epochs(grid: Grid, records: Records) -> str:
    """In words, from which epoch on the class leads to the end, repeat by repeat."""
    found = []
    for row in class_ahead(grid, records):
        behind = np.flatnonzero(~(row > 0))
        first = behind[-1] + 1 if len(behind) else 0
        found.append("never" if first == len(row) else f"{grid.epochs[first]}")
    return f"from epoch {', '.join(found)} on"


def findings(grid: Grid, records: Records) -> list[str]:
    """In this run: both silhouettes early and late, and the analysis of variance."""
    early, late = verdict_order(grid, records)
    told = []
    for verdict, column, epoch in ((early, 0, grid.epochs[0]), (late, -1, grid.epochs[-1])):
        by_logit, by_class = (
            silhouette_table(grid, records, label)[:, column].mean() for label in ("logit", "class")
        )
        sentence = (
            f"After epoch {epoch} the mean silhouette of the $\\delta_{{c,c'}}$ is {by_logit:.2f} under the logit "
            f"$c'$ and {by_class:.2f} under the class $c$."
        )
        told.append(finding(sentence, verdict))
    shares = [effect_table(grid, records, effect).mean(0) for effect in range(3)]
    told.append(
        f"Of the variance of the means the class explains {shares[0][0]:.0%} after the first of these epochs and "
        f"{shares[0][-1]:.0%} after the last, the logit {shares[1][0]:.0%} and {shares[1][-1]:.0%}, both together "
        f"{shares[2][0]:.0%} and {shares[2][-1]:.0%}."
    )
    return told
