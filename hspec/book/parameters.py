"""The parameters of a notebook: what they are called, of which type, and whether a value fits.

papermill injects whatever it is given; here unknown names and ill-typed values are refused before
it runs.
"""

from __future__ import annotations

import ast
import io
import math
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from nbformat import NotebookNode

from hspec.book.errors import BookError
from hspec.book.plain_yaml import parse_yaml
from hspec.parameters import too_few

SCALARS = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True)
class Parameter:
    """One line `name: annotation = default  # help` of a notebook's parameters cell."""

    name: str
    annotation: str  # int, float, str, bool, list[T], T | None
    default: object
    help: str

    def __str__(self):
        return f"{self.name}: {self.annotation} = {self.default!r}  # {self.help}"


def parameters_cell(notebook: NotebookNode) -> NotebookNode:
    """The notebook's one code cell tagged `parameters`.

    Raises BookError if there is none, or more than one.
    """
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise BookError(
            f"A notebook has exactly one cell tagged 'parameters'; this one has {len(cells)}. "
            "Without the tag its own defaults would silently win."
        )
    return cells[0]


def read_parameters(notebook: NotebookNode) -> dict[str, Parameter]:
    """{name: Parameter} as the notebook declares them.

    Raises BookError for a line that is not `name: type = value  # help`.
    """
    source = parameters_cell(notebook).source
    try:
        return {
            parameter.name: parameter
            for parameter in map(_declared(source), ast.parse(source).body)
        }
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise BookError(f"The parameters cell is not Python with plain values: {error}") from error


def check_parameters(known: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with each value turned into its declared type; text is read as YAML.

    Raises BookError naming every unknown or ill-typed parameter, and every count below one.
    """
    problems = [f"unknown parameter {name!r}" for name in given if name not in known]
    values = {}
    for name in given.keys() & known.keys():
        try:
            values[name] = _fit(ast.parse(known[name].annotation, mode="eval").body, given[name])
        except (ValueError, OverflowError, RecursionError, yaml.YAMLError):
            problems.append(f"{name} must be {known[name].annotation}, not {given[name]!r}")
        else:
            problems += too_few(name, values[name], known[name].default)
    if problems:
        listing = "\n".join(f"    {parameter}" for parameter in known.values())
        raise BookError("; ".join(problems) + f".\n  The notebook's parameters:\n{listing}")
    return {name: values[name] for name in known if name in values}


def _declared(source):
    """A function from a statement of `source` to the Parameter it declares."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }

    def parameter(statement):
        match statement:
            case ast.AnnAssign(
                target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value
            ):
                help = comments.get(statement.end_lineno) or comments.get(statement.lineno, "")
                return Parameter(name, ast.unparse(annotation), ast.literal_eval(value), help)
        line = ast.get_source_segment(source, statement)
        raise BookError(
            f"In the parameters cell, write `name: type = value  # help` instead of `{line}`."
        )

    return parameter


def _fit(annotation, value):
    """`value` as the type that the annotation's syntax tree names;
    ValueError if it is not of that type.
    """
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            try:
                return _fit(left, value)
            except ValueError:
                return _fit(right, value)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return [_fit(item, element) for element in _of_type(list, value)]
        case ast.Constant(value=None):
            return None if value == "None" else _of_type(type(None), value)
        case ast.Name(id=name) if name in SCALARS:
            return _of_type(SCALARS[name], value)
    raise BookError(
        f"{ast.unparse(annotation)} is no type for a parameter: use int, float, str, bool, "
        "list[…], … | None."
    )


def _of_type(expected, value):
    """`value` if it is of the type; text is read as YAML first, and an integer is also a float,
    which is finite.
    """
    if isinstance(value, str) and expected is not str:
        value = parse_yaml(value)
    if expected is float and type(value) is int:
        value = float(value)
    if type(value) is not expected or (expected is float and not math.isfinite(value)):
        raise ValueError(value)
    return value
