"""Figures of how the hierarchy grows: separations over the grid, as maps and as lines."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hspec.chapters.hierarchy_growth.verdict import common_floor, separation_table
from hspec.experiments import Record
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.separation import READINGS, log_quartiles, separation_of
from hspec.figures.grids import grid_frame, heat_map, mean_over_repeats, ordered_colours
from hspec.figures.style import COLOURS, SEQUENTIAL, panels
from hspec.words import counted

PARTS = {"B1": "B1 from B2", "A1": "A1 from B2"}


def separation_maps(grid: Grid, records: Mapping[Cell, Record | None], by: str = "trace") -> Figure:
    """Two maps over the grid, mean over repeats: the separation from B2 of B1 and of A1."""
    figure, axes = panels(
        1,
        2,
        width=max(4.4, 1.4 + 0.9 * len(grid.per_class)),
        height=max(3.0, 0.9 + 0.62 * len(grid.epochs)),
    )
    for axis, (part, title) in zip(axes, PARTS.items(), strict=True):
        values, errors = tables(grid, records, part, by)
        present = values[np.isfinite(values)]
        limits = (min(0.0, present.min()), present.max()) if len(present) else (0.0, 1.0)
        image = heat_map(axis, grid, values, limits=limits, colours=SEQUENTIAL, spread=errors)
        figure.colorbar(image, ax=axis).set_label(f"separation, {READINGS[by]}")
        axis.set_title(title)
    return figure


def tables(
    grid: Grid, records: Mapping[Cell, Record | None], part: str, by: str
) -> tuple[np.ndarray, np.ndarray]:
    """Separations and their errors (epochs, sample sizes): over repeats where there are several,
    else over probes.
    """
    values = separation_table(grid, records, part, by)
    if len(grid.repeats) == 1:
        floor = common_floor(records, by)
        errors = grid.table(records, lambda r: separation_of(r, part, by, floor, exact=False)[1])
        return values[0], errors[0]
    count = np.isfinite(values).sum(0)
    mean = mean_over_repeats(values)
    squares = mean_over_repeats((values - mean) ** 2)
    return mean, np.sqrt(squares / np.where(count > 1, count - 1, np.nan))


def separation_lines(
    grid: Grid, records: Mapping[Cell, Record | None], by: str = "trace"
) -> Figure:
    """Above against epochs, one line a sample size; below against sample size,
    one line an epoch.
    """
    figure, axes = panels(2, 2, width=4.3, height=2.9)
    columns = axes[:2], axes[2:]
    for i, (part, title) in enumerate(PARTS.items()):
        values, errors = tables(grid, records, part, by)
        draw_lines(
            columns[0][i],
            grid.epochs,
            values.T,
            errors.T,
            ordered_colours(grid.per_class),
            "epochs",
        )
        draw_lines(
            columns[1][i],
            grid.per_class,
            values,
            errors,
            ordered_colours(grid.epochs),
            "examples per class",
        )
        columns[0][i].set_title(f"{title}, along the epochs")
        columns[1][i].set_title(f"{title}, along the sample size")
    columns[0][0].set_ylabel(f"separation, {READINGS[by]}")
    columns[1][0].set_ylabel(f"separation, {READINGS[by]}")
    columns[0][1].legend(title="per class", loc="center left", bbox_to_anchor=(1, 0.5))
    columns[1][1].legend(title="epochs", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def draw_lines(
    axis: Axes, x: np.ndarray, rows: np.ndarray, errors: np.ndarray, colours: Mapping, label: str
) -> None:
    for (name, colour), row, error in zip(colours.items(), rows, errors, strict=True):
        axis.errorbar(
            x, row, yerr=np.nan_to_num(error), fmt="o-", markersize=4, color=colour, label=name
        )
    axis.set_xscale("log")
    axis.set_xticks(x, x)
    axis.minorticks_off()
    axis.set_xlabel(label)


def part_ranges(grid: Grid, records: Mapping[Cell, Record | None], by: str = "trace") -> Figure:
    """One panel a cell: the medians and the middle halves of A1's, B1's and B2's eigenvalues,
    on one axis.
    """
    figure, axes = panels(
        len(grid.epochs), len(grid.per_class), width=2.7, height=1.3, sharex=True, sharey=True
    )
    cells = [(epoch, size) for epoch in reversed(grid.epochs) for size in grid.per_class]
    floor = common_floor(records, by) or 0.0
    for axis, (epoch, size) in zip(axes, cells, strict=True):
        record = records[Cell(grid.repeats[0], size, epoch)]
        if record is None:
            axis.set_facecolor("#F2F2F2")
            axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes)
        else:
            draw_ranges(axis, record, by, floor)
        axis.set_title(f"{size} per class, {counted(epoch, 'epoch')}", fontsize=9)
    for axis in axes[-len(grid.per_class) :]:
        axis.set_xlabel("eigenvalue λ")
    return figure


def draw_ranges(axis: Axes, record: Record, by: str, floor: float) -> None:
    """floor: from where eigenvalues count, relative to the largest of all parts."""
    groups = {name: (record[name], np.ones(len(record[name]))) for name in ("A1", "B1")}
    groups["B2"] = (np.nan_to_num(record["B2_nodes"]).ravel(), record["B2_weights"].ravel())
    floor *= max(values.max() for values, _ in groups.values())
    for height, (name, (values, weights)) in enumerate(reversed(groups.items())):
        counted = np.where(values > floor, weights * (values if by == "trace" else 1), 0.0)
        low, median, high = 10 ** log_quartiles(values, counted)
        style = {"color": COLOURS[name], "solid_capstyle": "butt"}
        axis.semilogx([high, values.max()], [height, height], linewidth=1, **style)
        axis.semilogx([low, high], [height, height], linewidth=6, **style)
        axis.semilogx(
            median, height, "o", color="white", markeredgecolor=COLOURS[name], markersize=5
        )
    axis.set_yticks(range(len(groups)), list(reversed(groups)))
    axis.set_ylim(-0.6, len(groups) - 0.4)


def separation_frame(records: Mapping[Cell, Record | None]) -> pd.DataFrame:
    """One row a cell: both separations in both readings,
    with their standard errors over probes."""
    quantities = {}
    for part, by in product(PARTS, READINGS):
        floor = common_floor(records, by)
        for place, suffix in enumerate(("", "_standard_error")):
            quantities[f"{part}_from_B2_by_{by}{suffix}"] = (
                lambda r, part=part, by=by, floor=floor, place=place: separation_of(
                    r, part, by, floor, exact=False
                )[place]
            )
    return grid_frame(records, quantities)
