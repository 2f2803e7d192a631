"""The pages: built once, offline, and the last good book stays until a new one is complete."""

import re
import shutil
from pathlib import Path

import pytest

from hspec.book.building import make_book
from hspec.book.errors import BookError
from hspec.book.pages import status_text
from hspec.book.pdf import BROWSERS, make_pdf


@pytest.mark.slow
def test_a_book_is_made_once_offline_and_outlasts_a_warning(toy):
    """One story, since each of its four builds takes ten seconds."""
    told, here = [], Path.cwd()

    def make():
        return make_book(toy, "smoke", report=told.append)

    assert make().is_file()
    assert Path.cwd() == here
    reads_offline(toy.build / "html")
    assert "one                      smoke" in status_text(toy)

    told.clear()
    make()
    assert sorted(told[:2]) == ["one: unchanged", "two: unchanged"]  # side by side
    assert told[2:] == ["pages: unchanged"]
    (toy.book / "intro.md").write_text("# Other words\n\n{doc}`notebooks/one`\n")
    make()
    assert told[-1].startswith("pages: done")
    good = (toy.build / "html" / "intro.html").read_bytes()
    assert b"Other words" in good
    if any(map(shutil.which, BROWSERS)):
        assert make_pdf(toy).read_bytes().startswith(b"%PDF")

    (toy.book / "intro.md").write_text("# Intro\n\n{doc}`no/such/page`\n")
    for _ in range(2):
        with pytest.raises(BookError, match=r"do not build(.|\n)*no/such/page"):
            make()
    assert (toy.build / "html" / "intro.html").read_bytes() == good


def reads_offline(html):
    chapter = (html / "notebooks" / "one.html").read_text()
    assert 'alt="A line"' in chapter
    assert "Provenance" in chapter
    assert (html / "_static" / "mathjax" / "tex-svg-full.js").stat().st_size > 1e6
    assert "mathjax/tex-svg-full.js" in (html / "intro.html").read_text()
    status = (html / "_generated" / "status.html").read_text()
    assert "hspec run one --profile paper" in re.sub(r"<[^>]+>", "", status)


def test_a_bad_profile_is_refused_before_the_first_chapter(toy):
    (toy.book / "profiles" / "smoke.yaml").write_text("one: {}\ntwo: {stepz: 1}\n")
    with pytest.raises(BookError, match=r"smoke\.yaml, two: unknown parameter 'stepz'"):
        make_book(toy, "smoke", report=lambda _: None)
    assert not toy.staged("one").exists()


def test_only_needs_a_chapter_that_exists_and_the_others_run_before(toy):
    with pytest.raises(BookError, match="no chapter 'three'"):
        make_book(toy, "smoke", only="three")
    with pytest.raises(BookError, match="Not run yet: two"):
        make_book(toy, "smoke", only="one")


def test_status_of_a_fresh_clone(toy):
    assert status_text(toy).count("not run yet") == 2
