"""Maps over a grid show every value, hatch what is missing,
and draw the line where there is one.
"""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from hspec.chapters.hierarchy_growth.figures import (
    part_ranges,
    separation_frame,
    separation_lines,
    separation_maps,
)
from hspec.chapters.upper_tail.figures import (
    share_frame,
    tail_against_fit,
    tail_depth,
    tail_directions,
    tail_map,
)
from hspec.experiments import Record
from hspec.experiments.grid import Cell, Grid
from hspec.figures.grids import grid_frame, heat_map, mean_over_repeats, training_frame
from hspec.figures.style import panels

EPOCHS, SIZES = (1, 2, 5), (10, 30)


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def hatched(axis):
    return [patch for patch in axis.patches if isinstance(patch, Rectangle) and patch.get_hatch()]


def make(record_of, missing=((30, 5),)):
    grid = Grid((0,), SIZES, EPOCHS, {})
    records = {
        Cell(0, size, epoch): None if (size, epoch) in missing else record_of(size, epoch)
        for size in SIZES
        for epoch in EPOCHS
    }
    return grid, records


def tail_record(size, epoch):
    nodes = np.array([[2.0, 1.0, 0.5]] * 2)
    parts = nodes * np.clip(0.9 - 0.1 * epoch - size / 100 + np.array([[0.01], [-0.01]]), 0, 1)
    arrays = {
        "nodes": nodes,
        "g_parts": parts,
        "weights": np.full(nodes.shape, 1e-3),
        "loss": 0.1 * epoch,
        "error_rate": 0.25,
        "test_error": 0.5,
    }
    return Record(arrays, {"options": {"tail": 3e-3}})


def level_record(size, epoch):
    values = np.logspace(-2, 0, 12)
    arrays = {"A1": values * 100, "B1": values * 10 * epoch, "dimension": 12}
    b2 = {"nodes": np.stack([values, values * 1.1]), "weights": np.full((2, 12), 1 / 12)}
    b2 |= {
        "plain_weights": b2["weights"],
        "dimension": np.array(12),
        "exact": np.zeros((2, 12), bool),
    }
    return Record(arrays | {f"B2_{k}": v for k, v in b2.items()}, {"options": {}})


def test_missing_cells_are_hatched_and_the_others_numbered():
    figure, (axis,) = panels()
    values = np.array([[0.1, np.nan], [0.9, 0.4], [0.2, 0.3]])
    heat_map(
        axis, Grid((0,), SIZES, EPOCHS, {}), values, limits=(0, 1), colours="cividis", level=0.5
    )
    assert len(hatched(axis)) == 1
    assert sorted(texts(figure)) == ["0.10", "0.20", "0.30", "0.40", "0.90"]
    edges = [tuple(map(tuple, line.get_xydata())) for line in axis.lines]
    assert ((-0.5, 0.5), (0.5, 0.5)) in edges, "no line between 0.1 and 0.9"
    assert ((0.5, 0.5), (0.5, 1.5)) in edges, "no line between 0.9 and 0.4"


@pytest.mark.parametrize("values", [np.full((3, 2), 0.9), np.full((3, 2), np.nan)])
def test_no_line_where_the_level_is_not_crossed(values):
    _, (axis,) = panels()
    heat_map(
        axis, Grid((0,), SIZES, EPOCHS, {}), values, limits=(0, 1), colours="cividis", level=0.5
    )
    assert not axis.lines


def test_mean_over_the_repeats_that_are_there():
    table = np.array([[[1.0, np.nan]], [[3.0, np.nan]]])
    np.testing.assert_array_equal(mean_over_repeats(table), [[2.0, np.nan]])


def test_frames_have_one_row_a_cell():
    _, records = make(tail_record)
    assert len(training_frame(records)) == len(share_frame(records, 1e-3)) == 6
    frame = grid_frame(records, {"loss": lambda r: r["loss"]})
    assert frame["loss"].isna().sum() == 1
    assert frame.set_index(["per_class", "epoch"]).loc[(10, 2), "loss"] == 0.2


def test_tail_figures():
    grid, records = make(tail_record)
    figure = tail_map(grid, records, 1e-3)
    assert len(hatched(figure.axes[0])) == 1
    assert "0.60\n± 0.01" in texts(figure)  # 0.9 − 0.1·2 − 10/100
    for draw in (tail_directions, tail_depth):
        titles = [axis.get_title() for axis in draw(grid, records).axes]
        assert titles == ["10 per class", "30 per class"]
    (axis,) = tail_against_fit(grid, records, 1e-3).axes
    assert len(axis.containers) == 5


def test_growth_figures():
    grid, records = make(level_record)
    assert len(hatched(separation_maps(grid, records).axes[0])) == 1
    panels_of = part_ranges(grid, records).axes
    assert len(panels_of) == 6
    assert [text for text in texts(panels_of[0].figure)] == ["not measured"]
    assert [len(axis.containers) for axis in separation_lines(grid, records).axes] == [2, 2, 3, 3]
    assert separation_frame(records)["B1_from_B2_by_trace"].notna().sum() == 5


def test_an_empty_grid_can_be_drawn():
    everything = [(size, epoch) for size in SIZES for epoch in EPOCHS]
    for record_of, draws in (
        (tail_record, [lambda g, r: tail_map(g, r, 1e-3), tail_directions, tail_depth]),
        (level_record, [separation_maps, separation_lines, part_ranges]),
    ):
        grid, records = make(record_of, missing=everything)
        for draw in draws:
            draw(grid, records).canvas.draw()
