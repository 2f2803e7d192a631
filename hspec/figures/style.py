"""The book's look for every figure; colours, panels and their style are those of
`hspec.plotting`.
"""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hspec.plotting.notebook import keep_whole_figures
from hspec.plotting.stacked import stacked_svg
from hspec.plotting.style import (
    COLOURS,
    DIVERGING,
    LINE_STYLES,
    RC,
    SEQUENTIAL,
    SERIES,
    panels,
)

__all__ = [
    "COLOURS",
    "DIVERGING",
    "LINE_STYLES",
    "LINE_WIDTHS",
    "SEQUENTIAL",
    "SERIES",
    "panels",
    "rank_axis",
    "set_style",
    "spikes",
    "stacked_svg",
]


LINE_WIDTHS = {"Hess": 3.4}  # what its parts may lie on shows on both sides of them


def set_style() -> None:
    """Set the book's look for every later figure; a notebook keeps each as SVG,
    PDF and plotted numbers.
    """
    sns.set_theme(style="ticks", rc=RC)
    keep_whole_figures()


def rank_axis(axis: Axes, label: str = "rank k") -> None:
    """An abscissa of ranks, or of layers, which are whole numbers."""
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel(label)


def spikes(
    axis: Axes,
    values: np.ndarray,
    height: float,
    colour: str,
    label: str | None = None,
    marker: str = "o",
) -> None:
    """Outliers as stems from the axis' floor up to ``height``."""
    floor = axis.get_ylim()[0]
    axis.vlines(values, floor, height, color=colour, linewidth=1.0)
    axis.plot(values, [height] * len(values), marker, color=colour, markersize=3.5, label=label)
