"""Tables write numbers as they are told to, and give all digits away."""

import base64
import doctest
import re

import numpy as np
import pytest

from hspec.experiments import Experiment, Recipe, Setting, load_or_run, measure
from hspec.figures import tables
from hspec.figures.tables import (
    download,
    named_values,
    scale_note,
    table,
    tabulated,
    typeset,
    written,
)


def test_the_examples_run():
    assert doctest.testmod(tables).failed == 0


@pytest.mark.parametrize(
    ("value", "how", "text"),
    [
        (2.34567, ".3g", "2.35"),
        (np.float64(0.125), ".1%", "12.5%"),
        (28157706, ",", "28,157,706"),
        (7, "", "7"),
        ((0.5, 0.01), "{:.2f} ± {:.2f}", "0.50 ± 0.01"),
        (0.5, "{:.2f} ± {:.2f}", "0.50"),
        ((0.5, np.nan), "{:.2f} ± {:.2f}", "0.50 ± –"),
        ((0.637, np.nan), "{:.1%} ± {:.1%}", "63.7% ± –"),
        ((0.0018, 0.00002), "{:.4f} ± {:.4f}", "0.00180 ± 0.00002"),
        ((0.5, 0.0), "{:.2f} ± {:.2f}", "0.50 ± 0.00"),
        ((np.nan, np.nan), "{:.2f} ± {:.2f}", "–"),
        (np.nan, ".3g", "–"),
        (None, ".3g", ""),
        ("diverged", ".3g", "diverged"),
    ],
)
def test_a_cell_is_written_by_its_format(value, how, text):
    assert written(value, how) == text


@pytest.mark.parametrize(
    ("plain", "mathematics"),
    [
        ("δ_c, Hess", "$\\delta_{c}$, Hess"),
        ("all δ_{c,c'}", "all $\\delta_{c,c'}$"),
        ("‖p_c g_c + p_cc g_cc‖", "‖$p_{c}$ $g_{c}$ + $p_{cc}$ $g_{cc}$‖"),
        ("‖g_c − ε_c h_cᵀ‖", "‖$g_{c}$ − $\\varepsilon_{c}$ $h_{c}$ᵀ‖"),
        ("λ_1 /λ_{C−1}", "$\\lambda_{1}/\\lambda_{C-1}$"),
        ("g_{c,c} and Σ_{i≤C} λ_i", "$g_{c,c}$ and $\\sum_{i \\le C}$$\\lambda_{i}$"),
        ("3.62e+03, 1e+01, 2e-03, 4e-05", "3,620, 10, 0.002, $4 \\cdot 10^{-5}$"),
        ("-0.22 {-0.5 … -0.00}, 2026-11-26", "−0.22 {−0.5 … 0.00}, 2026-11-26"),
    ],
)
def test_symbols_and_signs_are_typeset(plain, mathematics):
    assert typeset(plain) == mathematics.replace("$$", "")


def test_an_index_with_a_name_is_a_column():
    frame = tabulated([{"net": "a", "λ": 2.5}], {"λ": ".2f"})
    named = frame.set_index("net")
    assert table(named).data == table(frame).data
    assert table(named.rename_axis(None)).data.startswith("| λ |")


def test_rows_and_columns_make_the_same_table():
    rows = tabulated([{"a": 1, "b": 0.5}, {"a": 2, "b": 0.25}], {"b": ".1f"})
    columns = tabulated({"a": [1, 2], "b": [0.5, 0.25]}, {"b": ".1f"})
    assert (
        table(rows).data
        == table(columns).data
        == "| a | b |\n| --- | --- |\n| 1 | 0.5 |\n| 2 | 0.2 |"
    )


def test_bars_in_a_cell_do_not_end_it():
    assert table(tabulated([{"|λ|": "a|b"}], {})).data.splitlines()[2] == "| a\\|b |"


def test_values_of_different_kinds_have_formats_of_their_own():
    assert list(named_values("x", {"n": (3, ","), "share": (0.5, ".0%")})["value"]) == ["3", "50%"]


def test_a_download_has_all_digits_and_one_number_a_cell():
    rows = [{"net": "a", "share": (1 / 3, 0.01)}, {"net": "b", "share": "none"}]
    html = download(tabulated(rows, {"share": "{:.1f} ± {:.1f}"}), "x.csv").data
    text = base64.b64decode(re.search('base64,([^"]+)', html)[1]).decode()
    assert text.splitlines() == ['net,share,"share, 2"', "a,0.3333333333333333,0.01", "b,none,"]


def test_what_was_measured_is_one_row_a_net_and_sample(store):
    @measure(version=1)
    def toy(task, *, size: int):
        return {"num_parameters": 1234 * size, "num_examples": 10}

    settings = Setting("digits", "mlp:4", recipe=Recipe(epochs=0))
    records = [load_or_run(Experiment(toy, settings, {"size": size}), store) for size in (1, 1, 2)]
    head, _, *rows = scale_note(records).data.splitlines()
    assert head.startswith("| net | parameters | data | examples | device | records |")
    assert [row.split(" | ")[1] for row in rows] == ["1,234", "2,468"]
    assert "Nothing is measured yet" in scale_note([]).data
