"""P18-1: the number of outliers, against the number of classes."""

from __future__ import annotations

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.quantities import outlier_count
from hspec.experiments.records import Record

CLEAR_GAP = 1.25  # a largest ratio below this is no gap: the eigenvalues then fall off evenly
NEARLY = 0.2  # relative: "about C"


def verdict_bulk_and_outliers(records: list[Record]) -> list[Verdict]:
    """One verdict a data set and split."""
    return [_verdict(record) for record in records]


def _verdict(record: Record) -> Verdict:
    classes = int(record["num_classes"])
    count, ratio = outlier_count(record["top"], classes)
    slack = max(1, round(NEARLY * classes))
    name = f"{record.meta['setting']['dataset']}, {record.meta['options']['split']}"
    return Verdict(
        "P18-1",
        f"{name}: position of the largest gap among the top {len(record['top'])} eigenvalues",
        f"{count} (ratio {ratio:.2f})",
        f"{classes} ± {slack}, with a ratio of at least {CLEAR_GAP:g}",
        outcome(abs(count - classes) <= slack and ratio >= CLEAR_GAP, decided=ratio >= CLEAR_GAP),
    )
