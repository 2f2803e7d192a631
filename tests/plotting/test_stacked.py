"""For a narrow screen a figure is redrawn, and not shrunk."""

import re

from hspec.plotting import panels
from hspec.plotting.stacked import NARROW, stacked_svg


def width(svg):
    return float(re.search(r'width="([\d.]+)pt"', svg)[1]) / 72


def test_a_legend_in_a_row_leaves_its_panel_the_width():
    figure, (above, _) = panels(2, 1, width=8.0)
    for name in ("mini-batches", "at the frames", "learning rate drops"):
        above.plot([1, 2], [3, 4], label=name)
    before = above.legend(ncols=3, loc="lower left")
    ground = re.search(
        r'id="patch_2">\s*<path d="M ([\d.]+) [\d.]+ \nL ([\d.]+)', stacked_svg(figure)
    )
    assert float(ground[2]) - float(ground[1]) > 0.7 * NARROW * 72
    assert above.get_legend() is before and before._ncols == 3


def test_a_long_title_does_not_make_the_picture_smaller():
    figure, axes = panels(2, 1, width=8.0)
    axes[0].set_title("a net with a long name (29,574 parameters), digits, Hessian of 100 images")
    assert width(stacked_svg(figure)) <= NARROW + 0.2
    assert not axes[0].title.get_wrap() and figure.get_size_inches()[0] == 8.0


def test_a_legend_above_its_panel_stays_above_it(monkeypatch):
    figure, (_, right) = panels(1, 2)
    for place, name in enumerate(("A1", "A2", "B1", "B2")):
        right.bar([1, 2], 1, bottom=place, label=name)
    before = right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    drawn = []

    def kept(*_, **__):
        figure.draw_without_rendering()
        drawn.append((right.get_legend().get_window_extent(), right.bbox.frozen()))

    monkeypatch.setattr(figure, "savefig", kept)
    stacked_svg(figure)
    ((legend, panel),) = drawn
    assert legend.y0 >= panel.y1
    assert panel.x0 < legend.x0 < legend.x1 < panel.x1
    assert right.get_legend() is before
