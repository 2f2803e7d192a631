"""The real book at smoke scale: every chapter runs,
every page builds without a warning and reads offline.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml

pytestmark = pytest.mark.slow


def test_every_chapter_has_a_page(repository, pages):
    assert (
        {path.stem for path in pages if path.parts[0] == "notebooks"}
        == set(repository.chapters())
        != set()
    )


def test_no_page_needs_the_network(pages):
    outside = {
        url
        for page in pages.values()
        for url in page.loads
        if urlsplit(url).scheme in ("http", "https")
    }
    assert not outside
    scripts = {
        url for page in pages.values() for url in re.findall(r'"(https?://[^"]+\.js)"', page.text)
    }
    assert not scripts


def test_no_page_weighs_more_than_a_megabyte_and_a_half(repository, pages):
    """Its own HTML and pictures, beside what all pages share."""
    html = repository.build / "html"
    for path, page in pages.items():
        pictures = {
            (html / path.parent / unquote(urlsplit(url).path)).resolve() for url in page.loads
        }
        own = [file for file in pictures if file.parent.name == "_images"]
        weight = (html / path).stat().st_size + sum(file.stat().st_size for file in own)
        assert weight <= 1.5e6, f"{path}: {weight / 1e6:.1f} MB"


def test_every_figure_has_two_tones_and_its_files(repository, pages):
    for chapter in repository.chapters():
        page = pages[Path("notebooks") / f"{chapter}.html"]
        drawn = [image for image in page.images if "dark-light" in image.get("class", "")]
        sources = [urlsplit(image["src"]) for image in drawn]
        assert drawn and [source.fragment for source in sources] == ["", "dark"] * (len(drawn) // 2)
        files = {Path(link).suffix for link in page.links if "_downloads" in link}
        assert {".svg", ".pdf", ".csv", ".ipynb"} <= files, chapter


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
    command = [
        program,
        str(repository.source(chapter)),
        str(output),
        "-k",
        "python3",
        "-f",
        str(settings),
    ]
    subprocess.run(command, cwd=repository.root, check=True, capture_output=True)
    assert output.is_file()
