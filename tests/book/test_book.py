"""The real book at smoke scale: every chapter runs, every page builds without a warning and reads offline."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml

from hspec.book import Repository, make_book

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
# A button that a reader may press on the network, never loaded by a page.
INERT = "https://unpkg.com/thebe"


class Page(HTMLParser):
    """What a page loads, links to and shows."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.images, self.ids = [], [], [], set()
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


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of the clone, so that the reader's own pages stay as they are."""
    root = tmp_path_factory.mktemp("clone")
    shutil.copy(ROOT / "_config.yml", root)
    built = shutil.ignore_patterns("__pycache__", "_generated", "notebooks")
    shutil.copytree(ROOT / "book", root / "book", ignore=built)
    for folder in ("hspec", "notebooks", "data/results", "benchmarks/results"):
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Repository(root)


@pytest.fixture(scope="module")
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
        path.relative_to(html): Page(path) for path in html.rglob("*.html") if "_static" not in path.parts
    }


def test_every_chapter_has_a_page(repository, pages):
    assert (
        {path.stem for path in pages if path.parts[0] == "notebooks"} == set(repository.chapters()) != set()
    )


def test_no_page_needs_the_network(pages):
    outside = {
        url for page in pages.values() for url in page.loads if urlsplit(url).scheme in ("http", "https")
    }
    assert not outside
    scripts = {url for page in pages.values() for url in re.findall(r'"(https?://[^"]+\.js)"', page.text)}
    assert all(url.startswith(INERT) for url in scripts)


def test_internal_links_and_files_exist(repository, pages):
    html = repository.build / "html"
    for path, page in pages.items():
        for url in page.loads + page.links:
            target = urlsplit(url)
            if target.scheme or not target.path:
                continue
            assert (html / path.parent / unquote(target.path)).exists(), f"{path} → {url}"


def test_links_to_places_on_the_same_page_arrive(pages):
    for path, page in pages.items():
        wanted = {unquote(url[1:]) for url in page.links if url.startswith("#") and len(url) > 1}
        assert wanted <= page.ids, path


def test_every_image_has_words(pages):
    images = [(path, image) for path, page in pages.items() for image in page.images]
    assert images
    for path, image in images:
        alt = image.get("alt") or ""
        assert alt.strip() and "_images/" not in alt, f"{path}: {image.get('src')}"


def test_every_drawn_figure_has_a_caption(repository, pages):
    for chapter in repository.chapters():
        page = nbformat.read(repository.staged(chapter), as_version=4)
        drawn = [
            cell
            for cell in page.cells
            if any(
                key.startswith("image/")
                for output in cell.get("outputs", [])
                for key in output.get("data", {})
            )
        ]
        assert drawn, f"{chapter} draws nothing"
        for cell in drawn:
            assert cell.metadata["mystnb"]["figure"]["caption"], cell.source


def test_no_page_shows_a_traceback_or_a_warning(repository, pages):
    for chapter in repository.chapters():
        page = nbformat.read(repository.staged(chapter), as_version=4)
        outputs = [output for cell in page.cells for output in cell.get("outputs", [])]
        assert not [output for output in outputs if output.output_type == "error"]
    for path, page in pages.items():
        assert "Traceback (most recent call last)" not in page.text, path
        assert "output stderr" not in page.text, path


def test_no_page_tells_about_this_machine(repository, pages):
    for path, page in pages.items():
        assert str(repository.root) not in page.text, path


def test_plain_papermill_runs_a_chapter_too(repository, tmp_path):
    """As the README says it, in the defaults' names, at smoke scale."""
    chapter, parameters = next(iter(repository.profile("smoke").items()))
    settings = tmp_path / "smoke.yaml"
    settings.write_text(yaml.safe_dump(parameters))
    program = shutil.which("papermill", path=str(Path(sys.executable).parent))
    output = tmp_path / "out.ipynb"
    command = [program, str(repository.source(chapter)), str(output), "-k", "python3", "-f", str(settings)]
    subprocess.run(command, cwd=repository.root, check=True, capture_output=True)
    assert output.is_file()
