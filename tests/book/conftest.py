"""A small clone with two toy chapters, which run in a second without the package."""

import shutil
from pathlib import Path

import nbformat
import pytest
import yaml

from hspec.book import Repository

ROOT = Path(__file__).parents[2]


def toy_chapter(name, last_line="steps * rate"):
    """A chapter with parameters of every kind, one figure, and `last_line` as its result."""
    v4 = nbformat.v4
    parameters = (
        "steps: int = 3  # how many\nrate: float = 0.5  # how fast\nsizes: list[int] = [1]  # how large"
    )
    drawing = "import matplotlib.pyplot as plt\nplt.plot(range(steps));"
    figure = {"figure": {"caption": "A line.", "name": f"fig-{name}"}, "image": {"alt": "A line"}}
    cells = [
        v4.new_markdown_cell(f"# Chapter {name}"),
        v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        v4.new_code_cell(drawing, metadata={"mystnb": figure}),
        v4.new_code_cell(last_line),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture
def write_chapter():
    def write(repository, name, **kwargs):
        path = repository.source(name)
        path.parent.mkdir(exist_ok=True)
        nbformat.write(toy_chapter(name, **kwargs), path)

    return write


@pytest.fixture
def toy(tmp_path, write_chapter):
    """The real configuration and prose, with the chapters `one` and `two` in place of the real ones."""
    book = tmp_path / "book"
    shutil.copy(ROOT / "_config.yml", tmp_path)
    for folder in ("_ext", "_static"):
        shutil.copytree(ROOT / "book" / folder, book / folder)
    (book / "intro.md").write_text("# Intro\n\nSee {doc}`notebooks/one` and $e = mc^2$.\n")
    for page in ("notation", "bibliography"):
        (book / f"{page}.md").write_text(f"# {page}\n")
    (book / "references.bib").write_text("")
    chapters = ["notebooks/one", "notebooks/two", "notation", "bibliography"]
    pages = [*chapters, "_generated/concordance", "_generated/status"]
    toc = {"format": "jb-book", "root": "intro", "chapters": [{"file": page} for page in pages]}
    (book / "_toc.yml").write_text(yaml.safe_dump(toc))
    (book / "profiles").mkdir()
    for profile, steps in (("smoke", 1), ("laptop", 3), ("paper", 9)):
        text = yaml.safe_dump({"one": {"steps": steps}, "two": {}})
        (book / "profiles" / f"{profile}.yaml").write_text(text)
    (tmp_path / "hspec").mkdir()
    repository = Repository(tmp_path)
    write_chapter(repository, "one")
    write_chapter(repository, "two")
    return repository
