"""Ticks that can be told apart."""

import doctest

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hspec.figures import film_axes


def test_examples():
    assert doctest.testmod(film_axes).failed == 0


@pytest.mark.parametrize("decades", [0.6, 1.4, 2.5, 4.0])
def test_a_logarithmic_axis_of_a_low_panel_names_two_to_six_numbers(decades):
    figure, axis = plt.subplots(figsize=(6, 1.3))
    axis.plot([0, 1], [4.5 * 10**-decades, 4.5])
    film_axes.plain_log(axis)
    figure.draw_without_rendering()
    low, high = axis.get_ylim()
    ticks = [*axis.yaxis.get_major_ticks(), *axis.yaxis.get_minor_ticks()]
    named = sorted(t.get_loc() for t in ticks if t.label1.get_text() and low <= t.get_loc() <= high)
    plt.close(figure)
    assert 2 <= len(named) <= 6
    assert np.diff(np.log10(named)).min() / np.log10(high / low) > 0.1
