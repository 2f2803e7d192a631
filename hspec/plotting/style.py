"""One look for every picture: colours with a fixed meaning, thin axes, vector output."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe-Ito: told apart by readers with any colour vision. One matrix, one colour, in the whole
# book.
COLOURS = {
    "Hess": "#0072B2",
    "G": "#D55E00",
    "H": "#009E73",
    "A1": "#CC79A7",
    "A2": "#E69F00",
    "B1": "#56B4E9",
    "B2": "#7A5195",
    "G0": "#17BECF",  # these four as in P19's figure 6: cyan, orange, red, green
    "G1": "#FF9F1C",
    "G2": "#C1121F",
    "G1+2": "#2A9134",
    "KFAC": "#8C564B",
    "CFAC": "#AA3377",
    "cross-class sum": "#7A7A1E",
    "exact": "#222222",
    "neutral": "#6E6E6E",
    "pale": "#BDBDBD",  # what lies under another line
}
# Of what is no matrix, nets or laws or labels side by side: no colour of the above.
SERIES = ("#4A52A8", "#A6761D", "#D01C8B", "#5E9C1A", "#5F5F5F")
LINE_STYLES = {"Hess": "-", "G": "--", "H": "-.", "A1": ":", "exact": "-"}
SEQUENTIAL = "cividis"  # even in lightness, also for colour-blind readers
DIVERGING = "RdBu_r"

RC = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,  # bars hide the grid
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 0.8,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # else every drawing measures all ticks, to find whether a title is free
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",  # a white card also in the dark theme: colours keep their meaning
    "svg.fonttype": "path",
    "svg.hashsalt": "hspec",  # the same figure gives the same bytes
}


def panels(
    rows: int = 1, columns: int = 1, *, width: float = 4.6, height: float = 3.3, **kwargs: Any
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row, in the book's style, which is set for it alone.

    It is not known to pyplot, so that a notebook shows it once.

    Args:
        rows, columns: number of panels.
        width, height: of one panel, in inches.
        kwargs: for `Figure.subplots`: sharex, sharey, …

    Example:
        >>> figure, axes = panels(1, 2)
        >>> len(axes)
        2
    """
    with mpl.rc_context(RC):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
    return figure, list(axes.flat)
