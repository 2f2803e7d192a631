"""What a rerun ends in: the verdicts for a terminal; figures and numbers beside the notebook."""

from __future__ import annotations

import base64
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from hspec.book.figure_files import STACKED, keep_figures
from hspec.files import write_whole
from hspec.words import VERDICTS, signed

WIDEST = 100  # columns, however wide the terminal is
# a table's numbers as `hspec.figures.download` puts them into a page
NUMBERS = re.compile(r'<a download="([\w.-]+\.csv)" href="data:text/csv;base64,([^"]+)"')


def verdicts_in_words(notebook: NotebookNode, columns: int | None = None) -> str:
    """The verdict tables of an executed notebook, for a terminal; "" where there is none.

    Args:
        columns: The width; None for that of the terminal, :data:`WIDEST` at most.
    """
    width = columns or min(shutil.get_terminal_size().columns, WIDEST)
    tables = [_table(notes, width) for notes in _noted(notebook)]
    return "\n\n".join(tables)


def keep_results(notebook: NotebookNode, folder: Path) -> list[Path]:
    """Write the figures of an executed notebook, as SVG, PDF and plotted numbers, and the tables
    that it offers as CSV; returns the files.
    """
    found = [file for files in keep_figures(notebook, folder).values() for file in files]
    for file in [file for file in found if file.name.endswith(STACKED)]:
        file.unlink()  # of use on a page only
    for name, coded in _tables(notebook):
        content = base64.b64decode(coded)
        write_whole(folder / name, lambda opened, content=content: opened.write(content))
        found.append(folder / name)
    return [file for file in found if file.exists()]


def _outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def _noted(notebook: NotebookNode) -> Iterator[Mapping[str, Any]]:
    for output in _outputs(notebook):
        notes = output.get("metadata", {}).get("text/markdown", {})
        if VERDICTS in notes:
            yield notes[VERDICTS]


def _tables(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    for output in _outputs(notebook):
        yield from NUMBERS.findall(output.get("data", {}).get("text/html", ""))


def _table(notes: Mapping[str, Any], width: int) -> str:
    """A line of net and data, and below it the rows: the verdict, the number, and why."""
    lines = textwrap.wrap(notes["of"].replace("*", ""), width)
    widest = max(len(row["verdict"]) for row in notes["rows"])
    for row in notes["rows"]:
        number = f"{row['verdict']:<{widest}}  {row['claim']}  {signed(row['value'])}"
        why = "; ".join(filter(None, [f"holds if {row['criterion']}", row["decided"]]))
        indent = " " * (widest + 2)
        lines += textwrap.wrap(number, width, subsequent_indent=indent)
        for text in (row["measured"], why):
            lines += textwrap.wrap(
                signed(text), width, initial_indent=indent, subsequent_indent=indent
            )
    return "\n".join(lines)
