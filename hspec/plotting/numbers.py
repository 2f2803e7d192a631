"""The numbers that a figure shows, read off its own artists: what is drawn is what is saved."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection, PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

COLUMNS = ("panel", "title", "series", "kind", "x", "y", "value")
Row = tuple[float | str, float | str, float | str]  # x, y, value


def plotted_numbers(figure: Figure) -> str:
    """Every curve, band, stem, point, bar and map of a figure, as the text of a CSV file.

    Its columns are the panel's number (from one) and title, the series' label, the kind of mark, x,
    y and value. A band's outline is a closed polygon, a stem or an error bar two rows, a bar its
    centre and height, a cell of a map its place and value. Lines across a whole panel are rules,
    which have one coordinate.

    Args:
        figure: as drawn; nothing is changed.

    Example:
        >>> figure = Figure()
        >>> _ = figure.subplots().plot([0.0, 1.0], [2.0, 3.0], label="growth")
        >>> print(plotted_numbers(figure).splitlines()[1])
        1,,growth,line,0,2,
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for number, axes in enumerate(figure.axes, start=1):
        title = axes.get_title() or axes.get_title("left")
        for series, kind, rows in _series(axes):
            table.writerows((number, title, series, kind, *map(_written, row)) for row in rows)
    return text.getvalue()


def _series(axes: Axes) -> Iterator[tuple[str, str, Iterator[Row]]]:
    """(label, kind, rows) of what is drawn in data coordinates."""
    for artist in axes.get_children():
        kind, read = next(
            (found for type_, *found in READ if isinstance(artist, type_)), (None, None)
        )
        if kind is None or not artist.get_visible() or artist is axes.patch:
            continue
        label = str(artist.get_label())
        name = "" if label.startswith("_") else label
        if isinstance(artist, Line2D) and artist.get_transform() != axes.transData:
            kind, read = "rule", lambda line: _rule(axes, line)
        yield name, kind, read(artist)


def _line(line: Line2D) -> Iterator[Row]:
    x, y = (np.ma.filled(np.ma.asarray(v, float), np.nan) for v in line.get_data(orig=False))
    return ((a, b, "") for a, b in zip(x, y, strict=True))


def _rule(axes: Axes, line: Line2D) -> Iterator[Row]:
    """The one coordinate of a horizontal or vertical line; nothing of what only decorates."""
    (x, y), transform = line.get_data(orig=False), line.get_transform()
    if transform == axes.get_xaxis_transform():
        yield x[0], "", ""
    elif transform == axes.get_yaxis_transform():
        yield "", y[0], ""


def _points(points: PathCollection) -> Iterator[Row]:
    places, values = np.ma.getdata(points.get_offsets()), points.get_array()
    values = [""] * len(places) if values is None else np.ravel(values)
    return ((x, y, value) for (x, y), value in zip(places, values, strict=True))


def _outline(collection: Collection) -> Iterator[Row]:
    return ((x, y, "") for path in collection.get_paths() for x, y in path.vertices)


def _bar(bar: Rectangle) -> Iterator[Row]:
    yield bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height(), ""


def _mesh(mesh: QuadMesh) -> Iterator[Row]:
    corners = mesh.get_coordinates()
    centres = (corners[:-1, :-1] + corners[1:, 1:]) / 2
    values = np.ma.filled(np.ma.asarray(mesh.get_array(), float), np.nan)
    return _cells(centres[..., 0], centres[..., 1], values.reshape(centres.shape[:2]))


def _image(image: AxesImage) -> Iterator[Row]:
    values = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)
    if values.ndim > 2:  # a photograph: colours, no values
        return iter(())
    left, right, bottom, top = image.get_extent()
    rows, columns = values.shape
    first, last = (top, bottom) if image.origin == "upper" else (bottom, top)
    x = left + (right - left) * (np.arange(columns) + 0.5) / columns
    y = first + (last - first) * (np.arange(rows) + 0.5) / rows
    return _cells(*np.meshgrid(x, y), values)


def _cells(x: np.ndarray, y: np.ndarray, values: np.ndarray) -> Iterator[Row]:
    return zip(x.ravel(), y.ravel(), values.ravel(), strict=True)


# type of artist: what its marks are called, and how they are read; the first that fits
READ = (
    (Line2D, "line", _line),
    (PathCollection, "points", _points),
    (LineCollection, "stems", _outline),
    (QuadMesh, "map", _mesh),
    (Collection, "band", _outline),
    (AxesImage, "map", _image),
    (Rectangle, "bar", _bar),
)


def _written(number: float | str) -> str:
    return number if isinstance(number, str) else f"{float(number):.9g}"
