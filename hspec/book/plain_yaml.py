"""YAML without surprises: numbers are decimal and finite, true and false are words, anything else
is text.

YAML 1.1, which PyYAML reads, takes 010 for eight, 1:30 for ninety, .nan for a number, and 1e-3, no
and off for what nobody means; YAML 1.2 does not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from hspec.book.errors import BookError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but for what a plain word means."""

    yaml_implicit_resolvers: ClassVar[dict] = {}  # not those of YAML 1.1


_DIGITS = list("-+0123456789.")
for tag, pattern, first in (
    ("null", r"~|null|None|", ["~", "n", "N", ""]),
    ("bool", r"true|True|false|False", list("tTfF")),
    ("merge", r"<<", ["<"]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", _DIGITS),
    ("float", r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", _DIGITS),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda loader, node: float(loader.construct_scalar(node))
)


def parse_yaml(text: str) -> Any:
    """What the text says; raises yaml.YAMLError where it is none,
    RecursionError where it is nested too deeply.
    """
    return yaml.load(text, _Loader)


def read_content(path: Path) -> Any:
    """What a file says; raises BookError where it is missing, not UTF-8 or not YAML."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BookError(f"{path.name} cannot be read as YAML: {error}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a file.

    Raises BookError where it is missing, not UTF-8, not YAML or not a mapping.
    """
    found = read_content(path)
    if not isinstance(found, dict):
        raise BookError(
            f"{path.name} must hold names and values (name: value), not {type(found).__name__}"
        )
    return found
