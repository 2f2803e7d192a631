"""The whole book: chapters, generated pages, HTML.
The last good HTML stays until a new one is complete.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hspec.book import provenance
from hspec.book.api import api_pages
from hspec.book.concordance import concordance_page
from hspec.book.errors import BookError
from hspec.book.front import landing
from hspec.book.kernels import forked_kernels
from hspec.book.pages import status_page
from hspec.book.parameters import check_parameters, read_parameters
from hspec.book.rendering import render
from hspec.book.repository import Repository
from hspec.book.running import read_notebook
from hspec.book.scoreboard import scoreboard_page
from hspec.book.staging import stage_chapter
from hspec.experiments import Store
from hspec.experiments.provenance import git
from hspec.files import temporary_folder

MOST_AT_ONCE = 4  # chapters: each is a process of about a gigabyte


def make_book(
    repository: Repository,
    profile: str = "laptop",
    *,
    only: Iterable[str] | None = None,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Run what changed, build what changed; returns the page to open.

    All parameters of the profile are checked before the first chapter runs.
    only: run this one chapter and take the others as they were last run.
    force: run and build even what has not changed.
    Raises BookError for a bad parameter, a failing chapter or a page that does not build.
    """
    parameters = repository.profile(profile)
    for chapter, values in parameters.items():
        _checked(repository, chapter, values, profile)
    chosen = {
        chapter: parameters[chapter] for chapter in _chosen(repository, list(parameters), only)
    }
    _stage(repository, profile, chosen, force, report)
    write_generated_pages(repository)
    build_html(repository, force=force, report=report)
    return repository.index


def _stage(repository, profile, parameters, force, report):
    """Run the chapters, as many at once as there are cores to draw with;
    the first that fails ends it.
    """
    at_once = min(len(parameters), os.cpu_count() or 1, MOST_AT_ONCE)
    threads = str(max(1, (os.cpu_count() or 1) // at_once))
    # Papermill moves into the clone's folder and back; of two at once the later one would stay.
    with (
        _environment("OMP_NUM_THREADS", threads),  # of each chapter's kernel
        contextlib.chdir(repository.root),
        forked_kernels(),
        ThreadPoolExecutor(at_once) as pool,
    ):
        running = [
            pool.submit(
                stage_chapter, repository, chapter, profile, values, force=force, report=report
            )
            # the last chapter takes longest, the primer's are short: no core waits at the end
            for chapter, values in reversed(parameters.items())
        ]
        try:
            for chapter in as_completed(running):
                chapter.result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _environment(name, value):
    """Meanwhile the variable has a value, where it has none of its own."""
    before = os.environ.get(name)
    os.environ[name] = before or value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def write_generated_pages(repository: Repository) -> None:
    """The pages that are made from results, docstrings and runs, in book/_generated."""
    store = Store(published=repository.root / "data" / "results")
    pages = {
        "status": status_page(repository),
        "concordance": concordance_page(repository.root),
        "scoreboard": scoreboard_page(store),
        "front": landing(store),
        **api_pages(repository.root),
    }
    for name, text in pages.items():
        _write(repository.book / "_generated" / f"{name}.md", text)


def build_html(
    repository: Repository, *, force: bool = False, report: Callable[[str], None] = print
) -> None:
    """Build book/ into _build/html with every warning an error, unless nothing it depends on has
    changed.

    Always from scratch: an incremental build would not repeat the warnings of a failed one.
    Raises BookError with the warnings; _build/html is replaced only by a complete book.
    """
    html, stamp = repository.build / "html", repository.build / "html.sha256"
    fingerprint = provenance.digest(
        provenance.files_digest(repository.root, _page_sources(repository.root)),
        provenance.revision(repository.root),
        git(repository.root, "remote", "get-url", "origin") or "",
        *(f"{name} {_version(name)}" for name in ("jupyter-book", "sphinx-book-theme", "hspec")),
    )
    if (
        not force
        and repository.index.is_file()
        and stamp.is_file()
        and stamp.read_text() == fingerprint
    ):
        report("pages: unchanged")
        return
    report("pages: building …")
    started = time.monotonic()
    with temporary_folder(html) as folder:
        built = render(repository, folder)
        if html.exists():
            html.replace(folder / "last")
        built.replace(html)
    stamp.write_text(fingerprint)
    report(f"pages: done in {time.monotonic() - started:.0f} s")


def _page_sources(root):
    """The files that the pages are made of; the reference, of every docstring."""
    patterns = ("book/**/*", "hspec/**/*.py", "benchmarks/results/cpu/*", "_config.yml")
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    return {path for path in found if "__pycache__" not in path.parts}


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _checked(repository, chapter, values, profile):
    try:
        return check_parameters(read_parameters(read_notebook(repository.source(chapter))), values)
    except BookError as error:
        raise BookError(f"book/profiles/{profile}.yaml, {chapter}: {error}") from error


def _chosen(repository, chapters, only):
    """The chapters to run; with `only`, the rest must have been run before."""
    if only is None:
        return chapters
    if only not in chapters:
        raise BookError(f"There is no chapter {only!r}. Chapters: {', '.join(chapters)}.")
    waiting = [name for name in chapters if name != only and not repository.staged(name).is_file()]
    if waiting:
        raise BookError(f"Not run yet: {', '.join(waiting)}. Run `hspec book` once without --only.")
    return [only]


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
