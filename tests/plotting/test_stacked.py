"""For a narrow screen a figure is redrawn, and not shrunk."""

import re

from hspec.plotting import panels
from hspec.plotting.stacked import NARROW, stacked_svg


def width(svg):
    return float(re.search(r'width="([\d.]+)pt"', svg)[1]) / 72


def test_a_long_title_does_not_make_the_picture_smaller():
    figure, axes = panels(2, 1, width=8.0)
    axes[0].set_title("a net with a long name (29,574 parameters), digits, Hessian of 100 images")
    assert width(stacked_svg(figure)) <= NARROW + 0.2
    assert not axes[0].title.get_wrap() and figure.get_size_inches()[0] == 8.0
