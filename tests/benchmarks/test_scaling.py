"""The page *Beyond one machine* shows what the cost model gives."""

from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.process_tables import killed
from benchmarks.results import FOLDER, Results
from benchmarks.tasks.sweeps import MOMENTS

PAGE = Path(__file__).parents[2] / "book" / "beyond_one_machine.md"


def test_the_page_shows_what_is_counted():
    found, text = scaling.example(), PAGE.read_text(encoding="utf-8")
    assert scaling.table(found["built"]) in text
    assert f"a gradient takes {found['gradient']:.1f} forward passes" in text
    assert f"$c = {found['kept']:.1f}$" in text and f"$c = {found['built']:.1f}$" in text


def test_the_page_shows_what_was_measured():
    stored, text = Results(FOLDER / "cpu"), PAGE.read_text(encoding="utf-8")
    for record in stored.read("sharded").values():
        p = record["result"]["num_parameters"]
        assert f"{p:,} parameters" in text and f"({4 * p / 1e6:.0f} MB)" in text
    (row,) = killed(stored)
    assert row["moments"] == row["rerun, records the same bit for bit"] == MOMENTS
    assert row["nothing else left"] == MOMENTS
    for table in ("sharded", "asleep", "killed", "parallel"):
        assert f"../benchmarks/results/cpu/{table}.md" in text


def test_one_rank_moves_nothing_and_keeps_everything():
    alone, eight = (scaling.cost(scaling.PROBLEMS[0], n, 8.0) for n in (1, 8))
    assert alone["moved"] == 0 and alone["efficiency"] == 1
    assert alone["basis"] == pytest.approx(8 * eight["basis"])
    assert eight["arithmetic"] == pytest.approx(alone["arithmetic"] / 8)
