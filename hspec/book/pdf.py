"""The whole book as one PDF, printed by Chromium: light, with everything unfolded."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from hspec.book.errors import BookError
from hspec.book.plain_yaml import read_yaml
from hspec.book.rendering import render
from hspec.book.repository import Repository
from hspec.files import temporary_folder

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
TYPESETTING = 120_000  # milliseconds of the page's own clock, in which MathJax is long done
LONGEST = 600  # seconds
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--no-first-run"),
    *("--no-pdf-header-footer", "--generate-pdf-document-outline", "--export-tagged-pdf"),
    *("--run-all-compositor-stages-before-draw", f"--virtual-time-budget={TYPESETTING}"),
)


def make_pdf(repository: Repository) -> Path:
    """Print the staged pages to _build/hspec.pdf; returns its path.

    An older PDF stays until the new one is complete.

    Raises:
        BookError: there is no Chromium, the pages do not build, or they cannot be printed.
    """
    browser = find_browser()
    pdf = repository.build / "hspec.pdf"
    with temporary_folder(pdf) as folder:
        root = read_yaml(repository.book / "_toc.yml")["root"]
        page = render(repository, folder, "singlehtml") / f"{root}.html"
        print_page(browser, page, folder / pdf.name)
        (folder / pdf.name).replace(pdf)
    return pdf


def find_browser() -> str:
    """The program of Chromium or Chrome.

    Raises:
        BookError: neither is on PATH.
    """
    for name in (*BROWSERS, MAC):
        if program := shutil.which(name):
            return program
    raise BookError(
        "The PDF is printed by Chromium or Chrome, and neither is on this machine's PATH. On "
        "Debian and Ubuntu: apt install chromium. The pages themselves need neither."
    )


def print_page(browser: str, page: Path, pdf: Path) -> None:
    """Print one HTML file, when its scripts have come to rest.

    Raises:
        BookError: nothing was printed, with the browser's last words.
    """
    profile = pdf.with_name("browser")  # its own: a browser that is open does not mind
    command = [browser, *FLAGS, f"--user-data-dir={profile}", f"--print-to-pdf={pdf}"]
    try:
        done = subprocess.run(
            [*command, page.as_uri()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BookError(f"{browser} was at the PDF for {LONGEST} s without an end.") from error
    if done.returncode or not pdf.is_file():
        last = "\n  ".join(done.stdout.strip().splitlines()[-5:])
        raise BookError(f"{browser} printed no PDF (status {done.returncode}):\n  {last}")
