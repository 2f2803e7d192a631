"""A chapter runs when something it depends on changed,
and a failure never replaces the last good page.
"""

import json
import os
import shlex

import nbformat
import pytest

from hspec.book.errors import BookError
from hspec.book.pages import status_text
from hspec.book.running import run_notebook
from hspec.book.staging import RECORDED, chapter_key, rerun_command, stage_chapter, staged_record


@pytest.fixture
def stage(toy):
    """Stage chapter `one`; returns what was reported."""

    def run(parameters=None, **kwargs):
        told = []
        stage_chapter(toy, "one", "smoke", parameters or {}, report=told.append, **kwargs)
        return told

    return run


def test_stages_an_executed_page_with_its_provenance(toy, stage):
    stage({"steps": 2})
    page = nbformat.read(toy.staged("one"), as_version=4)
    results = [cell.outputs[-1] for cell in page.cells if cell.cell_type == "code" and cell.outputs]
    assert results[-1]["data"]["text/plain"] == "1.0"  # 2 steps at rate 0.5
    assert page.metadata.hspec.parameters == {"steps": 2}
    assert "hspec run one -p steps 2" in page.cells[-1].source
    assert "## Provenance" in page.cells[-1].source


def test_a_page_tells_nothing_about_the_machine(toy, stage, write_chapter):
    write_chapter(toy, "one", last_line="import sys, os; print(os.getcwd(), sys.prefix)")
    stage()
    text = toy.staged("one").read_text()
    assert str(toy.root) not in text
    assert ". <environment>" in text
    assert "papermill" not in json.loads(text)["metadata"]


def test_is_run_again_only_when_asked_or_changed(stage):
    assert stage()[-1].startswith("one: done")
    assert stage() == ["one: unchanged"]
    assert stage(force=True)[-1].startswith("one: done")


def test_depends_on_notebook_parameters_sources_results_and_versions(
    toy, write_chapter, monkeypatch
):
    """Every change of one of them gives another key; a change of none gives the same."""
    package, results = toy.root / "hspec", toy.root / "data" / "results"
    (package / "used.py").write_text("@measure(version=1)\ndef shares(task): ...\n")
    keys = [chapter_key(toy, "one", {}), chapter_key(toy, "one", {"steps": 2})]

    def changed():
        keys.append(chapter_key(toy, "one", {}))

    write_chapter(toy, "one", last_line="from hspec.used import shares")
    changed()
    (package / "used.py").write_text((package / "used.py").read_text() + "from hspec import deep\n")
    changed()
    (package / "deep.py").write_text("x = 1\n")
    changed()
    (results / "shares" / "key").mkdir(parents=True)
    (results / "shares" / "key" / "meta.json").write_text("{}")
    changed()
    (package / "other.py").write_text("x = 1\n")
    (results / "others").mkdir()
    (results / "others" / "meta.json").write_text("{}")
    assert chapter_key(toy, "one", {}) == keys[-1]
    monkeypatch.setattr("hspec.book.provenance.versions", lambda: {"torch": "0"})
    changed()
    assert len(set(keys)) == len(keys)


def test_a_failure_names_the_error_and_keeps_the_last_good_page(toy, stage, write_chapter):
    stage()
    good = toy.staged("one").read_bytes()
    write_chapter(toy, "one", last_line="raise ValueError('no data: see data/README.md')")
    with pytest.raises(
        BookError, match=r"one\.ipynb failed in cell \[\d\]: ValueError: no data: see data/README"
    ):
        stage()
    assert toy.staged("one").read_bytes() == good
    kept = nbformat.read(toy.build / "failed" / "one.ipynb", as_version=4)
    assert any(
        output.output_type == "error" for cell in kept.cells for output in cell.get("outputs", [])
    )


def test_a_killed_kernel_is_a_failure_too(toy, stage, write_chapter):
    write_chapter(toy, "one", last_line="import os; os._exit(9)")
    with pytest.raises(BookError, match=r"one\.ipynb failed in mid-run: Kernel died"):
        stage()
    assert not toy.staged("one").exists()


def test_bad_parameters_are_refused_before_anything_runs(toy, stage):
    with pytest.raises(BookError, match="unknown parameter"):
        stage({"stepz": 2})
    assert not toy.build.exists()


def test_what_is_missing_or_no_notebook_is_named(toy):
    output = toy.root / "out.ipynb"
    with pytest.raises(BookError, match="There is no notebook"):
        run_notebook(toy, toy.root / "none.ipynb", {}, output)
    with pytest.raises(BookError, match=r"intro\.md is not a notebook"):
        run_notebook(toy, toy.book / "intro.md", {}, output)
    with pytest.raises(BookError, match="is a folder"):
        run_notebook(toy, toy.source("one"), {}, toy.root)


def test_a_place_that_cannot_take_the_run_is_refused_before_anything_runs(toy, monkeypatch):
    monkeypatch.setattr("hspec.book.running._papermill", None)  # would fail
    source, taken, pipe = toy.source("one"), toy.root / "taken.ipynb", toy.root / "pipe.ipynb"
    taken.with_suffix("").touch()
    os.mkfifo(pipe)
    before = source.read_bytes()
    for output, told in {
        toy.root / "out": r"no notebook's name.*-o .*out\.ipynb",
        source: "is the notebook to be run",
        taken: "taken is a file, where the folder of figures",
        pipe: "pipe.ipynb is a device or a pipe. Choose another place",
    }.items():
        with pytest.raises(BookError, match=told):
            run_notebook(toy, source, {}, output)
    assert pipe.is_fifo() and source.read_bytes() == before and not toy.build.exists()


NO_NOTEBOOKS = {
    "not UTF-8": b"\xff\xfe",
    "empty": b"",
    "a list": b"[]",
    "null": b"null",
    "a number": b"3",
    "no cells": b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "no metadata": b'{"nbformat": 4, "nbformat_minor": 5, "cells": []}',
    "cells that are none": b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [3]}',
    "nested too deeply": b"[" * 100_000,
}


@pytest.mark.parametrize("content", NO_NOTEBOOKS.values(), ids=NO_NOTEBOOKS)
def test_a_damaged_notebook_is_named_and_a_damaged_page_counts_as_not_run(toy, content):
    toy.staged("one").parent.mkdir()
    toy.staged("one").write_bytes(content)
    assert staged_record(toy, "one") == {}
    assert "not run yet" in status_text(toy)
    toy.source("one").write_bytes(content)
    with pytest.raises(BookError, match=r"one\.ipynb is not a notebook"):
        run_notebook(toy, toy.source("one"), {}, toy.root / "out.ipynb")


@pytest.mark.parametrize("missing", [None, *sorted(RECORDED)])
def test_a_page_whose_record_lacks_a_part_counts_as_not_run(toy, missing):
    record = {part: "x" for part in RECORDED if part != missing}
    toy.staged("one").parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(metadata={"hspec": record}), toy.staged("one"))
    assert staged_record(toy, "one") == ({} if missing else record)


def test_the_rerun_command_survives_the_shell():
    command = rerun_command(
        "one", {"sizes": [1, 2], "name": "it's", "rate": 1e-3, "on": True, "limit": None}
    )
    assert shlex.split(command)[3:] == [
        *("-p", "sizes", "[1, 2]"),
        *("-p", "name", "it's"),
        *("-p", "rate", "0.001"),
        *("-p", "on", "true"),
        *("-p", "limit", "null"),
    ]


def test_an_unstaged_chapter_has_no_record(toy):
    assert staged_record(toy, "one") == {}
