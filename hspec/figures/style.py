"""The book's look for every figure; colours, panels and their style are those of `hspec.plotting`."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from hspec.plotting.style import COLOURS, DIVERGING, LINE_STYLES, RC, SEQUENTIAL, panels

__all__ = ["COLOURS", "DIVERGING", "LINE_STYLES", "SEQUENTIAL", "panels", "set_style", "spikes"]


def set_style() -> None:
    """Set the book's look for every later figure, and vector output where a notebook is running."""
    sns.set_theme(style="ticks", rc=RC)
    try:
        from_notebook = get_ipython()  # defined by IPython, and only there
    except NameError:
        return
    from_notebook.run_line_magic("config", "InlineBackend.figure_formats = ['svg']")
    from_notebook.run_line_magic("matplotlib", "inline")


def spikes(
    axis: Axes, values: np.ndarray, height: float, colour: str, label: str | None = None, marker: str = "o"
) -> None:
    """Outliers as stems from the axis' floor up to ``height``."""
    floor = axis.get_ylim()[0]
    axis.vlines(values, floor, height, color=colour, linewidth=1.0)
    axis.plot(values, [height] * len(values), marker, color=colour, markersize=3.5, label=label)
