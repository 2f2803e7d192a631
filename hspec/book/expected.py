"""What a command of the book shows: kept when it is timed, folded below it on its page.

A picture is in book/expected/, named by the command; what is said beside it in book/seconds.json.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from hspec.book.figure_files import PICTURE, STACKED, STACKED_PICTURE, figure_name
from hspec.book.seconds import BLOCK, commands_of
from hspec.book.telling import notes_in, notes_of
from hspec.book.two_tone import two_toned
from hspec.files import write_whole

FOLDER = "expected"
LARGEST = 200_000  # bytes of a picture: a page has three beside its own
ANSWERS = "answers"  # the tag of a figure that says more of what is tried than the page's first
ORDINALS = ("first", "second", "third", "fourth", "fifth")
EXPECTED = {"alt", "caption", "findings"}


def picture_file(book: Path, command: str) -> Path:
    """Where the picture of a command is kept."""
    return book / FOLDER / f"{hashlib.sha256(command.encode()).hexdigest()[:12]}.svg"


def keep_expected(executed: NotebookNode, command: str, book: Path) -> dict[str, str]:
    """Write the picture of a command's run: the first that draws a record of its own, or that needs
    none, and is not too large, of cells with the tag "answers" if there are; returns what is said
    beside it, {} where no figure will do.
    """
    found = next((notes for notes in notes_in(executed) if "findings" in notes), {})
    for notes, data in _figures(executed):
        drawn, own = notes.get("seconds", {}), found.get("own", ())
        picture = two_toned(data[PICTURE])
        if (drawn and not drawn.keys() & set(own)) or len(picture) > LARGEST:
            continue
        file = picture_file(book, command)
        _write(file, picture)
        if STACKED_PICTURE in data:
            _write(file.with_suffix(STACKED), two_toned(data[STACKED_PICTURE]))
        return {
            "alt": notes["alt"],
            "caption": notes["caption"],
            "findings": found.get("findings of its own nets", ""),
        }
    return {}


def _write(file: Path, svg: str) -> None:
    write_whole(file, lambda opened: opened.write(svg.encode()))


def _figures(executed: NotebookNode) -> Iterator[tuple[Mapping[str, Any], NotebookNode]]:
    """What each named figure says of itself, and its formats."""
    named = filter(figure_name, executed.cells)
    for cell in sorted(named, key=lambda cell: ANSWERS not in cell.metadata.get("tags", ())):
        for output in cell.outputs:
            if PICTURE in output.get("data", {}) and (notes := notes_of(output)):
                yield notes, output.data


def with_expected(text: str, entries: Mapping[str, Mapping[str, Any]], book: Path) -> str:
    """The Markdown of a page, with what its commands show folded below each block of them."""
    return BLOCK.sub(lambda block: block[0] + _below(block[0], entries, book), text)


def _below(block: str, entries: Mapping[str, Mapping[str, Any]], book: Path) -> str:
    commands = commands_of(f"{block}\n")
    known = [(i, c) for i, c in enumerate(commands) if entries.get(c, {}).keys() >= EXPECTED]
    return "".join(
        "\n" + folded(command, entries[command], book, ORDINALS[i] if len(commands) > 1 else "")
        for i, command in known
    )


def folded(command: str, entry: Mapping[str, Any], book: Path, which: str = "") -> str:
    """One command's picture, what it is of and what was found, in a closed dropdown.

    which: of several commands above it, this one.
    """
    alt = re.sub(r"\s+", " ", entry["alt"])
    picture = picture_file(book, command).relative_to(book).as_posix()
    parts = [
        f"```{{image}} /{picture}\n:alt: {alt}\n```",
        f"*{entry['caption']}*" if entry["caption"] else "",
        entry["findings"],
        f"Run on {entry['date']} at revision `{entry['revision']}`, on {entry['machine']}.",
    ]
    title = f"What the {which} shows" if which else "What it shows"
    return f":::{{dropdown}} {title}\n" + "\n\n".join(filter(None, parts)) + "\n:::\n"
