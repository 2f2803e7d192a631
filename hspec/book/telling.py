"""What the outputs of a run say of themselves, put where a page has it: under the title,
and under the figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from nbformat import NotebookNode

from hspec.book.errors import BookError
from hspec.figures.telling import KEY

# Markdown and TeX as a terminal shows them.
MARKS = (
    (r"\\(?:mathrm|text|operatorname)\{(\w+)\}", r"\1"),
    (r"(?m)^\* ", "• "),
    (r" ?\\cdot ?", "·"),
    (r"\\([A-Za-z]+)", lambda found: SIGNS.get(found[1], found[1])),
    (r"[_^]\{([^{}]*)\}", lambda found: found[0][0] + found[1]),
    (r"\^ᵀ", "ᵀ"),
    (r"[*$\\]", ""),
)
SIGNS = {
    **{"alpha": "α", "beta": "β", "delta": "δ", "varepsilon": "ε", "theta": "θ", "lambda": "λ"},
    **{"pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "Delta": "Δ", "Sigma": "Σ", "ell": "ℓ"},
    **{"top": "ᵀ", "le": "≤", "ge": "≥", "approx": "≈", "times": "×", "sum": "Σ"},
}


def tell(notebook: NotebookNode) -> None:
    """Give each figure its whole caption and its alternative text, and put badge and findings under
    the title.

    Raises:
        BookError: a figure was shown whose output says neither.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for notes in _notes(cell):
                if "findings" in notes:
                    _open(notebook.cells[0], notes)
                else:
                    _caption(cell, notes)
            _check(cell)


def told(notebook: NotebookNode) -> str:
    """The findings of an executed notebook without Markdown's and TeX's marks; "" without any."""
    notes = [note for cell in notebook.cells if cell.cell_type == "code" for note in _notes(cell)]
    findings = "\n".join(note["findings"] for note in notes if "findings" in note)
    for mark, plain in MARKS:
        findings = re.sub(mark, plain, findings)
    return findings


def _notes(cell: NotebookNode) -> list[Mapping[str, Any]]:
    return [out.metadata[KEY] for out in cell.outputs if KEY in out.get("metadata", {})]


def _caption(cell: NotebookNode, notes: Mapping[str, Any]) -> None:
    settings = cell.metadata.setdefault("mystnb", {})
    if "figure" in settings:
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
    findings = f":::{{admonition}} In this run\n:class: in-this-run\n{notes['findings']}\n:::"
    blocks = rest.strip("\n").split("\n\n")
    place = next((i for i, block in enumerate(blocks) if block.startswith(">")), len(blocks) - 1)
    blocks.insert(place + 1, findings)
    first.source = f"{title}\n\n{badges}\n" + "\n\n".join(blocks)
