"""What the outputs of a run say of themselves, put where a page has it: under the title,
and under the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from hspec.book.errors import BookError
from hspec.words import CODE_OR_MATHEMATICS, TOLD, plain


def tell(notebook: NotebookNode) -> None:
    """Give each figure its whole caption and its alternative text, and put badge and findings under
    the title.

    Raises:
        BookError: a figure was shown whose output says neither.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for notes in filter(None, map(notes_of, cell.outputs)):
                if "findings" in notes:
                    _open(notebook.cells[0], notes)
                else:
                    _caption(cell, notes)
            _check(cell)


def told(notebook: NotebookNode) -> str:
    """The findings of an executed notebook under their heading, without Markdown's and TeX's marks;
    "" without any.
    """
    found = [f"{n['heading']}:\n{n['findings']}" for n in notes_in(notebook) if "findings" in n]
    lines = (_in_words(line.replace("* ", "• ", 1)) for line in "\n".join(found).splitlines())
    return "\n".join(lines).replace("*", "")


def notes_in(notebook: NotebookNode) -> list[Mapping[str, Any]]:
    """What the outputs of an executed notebook say of themselves, in their order."""
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    return [notes for notes in map(notes_of, outputs) if notes]


def notes_of(output: NotebookNode) -> Mapping[str, Any] | None:
    """What an output says of itself, or of the numbers beside its figure; None of others."""
    notes = output.get("metadata", {})
    return notes.get(TOLD) or notes.get("text/csv", {}).get(TOLD)


def seconds_of_records(notebook: NotebookNode, published: Path) -> float:
    """What measuring took of the records that an executed notebook draws. Those that lie under
    `published` are left out, since no run of it measures them, unless they are the run's own.
    """
    notes = notes_in(notebook)
    found = {key: s for note in notes for key, s in note.get("seconds", {}).items()}
    own = {key for note in notes for key in note.get("own", ())}
    return sum(s for k, s in found.items() if k in own or not any(published.glob(f"*/{k}")))


def _in_words(line: str) -> str:
    """Mathematics as plain text; the rest, with the braces of an interval, as it is."""
    parts = CODE_OR_MATHEMATICS.split(line)
    parts[1::2] = [plain(part) for part in parts[1::2]]
    return "".join(parts)


def _caption(cell: NotebookNode, notes: Mapping[str, Any]) -> None:
    settings = cell.metadata.setdefault("mystnb", {})
    if "figure" in settings:
        if notes["caption"]:
            settings["figure"]["caption"] = (
                f"{settings['figure']['caption'].rstrip()} *{notes['caption']}*"
            )
        settings["image"] = {**settings.get("image", {}), "alt": notes["alt"]}


def _check(cell: NotebookNode) -> None:
    figure = cell.metadata.get("mystnb", {}).get("figure")
    drawn = any("image/svg+xml" in output.get("data", {}) for output in cell.outputs)
    if drawn and figure and not cell.metadata["mystnb"].get("image", {}).get("alt"):
        raise BookError(
            f"{figure['name']} has no generated caption: show it by hspec.figures.shown"
        )


def _open(first: NotebookNode, notes: Mapping[str, Any]) -> None:
    """The badge behind the title's line, the findings behind the question,
    which is the first block quote.
    """
    title, _, rest = first.source.partition("\n")
    badges = "".join(
        f'<p class="scale {"papers" if badge["papers"] else "toy"}">{escape(badge["text"])}</p>\n'
        for badge in notes["badges"]
    )
    findings = (
        f":::{{admonition}} {notes['heading']}\n:class: in-this-run\n{notes['findings']}\n:::"
    )
    blocks = rest.strip("\n").split("\n\n")
    place = next((i for i, block in enumerate(blocks) if block.startswith(">")), len(blocks) - 1)
    blocks.insert(place + 1, findings)
    first.source = f"{title}\n\n{badges}\n" + "\n\n".join(blocks)
