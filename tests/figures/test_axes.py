"""Ticks that can be told apart, and labels without marks of typesetting."""

import ast
import doctest
import re
from itertools import chain
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

import hspec
from hspec.figures import film_axes

PACKAGE = Path(hspec.__file__).parent
NAMES = {"set_xlabel", "set_ylabel", "set_title", "set_label"}


def test_examples():
    assert doctest.testmod(film_axes).failed == 0


@pytest.mark.parametrize("decades", [0.25, 0.4, 0.6, 1.4, 2.5, 4.0])
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


def labels(source):
    """The texts that a module writes at axes, lines and panels."""
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call):
            given = [k.value for k in call.keywords if k.arg in {"label", "xlabel", "ylabel"}]
            given += call.args[:1] if getattr(call.func, "attr", "") in NAMES else []
            yield from (v.value for v in given if isinstance(v, ast.Constant) and v.value)


def test_no_label_has_an_index_that_is_not_typeset():
    files = chain(
        *(PACKAGE.rglob(name) for name in ("*figures*.py", "figures/*.py", "primer/*.py"))
    )
    raw = [
        f"{file.name}: {label}"
        for file in files
        for label in labels(file.read_text(encoding="utf-8"))
        if "_" in re.sub(r"\$[^$]*\$", "", str(label)) and not str(label).startswith("_")
    ]
    assert not raw, raw


@pytest.mark.parametrize("values", [[np.nan, np.nan], [-1.0, 0.0]])
def test_an_axis_on_which_nothing_is_above_zero_is_drawn_all_the_same(values):
    """As of eigenvalues none of which is known: matplotlib's labels end in an error."""
    figure, axis = plt.subplots()
    axis.errorbar([0, 1], values, [1.0, 1.0] if values[0] != values[0] else None)
    film_axes.plain_log(axis)
    assert axis.get_yscale() == "linear" and axis.get_yticklabels() is not None
    figure.draw_without_rendering()
    plt.close(figure)
