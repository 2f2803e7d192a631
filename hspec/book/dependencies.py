"""What a chapter's page depends on: the modules that its notebook imports, theirs in turn, and
the stored results of the measures among them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hspec.book.running import read_notebook
from hspec.papers.nets import PUBLISHED_NETS

PACKAGE = "hspec"
PAPERS = "hspec.papers"  # imports every measure; a page shows the records of the nets it names
# What makes a page of a chapter that has run.
STAGING = ("staging.py", "telling.py", "figure_files.py")


def dependencies(root: Path, notebook: Path) -> list[Path]:
    """The files of the clone at `root` that the page of a notebook follows from, but the notebook.

    They are found without running anything. A notebook that takes names from `hspec` itself, which
    loads them when it is asked, depends on the whole package.
    """
    code = _code(notebook)
    wanted = set(imported(code))
    if PACKAGE in wanted:
        sources = set((root / PACKAGE).rglob("*.py"))
        measures = _measures(sources)
    else:
        sources = _closure(root, wanted) | {root / PACKAGE / "book" / name for name in STAGING}
        measures = _measures(_closure(root, wanted, besides=PAPERS))
        if any(name.startswith(PAPERS) for name in wanted):
            measures |= _of_named_nets(code, root / PACKAGE / "papers" / "tables.py")
    found = {path for path in sources if path.is_file()} | set(_results(root, measures))
    return sorted(found)


def _code(notebook: Path) -> ast.Module:
    """The notebook's Python, without %magics and !commands."""
    cells = [cell.source for cell in read_notebook(notebook).cells if cell.cell_type == "code"]
    lines = [line for cell in cells for line in cell.splitlines() if line[:1] not in ("%", "!")]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError:  # said where it runs; until then it may depend on anything
        return ast.parse(f"import {PACKAGE}")


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules of hspec that statements import by name; `hspec.a.b` for `from hspec.a import b`,
    too, which may be one.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] == PACKAGE)


def _closure(root: Path, wanted: set[str], besides: str | None = None) -> set[Path]:
    """The files of these modules, of the packages that they are in, and of all that those import;
    without the package `besides`, and what only that imports.

    `hspec` itself imports nothing until it is asked.
    """
    found, waiting = {root / PACKAGE / "__init__.py"}, set(wanted)
    while waiting:
        name = waiting.pop()
        if besides and f"{name}.".startswith(f"{besides}."):
            continue
        file = _file(root, name)
        if file and file not in found:
            found.add(file)
            waiting |= {name.rpartition(".")[0], *_parsed(file, file.stat().st_mtime_ns).modules}
    return found


def _file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _measures(sources: set[Path]) -> set[str]:
    """The names of all measures that the sources define."""
    files = (file for file in sources if file.is_file())
    return {m for f in files for m in _parsed(f, f.stat().st_mtime_ns).measures}


def _of_named_nets(code: ast.Module, tables: Path) -> set[str]:
    """What is measured of the papers' nets that a notebook names, or that the tables of papers'
    nets do.
    """
    trees = [code, *([ast.parse(tables.read_bytes())] if tables.is_file() else [])]
    texts = {n.value for t in trees for n in ast.walk(t) if isinstance(n, ast.Constant)}
    nets = [net for name, net in PUBLISHED_NETS.items() if name in texts]
    return {e.measure.name for net in nets for e in net.experiments.values()}


def _results(root: Path, measures: set[str]) -> Iterator[Path]:
    """The records of these measures that come with the book."""
    for measure in measures:
        for place in ("results", "laptop"):
            yield from (p for p in (root / "data" / place / measure).rglob("*") if p.is_file())


@dataclass(frozen=True)
class _Source:
    modules: frozenset[str]  # of hspec, that it imports
    measures: tuple[str, ...]  # that it defines


@cache
def _parsed(file: Path, changed: int) -> _Source:
    """What is in a file that was last changed then."""
    tree = ast.parse(file.read_bytes())
    measures = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and _is_measure(n)]
    return _Source(frozenset(imported(tree)), tuple(measures))


def _is_measure(function: ast.FunctionDef) -> bool:
    calls = [d.func for d in function.decorator_list if isinstance(d, ast.Call)]
    return any(isinstance(f, ast.Name) and f.id == "measure" for f in calls)
