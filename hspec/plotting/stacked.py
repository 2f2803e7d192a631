"""A figure for a narrow screen: its panels below each other instead of side by side, its lettering
large beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend
from matplotlib.transforms import IdentityTransform

from hspec.plotting.saving import svg
from hspec.words import plain

NARROW = 4.6  # inches: on a telephone letters of nine points are then nine pixels high
LETTERS, HANDLE = 52, 7  # of a legend: so many on a line, as many as a handle takes
WITHIN = 40  # on a line of a legend within a panel, which has its axis' labels beside it
SIDES = {"x": "labelbottom", "y": "labelleft"}


def stacked_svg(figure: Figure) -> str | None:
    """The figure as SVG with its panels in one column, row by row, at most :data:`NARROW` wide;
    None where they are so already.

    The figure is as before afterwards, to a fraction of a point. Needs the constrained layout, by
    which `panels` makes figures.

    Example:
        >>> from hspec.plotting import panels
        >>> stacked_svg(panels(2, 1, width=4)[0]) is None
        True
        >>> "<svg" in stacked_svg(panels(1, 2)[0])
        True
    """
    placed = [axes for axes in figure.axes if axes.get_subplotspec() is not None]
    columns = max((axes.get_subplotspec().get_gridspec().ncols for axes in placed), default=1)
    width, height = figure.get_size_inches()
    if columns == 1:
        return _at_size(figure, (NARROW, height)) if width > NARROW else None
    rows = max(axes.get_subplotspec().get_gridspec().nrows for axes in placed)
    with (
        _in_one_column(figure, placed, (width / columns, height / rows)),
        _legends_above(figure),
    ):
        return _svg(figure)


def _at_size(figure: Figure, size: tuple[float, float]) -> str:
    """As SVG of another size; the lettering keeps its own."""
    before = figure.get_size_inches().copy()
    figure.set_size_inches(size)
    try:
        with _legends_above(figure):
            return _svg(figure)
    finally:
        figure.set_size_inches(before)


@contextmanager
def _legends_above(figure: Figure) -> Iterator[None]:
    """The legends of the figure above its panels, in as many columns as there is room for: beside
    them or in one line they would leave the panels none. Those of a panel stay in it, or where they
    are anchored, in no more columns than it has room for.
    """
    before, within = list(figure.legends), {axes: axes.get_legend() for axes in figure.axes}
    figure.legends.clear()
    try:
        for legend in before:
            _again(figure, legend, LETTERS, len(legend.get_texts()), loc="outside upper center")
        for axes, legend in within.items():
            if legend is not None and legend._ncols > 1:
                drawn = {"loc": legend._loc, "frameon": legend.get_frame_on()}
                drawn |= {"framealpha": legend.get_frame().get_alpha()}
                if anchored := legend._bbox_to_anchor is not None:
                    drawn |= {"bbox_to_anchor": legend.get_bbox_to_anchor()}
                    drawn |= {"bbox_transform": IdentityTransform()}  # it has the axes' own in it
                _again(axes, legend, WITHIN, legend._ncols, **drawn)
                if axes.get_legend()._ncols < legend._ncols and not anchored:
                    axes.get_legend().set_loc("best")  # higher now: where it hides least
        yield
    finally:
        figure.legends[:] = before
        for axes, legend in within.items():
            axes.legend_ = legend


def _again(owner: Figure | Axes, legend: Legend, letters: int, most: int, **drawn: Any) -> None:
    """The legend once more, in at most so many columns and no more than a line of letters holds."""
    names = [text.get_text() for text in legend.get_texts()]
    longest = max(len(plain(name)) for name in names)
    owner.legend(
        legend.legend_handles,
        names,
        title=legend.get_title().get_text() or None,
        ncols=max(1, min(most, letters // (longest + HANDLE))),
        **drawn,
    )


def _svg(figure: Figure) -> str:
    """Titles go on in another line where they are wider than the figure, which would else be drawn
    smaller for their sake.
    """
    titles = [title for axes in figure.axes for title in (axes.title, axes._left_title)]
    wrapped = [title.get_wrap() for title in titles]
    try:
        for title in titles:
            title.set_wrap(True)
        return svg(figure)
    finally:
        for title, before in zip(titles, wrapped, strict=True):
            title.set_wrap(before)


@contextmanager
def _in_one_column(figure: Figure, placed: list[Axes], size: tuple[float, float]) -> Iterator[None]:
    """Panels of this size in one column; those that shared an axis' labels show their own."""
    places = [axes.get_subplotspec() for axes in placed]
    labelled = [{x: _shows(axes, x) for x in SIDES} for axes in placed]
    before = figure.get_size_inches().copy()
    column = GridSpec(len(placed), 1, figure=figure)
    try:
        for row, axes in enumerate(placed):
            axes.set_subplotspec(column[row])
            for x, side in SIDES.items():
                axes.tick_params(axis=x, **{side: True})
        figure.set_size_inches(size[0], size[1] * len(placed))
        yield
    finally:
        for axes, place, shown in zip(placed, places, labelled, strict=True):
            axes.set_subplotspec(place)
            for x, side in SIDES.items():
                axes.tick_params(axis=x, **{side: shown[x]})
        figure.set_size_inches(before)


def _shows(axes: Axes, x: str) -> bool:
    found = (axes.xaxis if x == "x" else axes.yaxis).get_tick_params()
    return found.get(SIDES[x], found.get(SIDES["y"], True))  # matplotlib 3.9 has one name for both
