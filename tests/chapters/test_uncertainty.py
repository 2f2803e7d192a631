"""Every row of every verdict table names what its number is uncertain over, in one notation."""

import doctest
import re
from pathlib import Path

import pytest

from hspec.book.evidence import ONE_RECORD, judged
from hspec.experiments import Store, Verdict, uncertainty
from hspec.experiments.uncertainty import BRACKETS, KINDS, averaged, kind_of
from hspec.figures.tables import notation, verdict_table

CHAPTERS = sorted(Path(uncertainty.__file__).parents[1].glob("chapters/*/verdict.py"))


@pytest.fixture(scope="module")
def rows():
    """Of the verdict tables of all results that come with the book."""
    published = [result.verdicts for found in judged(Store()).values() for result in found]
    laptop = [
        verdict(record)
        for measure, verdict in ONE_RECORD.items()
        for record in Store().laptop_records(measure)
    ]
    return [row for verdicts in published + laptop for row in verdicts]


def test_the_examples_run():
    assert doctest.testmod(uncertainty).failed == 0


def test_there_are_rows_of_most_claims(rows):
    assert len(rows) > 60 and len({row.claim for row in rows}) > 15


def test_numbers_are_written_in_the_notation_of_their_kinds(rows):
    for row in rows:
        for kind, (opening, closing) in BRACKETS.items():
            written = re.search(
                rf"\{opening}[^{opening}{closing}]* … [^{opening}]*\{closing}", row.value
            )
            assert not written or kind in row.kinds, f"{row}: brackets of {kind}"
        assert "±" not in row.value or "residual" in row.kinds, row
        several = [name for name in row.over if re.fullmatch(r"[2-9]\d* seeds|1\d+ seeds", name)]
        assert not several or "[" in row.value or "permutation" in row.kinds, row


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.parent.name)
def test_no_chapter_has_a_notation_of_its_own(path):
    """An interval or a bound is written by the functions of hspec.experiments.uncertainty."""
    source = path.read_text(encoding="utf-8")
    assert not re.search(r"± \{|s\.e\.|standard error\)|\} … ", source)


def test_a_row_that_names_nothing_is_refused():
    for over in ((), ("luck",), ("some seeds",)):
        with pytest.raises(ValueError, match="uncertain"):
            Verdict("P18-1", "a number", "1", over, "more", "holds")


def test_the_line_under_a_table_explains_what_is_in_it_and_nothing_else():
    over = ("5 seeds", "residual", "sample of 1,000 pairs")
    row = Verdict("P18-1", "a number", averaged("seed", [1.0, 2.0]), over, "≥ 2", "holds")
    said = notation([row])
    assert {kind for kind in KINDS if f"*{kind}*" in said} == {"seed", "residual", "sample"}
    text = verdict_table([row]).data
    assert "| 1.50 [−4.85 … 7.85] | 5 seeds, residual, sample of 1,000 pairs |" in text
    assert text.endswith(said)


def test_kinds_are_found_in_their_names():
    names = ["1 seed", "12 probes", "sample of 90 means", "exact", "residual"]
    assert [kind_of(name) for name in names] == ["seed", "probe", "sample", "exact", "residual"]
