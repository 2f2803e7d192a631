"""P18-1: the number of outliers, against the number of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import kendalltau

from hspec.experiments.claims import OUTCOMES, Verdict, finding, judge
from hspec.experiments.records import Record
from hspec.experiments.scale import misfit, net_name
from hspec.experiments.uncertainty import ONE_NET
from hspec.words import counted

CLEAR_GAP = 1.25  # a largest ratio below this is no gap: the eigenvalues then fall off evenly
NEARLY = 0.2  # relative: "about C"
SURE = 0.05  # a p-value below which a relation is told


def verdict_bulk_and_outliers(records: list[Record]) -> list[Verdict]:
    """One verdict a net, data set and split."""
    return [_verdict(record) for record in records]


def verdict_training_alone(record: Record) -> list[Verdict]:
    """The same of a net whose test images were not measured: half of the claim."""
    (row,) = verdict_bulk_and_outliers([record])
    value = f"not measured; over training images {row.value}"
    test = replace(row, quantity=row.quantity.replace(", train:", ", test:"), value=value)
    return [row, replace(test, outcome=OUTCOMES[2], margin="test images were not measured")]


def _verdict(record: Record) -> Verdict:
    classes = record.num_classes
    count, ratio = outlier_count(record["top"], classes)
    slack = _slack(classes)
    inside, outside = best_gaps(record["top"], classes, slack)
    judged = judged_gaps(inside[1], outside[1])
    if (known := len(record["top"])) <= classes + slack:
        judged = OUTCOMES[2], f"of the top {classes + slack + 1} eigenvalues {known} have converged"
    of, split = record.setting, record.options["split"]
    sample = f"N = {record.num_examples:,}{misfit([record])}, {split}"
    name = f"{net_name(record)}, {of.dataset}, {sample}"
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


def findings(
    records: list[Record], of_papers: Sequence[Record] = (), tested: Sequence[Record] = ()
) -> list[str]:
    """In this run: where the largest gap is, in one sentence of all the papers' nets over training
    images, in one over test images, and in one a record; at most four of them.
    """
    each = zip(records, verdict_bulk_and_outliers(records), strict=True)
    papers = [*_together(of_papers, "training"), *_together(tested, "test")]
    return [*papers, *(_finding(*one) for one in each)][:4]


def _together(records: Sequence[Record], images: str) -> list[str]:
    if not records:
        return []
    counts = [outlier_count(record["top"], record.num_classes) for record in records]
    places = "; ".join(
        f"{net_name(r)}, {r.setting.dataset}, $N = {r.num_examples:,}${misfit([r])}: "
        f"$k = {k}$ ({ratio:.2f})"
        for r, (k, ratio) in zip(records, counts, strict=True)
    )
    return [
        finding(
            "Where $\\lambda_k / \\lambda_{k+1}$ is largest in the papers' nets, and how large it "
            f"is there, over {images} images: {places}.",
            *verdict_bulk_and_outliers(list(records)),
        )
    ]


def across_scales(records: Sequence[Record]) -> str:
    """How the place of the gap goes with how far the net was trained, over the records of nets
    whose largest eigenvalues reach beyond C.
    """
    gaps = [best_gaps(r["top"], r.num_classes, _slack(r.num_classes)) for r in records]
    lead = np.array([np.log(near[1]) / np.log(elsewhere[1]) for near, elsewhere in gaps])
    losses = np.array([float(r["loss"]) for r in records])
    found = kendalltau(losses, lead)
    related = found.pvalue < SURE
    return (
        f"Of {counted(len(records), 'stored training Hessian')} {int((lead > 1).sum())} have their "
        "largest gap near $C$. How much larger it is than the largest one elsewhere, as a ratio of "
        "logarithms, is compared with the loss that the training has reached: Kendall's "
        f"$\\tau = {found.statistic:.2f}$ ($p = {found.pvalue:.2g}$). "
        + (
            f"It {'falls' if found.statistic < 0 else 'grows'} with the loss. Widths, data and "
            "lengths of training differ at once, so this is no proof of a cause."
            if related
            else "No relation is seen among so few nets; width and data differ at once."
        )
    )


def _finding(record: Record, verdict: Verdict) -> str:
    count, ratio = outlier_count(record["top"], record.num_classes)
    inside, outside = best_gaps(record["top"], record.num_classes, _slack(record.num_classes))
    classes = f"$C = {record.num_classes}$"
    where, (other, gap) = f"near {classes}", inside
    if inside[0] == count:
        where, (other, gap) = f"farther from {classes}", outside
    near = f"; {where} it is at most {gap:.2f}, at $k = {other}$" if other else ""
    return finding(
        f"{net_name(record)}, {record.setting.dataset}, $N = {record.num_examples:,}$"
        f"{misfit([record])}, {record.options['split']}: "
        f"$\\lambda_k / \\lambda_{{k+1}}$ is largest at $k = {count}$, where it is "
        f"{ratio:.2f}{near}.",
        verdict,
    )


def _slack(num_classes: int) -> int:
    """How far from C the gap may be."""
    return max(1, round(NEARLY * num_classes))
