"""What comes with the book at laptop scale: measured once, kept,
and thrown out with the code that made it.
"""

import json
import shutil
from pathlib import Path

import pytest

from hspec.book import laptop
from hspec.book.errors import BookError
from hspec.chapters.measures import MEASURES
from hspec.experiments import Store
from hspec.experiments.store import REPOSITORY
from hspec.keys import digest

RECORD = sorted((REPOSITORY / "data" / "results" / "ownership").glob("*"))[0]
CONFIGURATION = ("measure", "version", "setting", "options")


@pytest.fixture
def filled(toy, monkeypatch):
    """fill_laptop on two toy chapters, each of which leaves one record in its store."""
    ran = []

    def chapter(repository, source, parameters, output):
        ran.append(source.stem)
        if source.stem == "two" and not output.parent.joinpath("ownership").is_dir():
            raise BookError("two failed")
        shutil.copytree(RECORD, output.parent / "ownership" / RECORD.name, dirs_exist_ok=True)

    monkeypatch.setattr(laptop, "run_notebook", chapter)
    return toy, ran


def test_chapters_run_and_what_they_measured_is_kept_once(filled):
    repository, ran = filled
    told = []
    laptop.fill_laptop(repository, told.append)
    laptop.fill_laptop(repository, told.append)
    assert ran == ["one", "two"] * 2
    assert next(line for line in told if "new results" in line).startswith("one: 1 new")
    assert sum("0 new results" in line for line in told) == 3
    kept = Store(published=repository.root / "data" / "results").laptop_records(
        MEASURES["ownership"]
    )
    assert [record.meta["key"] for record in kept] == [RECORD.name]


def test_the_live_chapter_is_left_to_every_book(filled, monkeypatch):
    repository, ran = filled
    monkeypatch.setattr(laptop, "LIVE", "two")
    laptop.fill_laptop(repository, lambda _: None)
    assert ran == ["one"]
    assert "instrument" in Path(REPOSITORY / "book" / "_toc.yml").read_text()


def test_results_of_older_code_are_thrown_out(tmp_path):
    kept = tmp_path / "ownership" / RECORD.name
    shutil.copytree(RECORD, kept)
    assert laptop.outdated(tmp_path) == []
    meta = json.loads((kept / "meta.json").read_text())
    meta["version"] -= 1
    meta["key"] = digest({name: meta[name] for name in CONFIGURATION})
    (kept / "meta.json").write_text(json.dumps(meta))
    older = kept.rename(kept.with_name(meta["key"]))
    assert laptop.outdated(tmp_path) == [older]
