"""A small clone with two toy chapters, which run in a second; and the real book at smoke scale,
made once.
"""

import importlib.util
import shutil
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
import yaml

from hspec.book.building import make_book
from hspec.book.repository import Repository

ROOT = Path(__file__).parents[2]


def toy_chapter(name, last_line="steps * rate"):
    """A chapter with parameters of every kind, one figure, and `last_line` as its result."""
    v4 = nbformat.v4
    parameters = (
        "steps: int = 3  # how many\nrate: float = 0.5  # how fast\nsizes: list[int] = "
        "[1]  # how large"
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
    """The real configuration and prose, with the chapters `one` and `two` in place of the
    real ones.
    """
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


class Page(HTMLParser):
    """What a page loads, links to and shows."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.images, self.ids = [], [], [], set()
        self.leads_on = False  # to another page, before anybody reads this one
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given["id"]} if "id" in given else set()
        if tag == "img":
            self.images.append(given)
        if tag in ("script", "img", "source", "iframe") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon"):
            self.loads.append(given["href"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.leads_on = True
            self.links.append(given["content"].partition("url=")[2])


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """A copy of the clone, so that the reader's own pages stay as they are."""
    root = tmp_path_factory.mktemp("clone")
    shutil.copy(ROOT / "_config.yml", root)
    built = shutil.ignore_patterns("__pycache__", "_generated", "notebooks")
    shutil.copytree(ROOT / "book", root / "book", ignore=built)
    for folder in ("hspec", "notebooks", "data/results", "benchmarks/results"):
        if (ROOT / folder).exists():
            shutil.copytree(
                ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__")
            )
    return Repository(root)


@pytest.fixture(scope="session")
def pages(repository, tmp_path_factory):
    """{relative path: Page} of the whole book, made as `hspec book --profile smoke` makes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSPEC_STORE", str(tmp_path_factory.mktemp("store")))
        patch.setenv(
            "OMP_NUM_THREADS", "1"
        )  # the smoke nets are so small that threads only wait for each other
        index = make_book(repository, "smoke")
    html = index.parent
    return {
        path.relative_to(html): Page(path)
        for path in html.rglob("*.html")
        if "_static" not in path.parts
    }


@pytest.fixture(scope="module")
def extension():
    """The book's own Sphinx extension, as a module."""
    spec = importlib.util.spec_from_file_location(
        "hspec_sphinx", ROOT / "book" / "_ext" / "hspec_sphinx.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
