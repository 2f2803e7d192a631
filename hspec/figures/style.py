"""The book's look for every figure; colours, panels and their style are those of `hspec.plotting`."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from IPython.core.formatters import BaseFormatter
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hspec.plotting.numbers import plotted_numbers
from hspec.plotting.stacked import stacked_svg
from hspec.plotting.style import COLOURS, DIVERGING, LINE_STYLES, RC, SEQUENTIAL, panels

__all__ = ["COLOURS", "DIVERGING", "LINE_STYLES", "SEQUENTIAL", "panels", "set_style", "spikes"]


# what an executed notebook keeps of a figure beside its pictures
KEPT = {"text/csv": plotted_numbers, "image/x-stacked-svg": stacked_svg}


def set_style() -> None:
    """Set the book's look for every later figure; a notebook keeps each as SVG, PDF and plotted numbers."""
    sns.set_theme(style="ticks", rc=RC)
    try:
        from_notebook = get_ipython()  # defined by IPython, and only there
    except NameError:
        return
    from_notebook.run_line_magic("config", "InlineBackend.figure_formats = ['svg', 'pdf']")
    from_notebook.run_line_magic("matplotlib", "inline")
    display = from_notebook.display_formatter
    for name, drawn in KEPT.items():
        formatter = BaseFormatter(parent=display, format_type=name, print_method="_no_method_")
        formatter.for_type(Figure, drawn)
        display.formatters[name] = formatter


def spikes(
    axis: Axes, values: np.ndarray, height: float, colour: str, label: str | None = None, marker: str = "o"
) -> None:
    """Outliers as stems from the axis' floor up to ``height``."""
    floor = axis.get_ylim()[0]
    axis.vlines(values, floor, height, color=colour, linewidth=1.0)
    axis.plot(values, [height] * len(values), marker, color=colour, markersize=3.5, label=label)
