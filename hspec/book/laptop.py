"""The laptop-scale results that come with the book: made by running its chapters, kept in
data/laptop.

With them a book is a matter of drawing. The chapter `instrument` has none: it is measured wherever
the book is made.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hspec.book.repository import Repository
from hspec.book.running import run_notebook
from hspec.chapters.measures import MEASURES
from hspec.experiments import Experiment, Record, Store
from hspec.experiments.measure import Measure
from hspec.experiments.store import LAPTOP
from hspec.keys import completed

LIVE = "instrument"  # measured live in every book


def fill_laptop(repository: Repository, report: Callable[[str], None] = print) -> None:
    """Run every chapter at laptop scale and keep what it measured among what comes with the book.

    What is kept already is not measured again, so that the work can be interrupted at any time.
    Results of an older version of their measure are removed first: no chapter reads them.

    Raises:
        BookError: a chapter fails; what others have measured is kept.
    """
    kept = Store(root=repository.root / "data" / LAPTOP)
    for folder in outdated(kept.root):
        shutil.rmtree(folder)
        report(f"{folder.parent.name}/{folder.name}: of an older version, removed")
    work = repository.build / LAPTOP
    for chapter, parameters in repository.profile("laptop").items():
        if chapter == LIVE:
            continue
        report(f"{chapter}: running …")
        with _store_at(work):
            run_notebook(
                repository, repository.source(chapter), parameters, work / f"{chapter}.ipynb"
            )
        new = kept.merge(work)
        size = sum(file.stat().st_size for folder in new for file in folder.iterdir())
        report(f"{chapter}: {len(new)} new results, {size / 1000:.0f} kB")


def outdated(root: Path) -> list[Path]:
    """Folders of records that today's code would give another name, or none:
    no chapter can read them.
    """
    store = Store(root=root, published=root, fresh=True)
    current = {
        (name, record.meta["key"])
        for name, measure in MEASURES.items()
        for record in store.published_records(measure)
        if _key_today(record, measure) == record.meta["key"]
    }
    return [
        f for f in sorted(root.glob("*/*")) if f.is_dir() and (f.parent.name, f.name) not in current
    ]


def _key_today(record: Record, measure: Measure) -> str:
    try:
        options = completed(measure.function, record.options)
        return Experiment(measure, record.setting, options).key
    except (ValueError, TypeError):  # a setting, or an option, that is no more
        return ""


@contextmanager
def _store_at(root: Path) -> Iterator[None]:
    """Meanwhile the chapters' kernels keep what they measure under `root`."""
    before = os.environ.get("HSPEC_STORE")
    os.environ["HSPEC_STORE"] = str(root)
    try:
        yield
    finally:
        os.environ.pop("HSPEC_STORE")
        if before is not None:
            os.environ["HSPEC_STORE"] = before
