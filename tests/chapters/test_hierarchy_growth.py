"""The trends of separations: every outcome of a verdict."""

import pytest

from hspec.chapters.hierarchy_growth.verdict import verdict_growth
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.grid import Cell, Grid

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


def test_verdict_of_an_empty_grid_is_inconclusive():
    records = {Cell(0, 10, 1): None, Cell(0, 10, 2): None}
    verdicts = verdict_growth(Grid((0,), (10,), (1, 2), {}), records)
    assert [v.outcome for v in verdicts] == [INCONCLUSIVE] * 8
