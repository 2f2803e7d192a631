"""Tables write numbers as they are told to, and give all digits away."""

import base64
import doctest
import re

import numpy as np
import pytest

from hspec.experiments import Experiment, Recipe, Setting, load_or_run, measure
from hspec.figures import tables
from hspec.figures.tables import download, named_values, scale_note, table, tabulated, written


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
        ((np.nan, np.nan), "{:.2f} ± {:.2f}", "–"),
        (np.nan, ".3g", "–"),
        (None, ".3g", ""),
        ("diverged", ".3g", "diverged"),
    ],
)
def test_a_cell_is_written_by_its_format(value, how, text):
    assert written(value, how) == text


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
