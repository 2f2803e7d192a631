"""The trends of separations: every outcome of a verdict."""

import numpy as np
import pytest

from hspec.chapters.hierarchy_growth.verdict import verdict_growth
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.records import Record

HOLDS, FAILS, INCONCLUSIVE = OUTCOMES


def level_record(b1_decade: float, a1_decade: float = 3.0, scatter: float = 0.01):
    """B2 around 1 with an interquartile range of one decade,
    B1 and A1 of the same width so many decades above.
    """
    values = np.logspace(-1, 1, 41)
    nodes = np.stack([values * 10**-scatter, values * 10**scatter])
    arrays = {
        "A1": values * 10**a1_decade,
        "B1": values * 10**b1_decade,
        "B2_nodes": nodes,
        "B2_weights": np.full(nodes.shape, 1 / 41),
    }
    return Record(arrays, {})


@pytest.mark.parametrize(("sign", "outcome"), [(1, HOLDS), (-1, FAILS)])
def test_verdict_of_growth(sign, outcome):
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
