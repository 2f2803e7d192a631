"""The book as one file: printed whole, or refused with the remedy before anything runs."""

import pytest

from hspec.book.errors import BookError
from hspec.book.pdf import BROWSERS, find_browser, print_page
from hspec.cli import main

LONG = """<!doctype html><html lang="en"><title>t</title><body><h1>One</h1>
<details><summary>More</summary><p>folded</p></details>
<p style="break-before: page">Two</p><p id="late" style="break-before: page"></p>
<script>setTimeout(() => { late.textContent = "Three"; }, 3000)</script>"""


@pytest.fixture
def browser():
    try:
        return find_browser()
    except BookError as error:
        pytest.skip(str(error))


def test_a_page_is_printed_when_its_scripts_have_come_to_rest(browser, tmp_path):
    page, pdf = tmp_path / "page.html", tmp_path / "page.pdf"
    page.write_text(LONG)
    print_page(browser, page, pdf)
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page\n") == 3


def test_a_page_that_is_not_there_is_no_pdf(tmp_path):
    with pytest.raises(BookError, match="printed no PDF"):
        print_page("/bin/false", tmp_path / "none.html", tmp_path / "none.pdf")


def test_without_a_browser_the_remedy_is_named_before_anything_runs(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("hspec.commands.book.make_book", None)  # would fail
    assert main(["book", "--pdf"]) == 1
    said = capsys.readouterr().err
    assert "apt install chromium" in said
    for name in BROWSERS:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert find_browser() == str(tmp_path / "chromium")
