"""What a notebook was given: names it declares, values of their types, or it stops before anything
runs.

``hspec run`` checks before it starts. Plain papermill injects whatever it is given: a misspelt name
would become a variable that nobody reads, and the notebook would run to its end with the default.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from hspec.fields import coerced

# Names of numbers of things, of which there is at least one.
COUNTS = re.compile(r"num_\w+|(\w+_)?per_class|repeats|(\w+_)?batch_size|image_size")

# Lists that say what is done beside the rest; of others a page needs one entry at least.
MAY_BE_EMPTY = {"drops", "eval_steps", "longer", "wider"}

# how papermill begins the cell that it puts behind the notebook's own parameters
INJECTED = "# Parameters"


def check_parameters(namespace: Mapping[str, Any]) -> None:
    """Called by a notebook behind its parameters, as ``check_parameters(globals())``.

    Args:
        namespace: The notebook's variables, with ``In``, the cells that have run: their annotated
            lines, ``name: type = value``, declare its parameters; papermill's own cell tells what
                it injected.

    Raises:
        ValueError: A parameter that was injected is none of the notebook's, a value is not of its
            type, or a number of things is below one; with the name, the remedy, and all parameters.
    """
    cells = namespace.get("In", ())
    declared, defaults = declared_types(cells), declared_values(cells)
    problems = [
        f"unknown parameter {name!r}{_suggestion(name, declared)}"
        for name in injected_names(cells)
        if name not in declared
    ]
    for name, kind in declared.items():
        try:
            coerced(name, namespace[name], kind)
        except TypeError as error:
            problems.append(f"{error}{_remedy(name, namespace[name])}")
        else:
            problems += too_few(name, namespace[name], defaults[name])
    if problems:
        listing = "\n".join(f"    {name}: {_spelled(kind)}" for name, kind in declared.items())
        raise ValueError("; ".join(problems) + f".\n  The notebook's parameters:\n{listing}")


def declared_types(cells: Iterable[str]) -> dict[str, Any]:
    """The annotated variables of the cells that have run,
    with the types their annotations mean."""
    return {
        node.target.id: eval(
            ast.unparse(node.annotation), {}
        )  # the notebook's own words: list[int], int | None
        for cell in cells
        for node in _statements(cell)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def declared_values(cells: Iterable[str]) -> dict[str, object]:
    """The annotated variables of the cells that have run, with the values written there; None where
    that is no plain value.
    """
    return {
        node.target.id: _plain(node.value)
        for cell in cells
        for node in _statements(cell)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _plain(value: ast.expr | None) -> object:
    try:
        return value and ast.literal_eval(value)
    except ValueError:
        return None


def too_few(name: str, value: object, default: object) -> list[str]:
    """What is wrong with a number of things, or with a list, of such numbers or of what is done;
    where the notebook's own is zero, zero means something.

    Example:
        >>> too_few("num_steps", 0, 90), too_few("sample_per_class", 0, 0)
        (['num_steps must be at least 1, not 0'], [])
        >>> too_few("seeds", [], [0])
        ['seeds must name at least one']
    """
    if value == [] and default and name not in MAY_BE_EMPTY:
        return [f"{name} must name at least one"]
    least = 0 if default == 0 else 1
    numbers = [n for n in (value if isinstance(value, list) else [value]) if type(n) is int]
    wrong = COUNTS.fullmatch(name) and any(number < least for number in numbers)
    return [f"{name} must be at least {least}, not {value}"] if wrong else []


def injected_names(cells: Iterable[str]) -> list[str]:
    """Variables that the cells injected by papermill assign, of all cells that have run."""
    nodes = [node for cell in cells if cell.startswith(INJECTED) for node in _statements(cell)]
    targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _statements(cell: str) -> list[ast.stmt]:
    try:
        return ast.parse(cell).body
    except SyntaxError:  # a cell with %magics, or one that failed
        return []


def _suggestion(name: str, declared: Mapping[str, Any]) -> str:
    close = get_close_matches(name, declared, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _remedy(name: str, value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return (
        f": papermill's -p takes it for text; write -y '{name}: {value}', or use hspec run … -p "
        f"{name} '{value}'"
    )


def _spelled(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
