"""The files of a notebook's figures: SVG, PDF, the plotted numbers, and the panels stacked,
named by figure.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from hspec.files import write_whole

PICTURE, STACKED_PICTURE = "image/svg+xml", "image/x-stacked-svg"
STACKED = ".stacked.svg"
# what an executed cell holds of a figure: the file's ending, and the words of its link
KINDS = {
    PICTURE: (".svg", "SVG"),
    "application/pdf": (".pdf", "PDF"),
    "text/csv": (".csv", "the plotted numbers (CSV)"),
    STACKED_PICTURE: (STACKED, ""),  # for narrow screens; the page shows it there
}


def keep_figures(notebook: NotebookNode, folder: Path) -> dict[str, list[Path]]:
    """Write the files of every drawn figure into `folder`; by the figure's name, what was written.

    A cell that draws several pictures numbers them: fig-film, fig-film-2.
    """
    kept: dict[str, list[Path]] = {}
    for cell in notebook.cells:
        name = figure_name(cell)
        for number, data in enumerate(_pictures(cell), start=1):
            stem = name if number == 1 else f"{name}-{number}"
            kept.setdefault(name, []).extend(_write(folder / stem, data))
    return kept


def figure_name(cell: NotebookNode) -> str:
    """The name that the cell gives its figure; empty where it has none."""
    return cell.metadata.get("mystnb", {}).get("figure", {}).get("name", "")


def with_links(notebook: NotebookNode, kept: dict[str, list[Path]], beside: Path) -> NotebookNode:
    """The notebook as a page: pictures alone in its cells, and below each figure links to its
    files.

    beside: the folder that the links start from.
    """
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        for data in _pictures(cell):
            for kind in KINDS.keys() - {PICTURE}:
                data.pop(kind, None)
        if files := kept.get(figure_name(cell)):
            cells.append(nbformat.v4.new_markdown_cell(_links(files, beside)))
    notebook.cells = cells
    return notebook


def _pictures(cell: NotebookNode) -> Iterator[NotebookNode]:
    outputs = cell.get("outputs", []) if figure_name(cell) else []
    return (output.data for output in outputs if PICTURE in output.get("data", {}))


def _write(path: Path, data: NotebookNode) -> Iterator[Path]:
    for kind, (ending, _) in KINDS.items():
        if kind in data:
            coded = kind == "application/pdf"
            content = base64.b64decode(data[kind]) if coded else data[kind].encode()
            file = path.with_name(path.name + ending)
            write_whole(file, lambda opened, content=content: opened.write(content))
            yield file


def _links(files: list[Path], beside: Path) -> str:
    words = dict(KINDS.values())
    links = [
        f"{{download}}`{words[file.suffix]} <{file.relative_to(beside).as_posix()}>`"
        for file in files
        if not file.name.endswith(STACKED)
    ]
    return f":::{{div}} figure-files\n{' · '.join(links)}\n:::"
