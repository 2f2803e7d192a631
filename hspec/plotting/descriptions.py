"""What a figure shows, in words and numbers that are read off it:
alternative texts that cannot be of another run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, ScalarFormatter

from hspec.words import plain

MOST_PANELS = 9  # that are described one by one
MOST_SERIES = 6  # of a panel
SAME = "the same"  # as in the panel before it
NUMBERED = (ScalarFormatter, LogFormatter)  # axes whose ticks have no names; to ask each takes long


def described(figure: Figure) -> str:
    """The alternative text: of every panel its axes, and of what is drawn the ends and the
    extremes.

    Args:
        figure: as drawn; nothing is changed.

    Example:
        >>> figure = Figure()
        >>> axes = figure.subplots()
        >>> _ = axes.plot([0, 1, 2], [2, 5, 3], label="growth")
        >>> _ = axes.set(xlabel="t", ylabel="size")
        >>> print(described(figure))
        size against t, 0 to 2. growth: 2 at 0, 5 at 1 (largest), 3 at 2.
    """
    panels = [
        axes for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>"
    ]
    told = [_panel(axes, alone=len(panels) == 1) for axes in panels[:MOST_PANELS]]
    named = next((n for n, axes in enumerate(panels) if axes.get_ylabel()), MOST_PANELS)
    told = [
        text.replace(f"{SAME} against", "against") if n < named else text
        for n, text in enumerate(told)
    ]
    if len(panels) > 1:
        told = [f"Panel {number}: {text}" for number, text in enumerate(told, 1)]
    if len(panels) > MOST_PANELS:
        told.append(f"And {len(panels) - MOST_PANELS} more panels.")
    return " ".join(told)


def _panel(axes: Axes, *, alone: bool) -> str:
    title = plain(axes.get_title("left") or axes.get_title())
    if not len(axes.get_xticks()) and not len(axes.get_yticks()):  # a map whose axes mean nothing
        return f"{title or 'A map'}, its axes without a scale."
    frame, maps = _axes(axes, alone), list(_maps(axes))
    rows = list(_rows(axes)) if not maps else []  # each says from where to where it reaches
    if (places := _places(axes)) and not maps and not rows and not _in_words(axes):
        frame += f", {number(min(places))} to {number(max(places))}"
    parts = [
        f"{title}, {frame}" if title else frame,
        *(maps or rows or list(_series(axes))[:MOST_SERIES]),
    ]
    return " ".join(f"{part}." for part in parts)


def _axes(axes: Axes, alone: bool) -> str:
    """What is drawn against what; what a panel of several does not name it shares with others."""
    other = "" if alone or _row_names(axes) else SAME
    of, along = _name(axes.get_ylabel()) or other, _name(axes.get_xlabel()) or _in_words(axes)
    along = along or _name(_below(axes).get_xlabel())
    if not along and not alone:
        along = "the same axis"
    return f"{of} against {along}" if of and along else of or f"along {along}"


def _below(axes: Axes) -> Axes:
    """The lowest panel of the same column that names its abscissa, or this one."""
    place = axes.get_subplotspec()
    column = [
        other
        for other in axes.figure.axes
        if place is not None
        and (its := other.get_subplotspec()) is not None
        and its.get_gridspec() is place.get_gridspec()
        and its.colspan == place.colspan
        and other.get_xlabel()
    ]
    return max(column, key=lambda other: other.get_subplotspec().rowspan.start, default=axes)


def _in_words(axes: Axes) -> str:
    """The places of an axis that are named, not numbered."""
    if isinstance(axes.xaxis.get_major_formatter(), NUMBERED):
        return ""
    names = [plain(label.get_text()) for label in axes.get_xticklabels()]
    return ", ".join(names) if any(re.search("[a-z]{3}", name) for name in names) else ""


def _row_names(axes: Axes) -> dict[float, str]:
    """The rows of an axis that are named, by their places, be it beside a panel that shares them;
    none where numbers name them.
    """
    if isinstance(axes.yaxis.get_major_formatter(), NUMBERED):
        return {}
    sharing = [axes, *axes.get_shared_y_axes().get_siblings(axes)]
    named = next((a for a in sharing if any(t.get_text() for t in a.get_yticklabels())), axes)
    ticks = zip(named.get_yticks(), named.get_yticklabels(), strict=False)
    names = {y: plain(text.get_text()) for y, text in ticks if text.get_text()}
    named = any(re.search("[A-Za-z]", name.replace("mathdefault", "")) for name in names.values())
    return names if named else {}


def _rows(axes: Axes) -> Iterator[str]:
    """Of an axis whose rows are named, not numbered: the lengths of each label's bars, or from
    where to where each row's marks and bars reach.
    """
    if not (names := _row_names(axes)):
        return
    bars = [found for found in axes.containers if isinstance(found, BarContainer)]
    for found in bars:
        lengths = [
            f"{name} {number(bar.get_width())}"
            for bar in found.patches
            for y, name in names.items()
            if abs(bar.get_y() + bar.get_height() / 2 - y) < 0.5
        ]
        if not str(found.get_label()).startswith("_"):
            yield f"{plain(found.get_label())}: {', '.join(lengths)}"
    if any(not str(found.get_label()).startswith("_") for found in bars):
        return
    marks = [_points(line) for line in axes.lines if line.get_transform() == axes.transData]
    marks += [_offsets(found) for found in axes.collections if isinstance(found, PathCollection)]
    marks += [
        (np.array([end]), np.array([bar.get_y() + bar.get_height() / 2]))
        for bar in axes.patches
        for end in (bar.get_x(), bar.get_x() + bar.get_width())
    ]
    x, y = (np.concatenate([mark[i] for mark in marks] or [[]]) for i in range(2))
    for place, name in names.items():
        if len(here := x[np.abs(y - place) < 0.5]):
            ends = dict.fromkeys((number(here.min()), number(here.max())))
            yield f"{name}: {' to '.join(ends)}"


def _offsets(points: PathCollection) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.ma.getdata(points.get_offsets()).astype(float).T)


def _places(axes: Axes) -> list[float]:
    """Where the curves begin and end."""
    places = [_seen(axes, line)[0] for line in axes.lines if line.get_transform() == axes.transData]
    return [float(x) for xs in places if len(xs) for x in xs[[0, -1]]]


def _series(axes: Axes) -> Iterator[str]:
    """Every labelled line, or the only unlabelled one, or the points of all; labelled bars by
    their heights, rules across the panel by their places.
    """
    handles, labels = axes.get_legend_handles_labels()
    found = [
        (h[0] if isinstance(h, ErrorbarContainer) else h, label)
        for h, label in zip(handles, labels, strict=True)
    ]
    if not found:
        found = [(line, "") for line in axes.lines[:1]]
    if not any(isinstance(mark, BarContainer) for mark, _ in found):
        found += [(bars, "") for bars in axes.containers if isinstance(bars, BarContainer)]
    if points := _scattered(axes):
        yield points
    for line, label in found:
        if isinstance(line, Line2D) and line.get_transform() == axes.transData:
            x, y = _seen(axes, line)
            if len(x):
                yield f"{plain(label)}: {_run(x, y)}" if label else _run(x, y)
        elif isinstance(line, BarContainer) and len(line.patches):
            boxes = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in line.patches]
            yield f"{plain(label) or 'bars'}: {_run(*np.array(boxes).T)}"
        elif isinstance(line, Line2D) and line.get_transform() == axes.get_xaxis_transform():
            yield f"{plain(label)}, at {number(float(line.get_xdata()[0]))}"
        elif isinstance(line, Line2D) and line.get_transform() == axes.get_yaxis_transform():
            yield f"{plain(label)}, at {number(float(line.get_ydata()[0]))}"
        elif label:
            yield plain(label)


def _scattered(axes: Axes) -> str:
    """Points with error bars that no label names: the first and the last, and the extremes."""
    alone = [
        _points(bars[0])
        for bars in axes.containers
        if isinstance(bars, ErrorbarContainer) and bars.get_label().startswith("_")
    ]
    if not alone or any(len(x) != 1 for x, _ in alone):
        return ""
    x, y = np.array(sorted((float(x[0]), float(y[0])) for x, y in alone)).T
    return f"{len(x)} points: {_run(x, y)}"


def _points(line: Line2D) -> tuple[np.ndarray, np.ndarray]:
    x, y = (np.ma.filled(np.ma.asarray(v, float), np.nan) for v in line.get_data(orig=False))
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]


def _seen(axes: Axes, line: Line2D) -> tuple[np.ndarray, np.ndarray]:
    """The points within the axes; what lies below them or above is at their edge.

    On a logarithmic axis what lies below is left out where the line ends there: it is seen to end
    where it leaves the axes.
    """
    x, y = _points(line)
    low, high = sorted(axes.get_ylim())
    inside = (min(axes.get_xlim()) <= x) & (x <= max(axes.get_xlim()))
    if axes.get_yscale() == "log" and (seen := np.flatnonzero(inside & (y >= low))).size:
        inside[: seen[0]] = inside[seen[-1] + 1 :] = False
    return x[inside], np.clip(y[inside], low, high)


def _run(x: np.ndarray, y: np.ndarray) -> str:
    """Both ends, and the largest and the smallest value where they lie between them."""
    places = {0: "", len(x) - 1: ""}
    for place, name in ((int(y.argmax()), " (largest)"), (int(y.argmin()), " (smallest)")):
        if y[place] not in y[[0, -1]]:
            places[place] = name
    return ", ".join(f"{number(y[i])} at {number(x[i])}{places[i]}" for i in sorted(places))


def _maps(axes: Axes) -> Iterator[str]:
    for image in [*axes.images, *axes.collections]:
        values = image.get_array()
        if (
            values is not None
            and np.ndim(values) == 2
            and np.isfinite(np.ma.filled(values, np.nan)).any()
        ):
            known = np.ma.masked_invalid(values)
            yield (
                f"A map of {' by '.join(map(str, values.shape))} values, {number(known.min())} to "
                f"{number(known.max())}"
            )


def _name(label: str) -> str:
    """What an axis is of, without the note on a dashed line that its label may have."""
    return plain(re.sub(r" \((?:dashed|dotted|solid|grey)\b[^()]*\)", "", label))


def number(value: float) -> str:
    """Three digits, as one reads them aloud.

    Example:
        >>> print(number(94_961.0), number(-0.43521), number(5e-06))
        95,000 −0.435 5·10^−6
    """
    text = f"{value:.3g}"
    if "e" in text:
        digits, power = text.split("e")
        text = f"{float(text):,.0f}" if 0 < int(power) < 6 else f"{digits}·10^{int(power)}"
    return text.replace("-", "−")
