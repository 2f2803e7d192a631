"""Figures of the chapter on the bulk's upper tail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hspec.chapters.upper_tail.measure import check_tail
from hspec.chapters.upper_tail.verdict import tail_share
from hspec.experiments import Record
from hspec.experiments.grid import Cell, Grid
from hspec.figures.grids import OWNERS, grid_frame, heat_map, mean_over_repeats, ordered_colours
from hspec.figures.style import COLOURS, panels

HALF = 0.5
MAP_CELL = (1.0, 0.62)  # inches a column and a row
TAILS = np.geomspace(1e-3, 1, 16)  # relative to the largest tail measured


def share_of(record: Record, tail: float) -> tuple[float, float]:
    """G's share of the record's upper tail, and its standard error over probes;
    ValueError beyond what was measured.
    """
    check_tail(tail, record.options["tail"])
    return tail_share(record["nodes"], record["g_parts"], record["weights"], tail)


def measured_tail(records: Mapping[Cell, Record | None], tail: float) -> float:
    """``tail``, or the largest that was measured in every record where that is less."""
    return min(tail, *(r.options["tail"] for r in records.values() if r is not None))


def share_frame(records: Mapping[Cell, Record | None], tail: float) -> pd.DataFrame:
    """One row a cell: G's share of the tail, its standard error, and the training loss."""
    quantities = {
        "share_of_G": lambda r: share_of(r, tail)[0],
        "standard_error": lambda r: share_of(r, tail)[1],
        "training_loss": lambda r: r.loss,
    }
    return grid_frame(records, quantities)


def tail_map(grid: Grid, records: Mapping[Cell, Record | None], tail: float) -> Figure:
    """G's share of the upper tail over the grid, mean over repeats,
    with the line where it is one half.
    """
    shares = mean_over_repeats(grid.table(records, lambda r: share_of(r, tail)[0]))
    errors = mean_over_repeats(grid.table(records, lambda r: share_of(r, tail)[1]))
    width, height = MAP_CELL
    figure, (axis,) = panels(
        width=max(5.0, 1.6 + width * len(grid.per_class)),
        height=max(3.0, 0.9 + height * len(grid.epochs)),
    )
    image = heat_map(axis, grid, shares, limits=(0, 1), colours=OWNERS, level=HALF, spread=errors)
    bar = figure.colorbar(image, ax=axis, extend="both", ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.ax.set_yticklabels(["0  all H's", "", "½", "", "1  all G's"])
    bar.set_label("G's share of the upper tail")
    return figure


def tail_directions(grid: Grid, records: Mapping[Cell, Record | None]) -> Figure:
    """One panel a sample size: every Ritz vector of the tail,
    by its eigenvalue and the part of it that is G's.
    """
    figure, axes = panels(1, len(grid.per_class), width=3.1, height=3.1, sharey=True)
    colours = ordered_colours(grid.epochs)
    for axis, size in zip(axes, grid.per_class, strict=True):
        for epoch, record in _present(grid, records, size):
            positive = record["nodes"] > 0
            theta, part = record["nodes"][positive], record["g_parts"][positive]
            axis.semilogx(
                theta, part / theta, "o", markersize=3.5, alpha=0.75, color=colours[epoch]
            )
        decorate(axis, size, "eigenvalue θ of the bulk")
    axes[0].set_ylabel("G's part uᵀ G u / θ")
    legend(figure, axes[0], colours)
    return figure


def tail_depth(grid: Grid, records: Mapping[Cell, Record | None]) -> Figure:
    """One panel a sample size: G's share against how much of the bulk counts as tail;
    bands of one standard error.
    """
    figure, axes = panels(1, len(grid.per_class), width=3.1, height=3.1, sharey=True)
    colours = ordered_colours(grid.epochs)
    for axis, size in zip(axes, grid.per_class, strict=True):
        for epoch, record in _present(grid, records, size):
            tails = TAILS * record.options["tail"]
            share, error = np.array([share_of(record, tail) for tail in tails]).T
            axis.semilogx(tails, share, color=colours[epoch])
            axis.fill_between(
                tails, share - error, share + error, color=colours[epoch], alpha=0.2, linewidth=0
            )
        decorate(axis, size, "tail, as a share of the bulk")
    axes[0].set_ylabel("G's share of the tail")
    legend(figure, axes[0], colours)
    return figure


def _present(
    grid: Grid, records: Mapping[Cell, Record | None], size: int
) -> Iterator[tuple[int, Record]]:
    """(epoch, record) of the first repeat's cells of one sample size, missing ones left out."""
    for epoch in grid.epochs:
        record = records[Cell(grid.repeats[0], size, epoch)]
        if record is not None:
            yield epoch, record


def decorate(axis: Axes, size: int, label: str) -> None:
    axis.axhline(HALF, color=COLOURS["neutral"], linewidth=1, linestyle="--")
    axis.set_ylim(-0.1, 1.1)
    axis.set_title(f"{size} per class")
    axis.set_xlabel(label)


def legend(figure: Figure, axis: Axes, colours: dict[int, tuple]) -> None:
    lines = [
        axis.plot([], [], "o-", color=colour, markersize=3.5)[0] for colour in colours.values()
    ]
    figure.legend(lines, colours, title="epochs", loc="outside right center")


def tail_against_fit(grid: Grid, records: Mapping[Cell, Record | None], tail: float) -> Figure:
    """Every cell's share against its training loss:
    does the fit explain what the axes of the grid do not?
    """
    figure, (axis,) = panels(width=5.4, height=3.4)
    colours = ordered_colours(grid.epochs)
    for marker, size in zip(cycle("osD^vP*X"), grid.per_class, strict=False):
        for cell, record in records.items():
            if record is not None and cell.per_class == size:
                share, error = share_of(record, tail)
                style = {
                    "color": colours[cell.epoch],
                    "marker": marker,
                    "markersize": 6,
                    "linestyle": "none",
                }
                axis.errorbar(record.loss, share, yerr=error, **style)
        axis.plot([], [], marker, color=COLOURS["neutral"], label=f"{size} per class")
    axis.set_xscale("log")
    axis.axhline(HALF, color=COLOURS["neutral"], linewidth=1, linestyle="--")
    axis.set_xlabel("training loss")
    axis.set_ylabel("G's share of the tail")
    legend(figure, axis, colours)
    axis.legend()
    return figure
