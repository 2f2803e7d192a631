"""Arrays are read by name; a name that no record has is found here, not at the end of a run."""

import ast
from pathlib import Path

import numpy as np
import pytest

from hspec.chapters.measures import MEASURES
from hspec.experiments.store import REPOSITORY

CHAPTERS = {}
for measure in MEASURES.values():
    CHAPTERS.setdefault(measure.function.__module__.rpartition(".")[0], []).append(measure.name)
SHARED = CHAPTERS.pop("hspec.experiments")


def names_read(chapter):
    """Every literal in record["…"] of the chapter's verdict and figures."""
    folder = REPOSITORY.joinpath(*chapter.split("."))
    for file in ("verdict.py", "figures.py"):
        source = (folder / file).read_text(encoding="utf-8") if (folder / file).exists() else ""
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "record":
                name = getattr(node.slice, "value", None)
                if isinstance(name, str):
                    yield name


def names_stored(measures):
    for kept in ("results", "laptop"):
        for name in measures:
            for file in Path(REPOSITORY, "data", kept, name).glob("*/arrays*.npz"):
                with np.load(file) as arrays:
                    yield from arrays.files


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_name_that_a_chapter_reads_is_in_a_stored_record(chapter):
    stored = set(names_stored(CHAPTERS[chapter]))
    if not stored:
        pytest.skip("no record of this chapter comes with the book")
    assert set(names_read(chapter)) <= stored | set(names_stored(SHARED))
