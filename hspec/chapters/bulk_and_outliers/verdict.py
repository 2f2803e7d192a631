"""P18-1: the number of outliers, against the number of classes."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.records import Record

CLEAR_GAP = 1.25  # a largest ratio below this is no gap: the eigenvalues then fall off evenly
NEARLY = 0.2  # relative: "about C"


def verdict_bulk_and_outliers(records: list[Record]) -> list[Verdict]:
    """One verdict a data set and split."""
    return [_verdict(record) for record in records]


def _verdict(record: Record) -> Verdict:
    classes = record.num_classes
    count, ratio = outlier_count(record["top"], classes)
    slack = max(1, round(NEARLY * classes))
    name = f"{record.setting.dataset}, {record.options['split']}"
    return Verdict(
        "P18-1",
        f"{name}: position of the largest gap among the top {len(record['top'])} eigenvalues",
        f"{count} (ratio {ratio:.2f})",
        f"{classes} ± {slack}, with a ratio of at least {CLEAR_GAP:g}",
        outcome(abs(count - classes) <= slack and ratio >= CLEAR_GAP, decided=ratio >= CLEAR_GAP),
    )


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
