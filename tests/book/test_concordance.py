"""The concordance finds every sourced docstring and shows it as it stands."""

import doctest
import re
from pathlib import Path

from hspec.book import concordance
from hspec.book.concordance import concordance_page, entries

ROOT = Path(__file__).parents[2]
CODE = '''
def density(t):
    """φ(t) = |a|_k, with `x|y`.

    Source: GKX19, section 2,
        equation 3.
    Raises: nothing.
    """

def unsourced():
    """No paper."""

def _private():
    """Hidden.

    Source: P20
    """

class Measure:
    def cdf(self):
        """Φ(t).

        Source: CTU21, eq. 1
        """
'''


def test_finds_public_functions_and_methods_with_their_source(tmp_path):
    (tmp_path / "hspec" / "linalg").mkdir(parents=True)
    (tmp_path / "hspec" / "linalg" / "measure.py").write_text(CODE)
    found = [(entry.name, entry.source, entry.where) for entry in entries(tmp_path, "linalg")]
    assert found == [
        ("density", "GKX19, section 2, equation 3", "linalg/measure.py"),
        ("Measure.cdf", "CTU21, eq. 1", "linalg/measure.py"),
    ]
    assert r"| φ(t) = \|a\|\_k, with `x|y`. |" in concordance_page(tmp_path)


def test_what_it_is_is_said_in_whole_sentences():
    """Not as far as the first line of the docstring reaches."""
    assert doctest.testmod(concordance).failed == 0
    for layer in concordance.LAYERS:
        for entry in entries(ROOT, layer):
            assert entry.summary[-1] in ".:", f"{entry.where}, {entry.name}: {entry.summary}"
            assert "Source" not in entry.summary


def test_covers_both_layers_of_mathematics_in_this_package():
    for layer in ("linalg", "curvature"):
        assert entries(ROOT, layer), f"no Source: line in hspec.{layer}"


def test_every_work_that_a_docstring_names_by_its_year_is_in_the_bibliography():
    works = (ROOT / "book" / "references.bib").read_text(encoding="utf-8").split("\n@")
    found = {
        (name, year)
        for path in (ROOT / "hspec").rglob("*.py")
        for source in re.findall(r"Source: (.+(?:\n.*\S)?)", path.read_text(encoding="utf-8"))
        for name, year in re.findall(r"\b([A-Z][a-z]+)\b[^;()\d]*\(?((?:19|20)\d\d)\b", source)
    }
    assert len(found) >= 10
    missing = [
        (name, year)
        for name, year in sorted(found)
        if not any(
            name in re.search(r"author *= (.*)", work)[1] and re.search(rf"year *= .{year}", work)
            for work in works
        )
    ]
    assert missing == []
