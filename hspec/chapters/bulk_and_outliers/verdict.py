"""P18-1: the number of outliers, against the number of classes."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import OUTCOMES, Verdict, finding, judge
from hspec.experiments.records import Record
from hspec.experiments.scale import net_name
from hspec.experiments.uncertainty import ONE_NET

CLEAR_GAP = 1.25  # a largest ratio below this is no gap: the eigenvalues then fall off evenly
NEARLY = 0.2  # relative: "about C"


def verdict_bulk_and_outliers(records: list[Record]) -> list[Verdict]:
    """One verdict a data set and split."""
    return [_verdict(record) for record in records]


def _verdict(record: Record) -> Verdict:
    classes = record.num_classes
    count, ratio = outlier_count(record["top"], classes)
    slack = _slack(classes)
    inside, outside = best_gaps(record["top"], classes, slack)
    judged = judged_gaps(inside[1], outside[1])
    if (known := len(record["top"])) <= classes + slack:
        judged = OUTCOMES[2], f"of the top {classes + slack + 1} eigenvalues {known} have converged"
    name = f"{record.setting.dataset}, {record.options['split']}"
    return Verdict(
        "P18-1",
        f"{name}: position of the largest gap among the top {len(record['top'])} eigenvalues",
        f"after {count} (ratio {ratio:.2f}); near C after {inside[0]} ({inside[1]:.2f}), "
        f"elsewhere after {outside[0]} ({outside[1]:.2f})",
        ("residual", ONE_NET),
        f"after {classes - slack} to {classes + slack}, with a ratio of at least {CLEAR_GAP:g}; "
        "both are ours",
        *judged,
    )


def judged_gaps(inside: float, outside: float) -> tuple[str, str]:
    """Outcome and margin: which of two gaps, in logarithms, is the larger one,
    if it is a gap at all.
    """
    if max(inside, outside) < CLEAR_GAP:
        return OUTCOMES[2], f"no gap reaches a ratio of {CLEAR_GAP:g}"
    return judge(float(np.log(inside)), float(np.log(outside)), above=True)


def best_gaps(
    eigenvalues: np.ndarray, num_classes: int, slack: int
) -> tuple[tuple[int, float], tuple[int, float]]:
    """Position and ratio of the largest gap within C ± slack, and of the largest one elsewhere;
    (0, 1) for none.
    """
    ratios = gap_ratios(eigenvalues, num_classes)
    near = np.abs(np.arange(1, len(ratios) + 1) - num_classes) <= slack
    return tuple(
        (int(np.where(where, ratios, 0).argmax()) + 1, float(ratios[where].max()))
        if where.any()
        else (0, 1.0)
        for where in (near, ~near)
    )


def outlier_count(eigenvalues: np.ndarray, num_classes: int) -> tuple[int, float]:
    """Number of outliers: the position k ≤ 3C of the largest ratio λ_k / λ_{k+1}, and that ratio.

    eigenvalues  the largest eigenvalues, in any order; at least two must be positive
    Only positive eigenvalues are compared: a ratio across zero says nothing.
    """
    ratios = gap_ratios(eigenvalues, num_classes)
    k = int(ratios.argmax())
    return k + 1, float(ratios[k])


def gap_ratios(eigenvalues: np.ndarray, num_classes: int) -> np.ndarray:
    """λ_k / λ_{k+1} for k = 1, 2, … up to 3C, of the positive eigenvalues."""
    top = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    top = top[top > 0][: 3 * num_classes + 1]
    if len(top) < 2:
        raise ValueError(
            f"counting outliers needs at least two positive eigenvalues, got {len(top)}"
        )
    return top[:-1] / top[1:]


def findings(records: list[Record]) -> list[str]:
    """In this run: where the largest gap is, one sentence a record, at most four of them."""
    return [
        _finding(record, verdict)
        for record, verdict in zip(records, verdict_bulk_and_outliers(records), strict=True)
    ][:4]


def _finding(record: Record, verdict: Verdict) -> str:
    count, ratio = outlier_count(record["top"], record.num_classes)
    inside, outside = best_gaps(record["top"], record.num_classes, _slack(record.num_classes))
    classes = f"$C = {record.num_classes}$"
    where, (other, gap) = f"near {classes}", inside
    if inside[0] == count:
        where, (other, gap) = f"farther from {classes}", outside
    near = f"; {where} it is at most {gap:.2f}, at $k = {other}$" if other else ""
    return finding(
        f"{net_name(record)}, {record.setting.dataset}, {record.options['split']}: "
        f"$\\lambda_k / \\lambda_{{k+1}}$ is largest at $k = {count}$, where it is "
        f"{ratio:.2f}{near}.",
        verdict,
    )


def _slack(num_classes: int) -> int:
    """How far from C the gap may be."""
    return max(1, round(NEARLY * num_classes))
