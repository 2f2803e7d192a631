"""What is saved of a figure is what it shows; stacked, it shows the same."""

import csv
import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from hspec.plotting import panels
from hspec.plotting.numbers import plotted_numbers
from hspec.plotting.stacked import NARROW, _legends_above, stacked_svg


def rows(figure):
    return list(csv.DictReader(io.StringIO(plotted_numbers(figure))))


def numbers(figure, name):
    return [float(row[name]) for row in rows(figure)]


def drawn(draw):
    figure = Figure()
    draw(figure.subplots())
    return figure


def test_a_curve_under_its_panel_and_label():
    figure, axes = panels(1, 2)
    axes[1].set_title("right")
    axes[1].plot([1.0, 2.0], [3.0, np.nan], label="loss")
    first, second = rows(figure)
    assert list(first.values()) == ["2", "right", "loss", "line", "1", "3", ""]
    assert second["y"] == "nan"


@pytest.mark.parametrize(
    ("draw", "kind", "expected"),
    [
        (lambda a: a.scatter([1, 2], [3, 4], c=[5, 6]), "points", ([1, 2], [3, 4], [5, 6])),
        (lambda a: a.vlines([1, 2], 0, [3, 4]), "stems", ([1, 1, 2, 2], [0, 3, 0, 4], None)),
        (lambda a: a.bar([1, 2], [3, 4]), "bar", ([1, 2], [3, 4], None)),
        (lambda a: a.imshow([[1, 2], [3, 4]]), "map", ([0, 1, 0, 1], [0, 0, 1, 1], [1, 2, 3, 4])),
        (
            lambda a: a.imshow([[1, 2], [3, 4]], origin="lower", extent=(0, 4, 0, 2)),
            "map",
            ([1, 3, 1, 3], [0.5, 0.5, 1.5, 1.5], [1, 2, 3, 4]),
        ),
        (lambda a: a.pcolormesh([0, 2, 4], [0, 1], [[5, 6]]), "map", ([1, 3], [0.5, 0.5], [5, 6])),
    ],
)
def test_marks_of_every_kind(draw, kind, expected):
    figure = drawn(draw)
    assert {row["kind"] for row in rows(figure)} == {kind}
    for name, values in zip(("x", "y", "value"), expected, strict=True):
        if values is not None:
            np.testing.assert_allclose(numbers(figure, name), values)


def test_a_band_has_both_its_edges():
    figure = drawn(lambda a: a.fill_between([0.0, 1.0], [1.0, 2.0], [3.0, 4.0]))
    outline = {(float(row["x"]), float(row["y"])) for row in rows(figure)}
    assert outline == {(0, 1), (1, 2), (0, 3), (1, 4)}


def test_lines_across_a_panel_are_rules_and_what_is_hidden_is_left_out():
    figure = Figure()
    axes = figure.subplots()
    axes.axvline(2.0, label="drop")
    axes.axhline(5.0)
    axes.plot([1], [1], visible=False)
    assert [(row["kind"], row["x"], row["y"]) for row in rows(figure)] == [
        ("rule", "2", ""),
        ("rule", "", "5"),
    ]


def test_a_stacked_figure_is_narrow_and_the_figure_stays_as_it_was():
    figure, axes = panels(1, 3, sharey=True)
    size, place = figure.get_size_inches().copy(), axes[1].get_subplotspec()
    shown = axes[1].yaxis.get_tick_params()["labelleft"]
    stacked = stacked_svg(figure)
    width, height = (
        float(stacked.split(f'{name}="')[1].split("pt")[0]) for name in ("width", "height")
    )
    assert height > 2 * width
    assert (figure.get_size_inches() == size).all()
    assert axes[1].get_subplotspec() is place
    assert axes[1].yaxis.get_tick_params()["labelleft"] is shown


@pytest.mark.parametrize("place", ["outside lower center", "outside right center"])
def test_a_legend_of_a_stacked_figure_leaves_its_panels_their_width(place):
    figure, (axis,) = panels(1, 1, width=4.6, height=3)
    names = [f"a law, fitted: {k}" for k in range(7)]
    lines = [axis.plot([0, 1], [k, 1])[0] for k in range(7)]
    legend = figure.legend(lines, names, loc=place, ncols=7)
    with _legends_above(figure):
        figure.draw_without_rendering()
        assert axis.get_position().width > 0.75
        (above,) = figure.legends
        assert [text.get_text() for text in above.get_texts()] == names
        assert above.get_window_extent().width < figure.bbox.width
    assert figure.legends == [legend]


def test_a_wide_figure_in_one_column_is_narrower_with_letters_of_the_same_size():
    figure, axes = panels(2, 1, width=8.0)
    size, place = figure.get_size_inches().copy(), axes[1].get_subplotspec()
    width = float(stacked_svg(figure).split('width="')[1].split("pt")[0])
    assert width < 72 * (NARROW + 0.2)
    assert (figure.get_size_inches() == size).all()
    assert axes[1].get_subplotspec() is place
