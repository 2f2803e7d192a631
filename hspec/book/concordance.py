"""The concordance: which equation of which paper is which function,
from the docstrings' `Source:` lines.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

LAYERS = ("linalg", "curvature", "data", "models", "training", "experiments", "figures", "chapters")

# "Source: P20, section 4", up to an empty line or the next "Word:".
SOURCE_LINE = re.compile(r"\bSources?:\s*(.+(?:\n(?!\s*$|\w+:).+)*)", re.MULTILINE)

INTRODUCTION = """\
From the papers to the code and back: each function that carries an equation, a definition or a
constant of a paper, with the place it comes from. The keys are those of the {doc}`bibliography
<../bibliography>`, the letters those of the {doc}`notation <../notation>`. This page is made from
the docstrings."""


@dataclass(frozen=True)
class Entry:
    """One public function, class or method whose docstring names its source."""

    name: str  # "lanczos", "SpectralMeasure.cdf_bounds"
    summary: str  # the docstring's first sentence
    source: str  # "P20, section 4, equation 6"
    where: str  # "linalg/lanczos.py"


def entries(root: Path, layer: str) -> list[Entry]:
    """Every sourced public definition of a layer, by file and in the file's order."""
    found = []
    for path in sorted((root / "hspec" / layer).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = path.relative_to(root / "hspec").as_posix()
        for name, docstring in _public_docstrings(tree):
            if source := SOURCE_LINE.search(docstring):
                said = " ".join(source[1].split()).rstrip(".")
                found.append(Entry(name, first_sentence(docstring), said, where))
    return found


def first_sentence(docstring: str) -> str:
    """As far as the first full stop of the first paragraph, whole lines or not; without its source.

    Example:
        >>> first_sentence("A without these directions, by\\nprojection. It is lazy.\\n\\nMore.")
        'A without these directions, by projection.'
    """
    paragraph = " ".join(docstring.strip().partition("\n\n")[0].split())
    paragraph = re.split(r"\bSources?:", paragraph)[0].strip()
    return re.match(r".*?\.(?=\s+[A-ZΑ-Ω`‖(]|$)|.*", paragraph)[0]


def concordance_page(root: Path) -> str:
    """The Markdown of the book's concordance."""
    tables = [_table(layer, entries(root, layer)) for layer in LAYERS]
    return "\n\n".join(["# Concordance", INTRODUCTION, *filter(None, tables)]) + "\n"


def _public_docstrings(tree, prefix=""):
    """(qualified name, docstring) of public functions, classes and their methods."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, ast.get_docstring(node) or ""
            if isinstance(node, ast.ClassDef):
                yield from _public_docstrings(node, f"{node.name}.")


def _table(layer, found):
    if not found:
        return ""
    head = [f"## hspec.{layer}", "", "| name and file | what it is | source |", "|---|---|---|"]
    return "\n".join(head + [_row(entry) for entry in found])


def _row(entry):
    layer = entry.where.partition("/")[0]
    # a link, where the reference has it
    name = f"{{py:obj}}`{entry.name} <hspec.{layer}.{entry.name}>`"
    return f"| {name} in {_plain(entry.where)} | {_plain(entry.summary)} | {_plain(entry.source)} |"


def _plain(text):
    """Text as it stands, none of it taken for Markdown; code in backticks stays code."""
    parts = re.split(r"`+([^`]+)`+", text)
    prose = [re.sub(r"([\\*_{}\[\]<>|$~^])", r"\\\1", part) for part in parts[::2]]
    code = [f"`{part}`" for part in parts[1::2]] + [""]
    return "".join(piece for pair in zip(prose, code, strict=True) for piece in pair)
