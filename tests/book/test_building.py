"""The pages: built once, offline, and the last good book stays until a new one is complete."""

import re

import pytest

from hspec.book import BookError, make_book, status_text


@pytest.fixture
def staged(toy):
    """A toy book whose chapters look as if they had been run."""
    for chapter in toy.chapters():
        toy.staged(chapter).parent.mkdir(exist_ok=True)
        toy.staged(chapter).write_bytes(toy.source(chapter).read_bytes())
    return toy


@pytest.fixture
def make(staged, monkeypatch):
    """make_book without running notebooks; returns what was reported."""
    monkeypatch.setattr("hspec.book.building.stage_chapter", lambda *_, **__: None)

    def run(**kwargs):
        told = []
        make_book(staged, "smoke", report=told.append, **kwargs)
        return told

    return run


@pytest.mark.slow
def test_one_command_makes_a_book_that_reads_offline(toy):
    index = make_book(toy, "smoke", report=lambda _: None)
    assert index.is_file()
    html = toy.build / "html"
    chapter = (html / "notebooks" / "one.html").read_text()
    assert 'alt="A line"' in chapter
    assert "Provenance" in chapter
    assert (html / "_static" / "mathjax" / "tex-svg-full.js").stat().st_size > 1e6
    assert "mathjax/tex-svg-full.js" in (html / "intro.html").read_text()
    status = (html / "_generated" / "status.html").read_text()
    assert "hspec run one --profile paper" in re.sub(r"<[^>]+>", "", status)
    assert "one                      smoke" in status_text(toy)


@pytest.mark.slow
def test_nothing_changed_nothing_built(staged, make):
    assert make()[-1].startswith("pages: done")
    assert make() == ["pages: unchanged"]
    (staged.book / "intro.md").write_text("# Other words\n\n{doc}`notebooks/one`\n")
    assert make()[-1].startswith("pages: done")
    assert "Other words" in (staged.build / "html" / "intro.html").read_text()


@pytest.mark.slow
def test_a_warning_is_an_error_every_time_and_keeps_the_last_book(staged, make):
    make()
    good = (staged.build / "html" / "intro.html").read_bytes()
    (staged.book / "intro.md").write_text("# Intro\n\n{doc}`no/such/page`\n")
    for _ in range(2):
        with pytest.raises(BookError, match=r"do not build(.|\n)*no/such/page"):
            make()
    assert (staged.build / "html" / "intro.html").read_bytes() == good


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
