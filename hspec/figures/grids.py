"""A quantity over the plane of epochs and sample sizes: heat maps,
with missing cells drawn as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from hspec.experiments import Record
from hspec.experiments.grid import Cell, Grid
from hspec.figures.style import COLOURS, SEQUENTIAL
from hspec.figures.tables import tabulated, written
from hspec.words import signed

OWNERS = LinearSegmentedColormap.from_list("H to G", [COLOURS["H"], "#FFFFFF", COLOURS["G"]])
LARGEST_WITH_NUMBERS = 60  # cells; a larger map has no room to print its values


def heat_map(
    axis: Axes,
    grid: Grid,
    values: np.ndarray,
    *,
    limits: tuple[float, float],
    colours: Colormap | str,
    level: float | None = None,
    spread: np.ndarray | None = None,
) -> AxesImage:
    """``values`` (epochs, sample sizes) as coloured cells; NaN is hatched.

    limits  the values of the two ends of the colour scale; what lies beyond has the end's colour
    level   between cells on different sides of it a line is drawn
    spread  standard errors of the same shape, printed behind the values where there is room
    """
    image = axis.imshow(
        np.ma.masked_invalid(values),
        origin="lower",
        aspect="auto",
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
    )
    for row, column in np.argwhere(np.isnan(values)):
        axis.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5),
                1,
                1,
                fill=False,
                hatch="////",
                edgecolor="#BBBBBB",
                linewidth=0,
            )
        )
    if level is not None:
        draw_border(axis, values, level)
    if values.size <= LARGEST_WITH_NUMBERS:
        print_values(axis, values, spread)
    axis.set_xticks(range(len(grid.per_class)), grid.per_class)
    axis.set_yticks(range(len(grid.epochs)), grid.epochs)
    axis.set_xlabel("training examples per class")
    axis.set_ylabel("epochs")
    axis.grid(False)
    return image


BORDER = "#d81b60"  # on pale cells and beside a dark page: maps keep their colours in the dark


def draw_border(axis: Axes, values: np.ndarray, level: float) -> None:
    """A line along the edges between neighbouring cells on different sides of the level."""
    with np.errstate(invalid="ignore"):
        side = np.where(np.isfinite(values), np.sign(values - level), 0)
    style = {"color": BORDER, "linewidth": 2, "solid_capstyle": "round"}
    for row, column in np.argwhere(side[:, 1:] * side[:, :-1] < 0):
        axis.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], **style)
    for row, column in np.argwhere(side[1:] * side[:-1] < 0):
        axis.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, **style)


def print_values(axis: Axes, values: np.ndarray, spread: np.ndarray | None) -> None:
    for row, column in np.argwhere(np.isfinite(values)):
        cell = (values[row, column],)
        if spread is not None and np.isfinite(spread[row, column]):
            cell += (spread[row, column],)
        text = signed(written(cell, "{:.2f}\n± {:.2f}"))
        card = {
            "facecolor": "white",
            "alpha": 0.9,
            "linewidth": 0,
            "pad": 1.5,
        }  # keeps lines off the text
        style = {"ha": "center", "va": "center", "fontsize": 8, "color": COLOURS["exact"]}
        axis.text(column, row, text, bbox=card, zorder=3, **style)


def grid_frame(
    records: Mapping[Cell, Record | None], quantities: Mapping[str, Callable[[Record], float]]
) -> pd.DataFrame:
    """One row a cell, missing ones included: its place and the quantities, by name."""
    return pd.DataFrame(
        {
            **cell._asdict(),
            **{
                name: np.nan if record is None else value(record)
                for name, value in quantities.items()
            },
        }
        for cell, record in records.items()
    )


def training_frame(records: Mapping[Cell, Record | None]) -> pd.DataFrame:
    """How well the nets of a grid do: what a reader must know before comparing cells."""
    names = {"loss": "training loss", "error_rate": "training error", "test_error": "test error"}
    frame = grid_frame(
        records, {text: lambda r, name=name: float(r[name]) for name, text in names.items()}
    )
    rows = frame.rename(columns={"per_class": "examples per class", "epoch": "epochs"}).to_dict(
        "records"
    )
    return tabulated(rows, {"training loss": ".2g", "training error": ".1%", "test error": ".1%"})


def mean_over_repeats(table: np.ndarray) -> np.ndarray:
    """(repeats, epochs, sizes) -> (epochs, sizes), over the repeats that are there."""
    present = np.isfinite(table)
    total = np.where(present, table, 0.0).sum(0)
    count = present.sum(0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def ordered_colours(axis: Sequence[int]) -> dict[int, tuple]:
    """Dark for the first, light for the last."""
    shades = np.linspace(0.0, 0.85, len(axis))
    return {value: colormaps[SEQUENTIAL](x) for value, x in zip(axis, shades, strict=True)}
