"""The trends of separations: every outcome of a verdict."""

import numpy as np
import pytest

from hspec.chapters.hierarchy_growth.verdict import (
    findings,
    growth_verdicts,
    separation_table,
    verdict_growth,
)
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.records import Record

HOLDS, FAILS, INCONCLUSIVE = OUTCOMES


@pytest.mark.parametrize(("sign", "outcome"), [(1, HOLDS), (-1, FAILS)])
def test_verdict_of_growth(level_record, sign, outcome):
    epochs, sizes = (1, 2, 5, 10), (10, 20, 40, 80)
    records = {
        Cell(0, size, epoch): level_record(
            1 + sign * (0.3 * i - 0.1 * j), 3 + sign * (0.3 * i + 0.1 * j)
        )
        for j, size in enumerate(sizes)
        for i, epoch in enumerate(epochs)
    }
    verdicts = verdict_growth(Grid((0,), sizes, epochs, {}), records)
    assert [v.outcome for v in verdicts] == [outcome] * 8


def test_findings_are_of_the_reading_that_is_asked_for(level_record):
    records = {
        Cell(0, 10, epoch): level_record(0.3 * epoch, 3, scatter=0.1 * epoch) for epoch in range(4)
    }
    grid = Grid((0,), (10,), tuple(range(4)), {})
    for by, name in (("trace", "by trace"), ("count", "by number")):
        rows = growth_verdicts(grid, records, by)
        told = findings(grid, records, by)
        assert all(f"from $B_2$, {name}: along the epochs" in sentence for sentence in told)
        assert [row.value in told[i // 2] for i, row in enumerate(rows)] == [True] * 4


def test_verdict_of_an_empty_grid_is_inconclusive():
    records = {Cell(0, 10, 1): None, Cell(0, 10, 2): None}
    verdicts = verdict_growth(Grid((0,), (10,), (1, 2), {}), records)
    assert [v.outcome for v in verdicts] == [INCONCLUSIVE] * 8


def test_finer_quadratures_are_no_trend():
    """By number all cells count from one floor on; with the quadrature's own in each, the medians
    of one and the same spectrum would move with its steps.
    """
    steps, records = (20, 40, 80, 160), {}
    for epoch, m in enumerate(steps):
        values = np.logspace(-2, 0, m)
        arrays = {"A1": values * 1e3, "B1": values * 10}
        arrays |= {"B2_nodes": np.stack([values] * 2), "B2_weights": np.full((2, m), 1 / m)}
        records[Cell(0, 10, epoch)] = Record(arrays, {})
    grid = Grid((0,), (10,), tuple(range(len(steps))), {})
    assert np.ptp(separation_table(grid, records, "B1", "count")) < 0.1
    assert np.ptp(separation_table(grid, records, "B1", "trace")) < 0.1
