"""P18-8: how the parts of G move apart with epochs and samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hspec.experiments.claims import Verdict, finding
from hspec.experiments.grid import Cell, Grid, present
from hspec.experiments.records import Record
from hspec.experiments.separation import READINGS, resolved_from, separation_of
from hspec.experiments.trends import trend_verdicts


def verdict_growth(grid: Grid, records: Mapping[Cell, Record | None]) -> list[Verdict]:
    """P18-8: the signs of four trends, in both readings. B2's exact spectra are left aside:
    few cells have them.
    """
    return [verdict for by in READINGS for verdict in growth_verdicts(grid, records, by)]


def growth_verdicts(grid: Grid, records: Mapping[Cell, Record | None], by: str) -> list[Verdict]:
    b1, a1 = (separation_table(grid, records, part, by) for part in ("B1", "A1"))
    return [
        *trend_verdicts(
            "P18-8",
            f"separation of B1 from B2, {READINGS[by]}",
            b1,
            {"epochs": +1, "sample size": -1},
        ),
        *trend_verdicts(
            "P18-8",
            f"separation of A1 from B2, {READINGS[by]}",
            a1,
            {"epochs": +1, "sample size": +1},
        ),
    ]


def separation_table(
    grid: Grid, records: Mapping[Cell, Record | None], part: str, by: str
) -> np.ndarray:
    """Separations from B2's quadrature, (repeats, epochs, sample sizes): of B1, which lies on
    either side of B2, its size alone.
    """
    floor, of = common_floor(records, by), abs if part == "B1" else float
    return grid.table(records, lambda r: of(separation_of(r, part, by, floor, exact=False)[0]))


def common_floor(records: Mapping[Cell, Record | None], by: str) -> float | None:
    """By number, the share of the largest eigenvalue that the quadratures of all cells resolve:
    with a floor of its own in each cell, a trend could be one of floors. None by trace.
    """
    if by != "count":
        return None
    return max((resolved_from(record) for record in present(records)), default=None)


def findings(grid: Grid, records: Mapping[Cell, Record | None], by: str) -> list[str]:
    """In this run: the four trends, in one reading."""
    rows = growth_verdicts(grid, records, by)
    return [
        finding(
            f"The separation of {part} from $B_2$, {READINGS[by]}: along the epochs "
            f"{epochs.value}; along the sample size {sizes.value}.",
            epochs,
            sizes,
        )
        for part, (epochs, sizes) in zip(("$B_1$", "$A_1$"), (rows[:2], rows[2:]), strict=True)
    ]
