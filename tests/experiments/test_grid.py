"""A grid's cells are experiments of their own, share training runs along a column,
and may be missing.
"""

from dataclasses import replace

import numpy as np
import pytest

from hspec.experiments import Experiment, Setting, Store, load_or_run
from hspec.experiments.grid import Cell, grid, present, published_grid
from hspec.experiments.measure import measure
from hspec.training import Recipe

CALLS = []


@measure(version=1)
def toy(task, *, epoch: int | None = None, factor: float = 1.0):
    CALLS.append((task.setting.per_class, epoch))
    return {"x": factor * epoch + 100 * task.setting.per_class}


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


@measure(version=1)
def sized(task, *, epoch: int | None = None):
    parameters = int(1e6 * task.setting.width)
    return {"num_parameters": parameters, "num_examples": 10 * task.setting.per_class}


BASE = Setting(recipe=Recipe(epochs=20))


def toy_grid(**changes):
    return grid(toy, BASE, **({"per_class": [20, 10], "epochs": [10, 2]} | changes))


def test_axes_are_sorted_and_every_cell_has_its_own_key():
    g = toy_grid(repeats=2)
    assert (g.repeats, g.per_class, g.epochs) == ((0, 1), (10, 20), (2, 10))
    assert len({e.key for e in g.experiments.values()}) == 8


def test_a_column_shares_one_training_run_whatever_epochs_are_asked_for():
    few, many = toy_grid(epochs=[2]), toy_grid(epochs=[1, 5, 20])
    keys = {
        e.setting.training_key
        for g in (few, many)
        for c, e in g.experiments.items()
        if c.per_class == 10
    }
    assert len(keys) == 1


def test_a_cell_does_not_depend_on_the_rest_of_the_grid():
    cell = Cell(0, 10, 2)
    assert (
        toy_grid().experiments[cell].key
        == toy_grid(epochs=[2], per_class=[10]).experiments[cell].key
    )


def test_missing_cells_stay_missing_until_they_are_filled_column_by_column(store):
    g = toy_grid()
    assert set(g.load(store).values()) == {None}
    records = g.fill(3, store, progress=False)
    assert CALLS == [(10, 2), (10, 10), (20, 2)]
    assert [cell for cell, record in records.items() if record is None] == [Cell(0, 20, 10)]
    table = g.table(records, lambda record: float(record["x"]))
    np.testing.assert_array_equal(table, [[[1002, 2002], [1010, np.nan]]])
    assert None not in g.fill(store=store, progress=False).values()
    assert len(CALLS) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": [3]}, r"epochs \[3\] are not kept: choose among \[1, 2, 5, 10, 20\]"),
        ({"epochs": []}, "epochs is empty"),
        ({"per_class": []}, "per_class is empty"),
        ({"repeats": 0}, "repeats is empty"),
        ({"per_class": [0]}, "per_class must be at least 1"),
        ({"options": {"facter": 1.0}}, "toy has no option facter"),
    ],
)
def test_bad_grids_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        toy_grid(**changes)


def test_a_recipe_in_steps_has_no_epochs():
    with pytest.raises(ValueError, match="a recipe with epochs, not steps"):
        grid(toy, Setting(recipe=Recipe(steps=5)), per_class=[1], epochs=[1])


def test_a_large_net_by_itself_is_no_published_grid(tmp_path):
    store = Store(tmp_path, tmp_path)
    alone = replace(BASE, width=1.0, per_class=40, checkpoints=(20,))
    load_or_run(Experiment(sized, alone, {"epoch": 20}), store)
    assert published_grid(store, sized) == (None, {})
    of_grid = grid(sized, BASE, per_class=[10, 20], epochs=[2])
    of_grid.fill(store=store, progress=False)
    found, records = published_grid(store, sized)
    assert found.per_class == (10, 20) and len(present(records)) == 2
