"""From a chapter's notebook to its page: run unless nothing changed,
with its provenance at the end.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from hspec.book import provenance
from hspec.book.dependencies import dependencies
from hspec.book.errors import BookError
from hspec.book.figure_files import keep_figures, with_links
from hspec.book.parameters import check_parameters, read_parameters
from hspec.book.repository import Repository
from hspec.book.running import read_notebook, run_notebook
from hspec.book.seconds import spoken
from hspec.book.telling import seconds_of_records, tell
from hspec.experiments.provenance import machine
from hspec.files import temporary_folder

RECORDED = {"key", "profile", "parameters", "revision", "versions", "machine", "date", "seconds"}


def stage_chapter(
    repository: Repository,
    chapter: str,
    profile: str,
    parameters: Mapping[str, Any],
    *,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> None:
    """Run the chapter unless its page already comes from the same notebook, parameters, code and
    versions.

    Raises BookError, leaving the last good page, if the notebook fails.
    """
    key = chapter_key(repository, chapter, parameters)
    if not force and staged_record(repository, chapter).get("key") == key:
        report(f"{chapter}: unchanged")
        return
    report(f"{chapter}: running ({profile} profile) …")
    started = time.monotonic()
    with temporary_folder(repository.build / chapter) as folder:
        executed = folder / f"{chapter}.ipynb"
        run_notebook(
            repository,
            repository.source(chapter),
            parameters,
            executed,
            progress=sys.stderr.isatty(),
        )
        record = {
            "key": key,
            "profile": profile,
            "parameters": parameters,
            "revision": provenance.revision(repository.root),
            "versions": provenance.versions(),
            "machine": machine(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "seconds": round(time.monotonic() - started, 1),
        }
        page = read_notebook(executed)
        published = repository.root / "data" / "results"
        record["measuring"] = round(seconds_of_records(page, published), 1)
        page = with_provenance(page, chapter, record)
        kept = keep_figures(page, folder / chapter)
        page = with_links(page, kept, beside=folder)
        executed.write_text(without_paths(nbformat.writes(page), repository.root), encoding="utf-8")
        _put(folder, repository.staged(chapter))
    report(f"{chapter}: done in {record['seconds']:.0f} s")


def _put(folder, staged):
    """The page and the folder of its figures' files, in the place of the last ones."""
    files = staged.with_suffix("")
    staged.parent.mkdir(exist_ok=True)
    if files.exists():
        files.replace(folder / "last")
    if (folder / staged.stem).exists():
        (folder / staged.stem).replace(files)
    (folder / staged.name).replace(staged)


def chapter_key(repository: Repository, chapter: str, parameters: Mapping[str, Any]) -> str:
    """sha256 of all that a page depends on: notebook, parameters, the sources it uses and their
    stored results, versions.
    """
    source = repository.source(chapter)
    known = read_parameters(read_notebook(source))
    return provenance.digest(
        source,
        json.dumps(check_parameters(known, parameters), sort_keys=True),
        provenance.files_digest(repository.root, dependencies(repository.root, source)),
        json.dumps(provenance.versions(), sort_keys=True),
        os.environ.get("HSPEC_FRESH", ""),
    )


def staged_record(repository: Repository, chapter: str) -> dict[str, Any]:
    """What is known of the chapter's last good run (the dict of `stage_chapter`); empty if there is
    none.

    A page that is damaged, or lacks a part of the record, counts as not run.
    """
    try:
        record = read_notebook(repository.staged(chapter)).metadata.get("hspec", {})
    except BookError:
        return {}
    return dict(record) if isinstance(record, dict) and record.keys() >= RECORDED else {}


def rerun_command(chapter: str, parameters: Mapping[str, Any]) -> str:
    """The command that runs the chapter with these parameters, ready to paste into a shell."""
    words = ["hspec", "run", chapter]
    for name, value in parameters.items():
        words += ["-p", name, value if isinstance(value, str) else json.dumps(value)]
    return shlex.join(words)


def with_provenance(
    notebook: NotebookNode, chapter: str, record: Mapping[str, Any]
) -> NotebookNode:
    """The executed notebook as a page: papermill's notes out, the record in, a last section that
    tells it.

    What its outputs say of the run goes where the page has it.
    """
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    tell(notebook)
    notebook.metadata["hspec"] = record
    notebook.cells.append(nbformat.v4.new_markdown_cell(_provenance_section(chapter, record)))
    return notebook


def without_paths(text: str, root: Path) -> str:
    """The notebook's JSON without this machine's folders:
    a page reads the same wherever it was made.
    """
    for folder, name in ((sys.prefix, "<environment>"), (root, "."), (Path.home(), "~")):
        if folder != Path(folder).root:
            text = text.replace(json.dumps(str(folder))[1:-1], name)
    return text


def _provenance_section(chapter, record):
    measuring = record.get("measuring", 0.0)
    how_long = f"Here that took {spoken(record['seconds'])}."
    if measuring:
        how_long = (
            f"Here that took {spoken(record['seconds'])}, with the records that were at hand; to "
            f"measure those that it draws took {spoken(measuring)}."
        )
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return f"""\
## Provenance

Download {{download}}`this page as an executed notebook <{chapter}.ipynb>`. These commands, in a
clone of the repository, run it again with the parameters of this page, and build the page again.
{how_long}

```sh
{rerun_command(chapter, record["parameters"])}
hspec book --profile {record["profile"]} --only {chapter}
```

:::{{dropdown}} What made this page
Profile
: {record["profile"]}

Revision
: `{record["revision"]}`

Run
: {record["date"]}, {record["seconds"]} s

Versions
: {versions}

Machine
: {record["machine"]}
:::
"""
