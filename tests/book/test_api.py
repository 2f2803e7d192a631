"""Docstrings as they stand become pages: nothing in them is taken for markup that is none."""

import ast
import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest
from docutils.core import publish_doctree
from docutils.utils import Reporter

from hspec.book.api import LAYERS, api_pages

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "book" / "_ext"))
from docstrings import plain  # noqa: E402


@pytest.mark.parametrize(
    "lines",
    [
        ["‖A‖ and |A| and v* and basis_ of `A @ v`."],
        ["v        a vector", "         of p numbers", "m        steps"],
        ["A sum over n:", "  x_n and", "    y_n"],
        ["Args:", "    x: of *any* |size|.", "    *more: the rest_.", "", "Source: P20, C.7."],
        ["Example:", "    >>> 2 * 3", "    6"],
    ],
)
def test_plain_text_raises_no_complaint(lines):
    text = "\n".join(plain(lines))
    tree = publish_doctree(
        text, settings_overrides={"report_level": Reporter.SEVERE_LEVEL, "halt_level": 5}
    )
    assert not [m for m in tree.findall() if m.tagname == "problematic"], tree
    shown = tree.astext()
    for word in "\n".join(lines).replace("`", "").split():
        assert word in shown.replace("\\", "")


def test_every_layer_has_a_page_in_the_table_of_contents():
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    pages = api_pages(ROOT)
    assert pages.keys() == {f"api_{layer}" for layer in LAYERS}
    for name in pages:
        assert f"file: _generated/{name}\n" in toc
    assert ":exclude-members: Recipe" in pages["api_experiments"]  # training's own
    assert "exclude" not in pages["api_training"]


def properties():
    """Every property of a public class, with the first line of its docstring."""
    for file in sorted((ROOT / "hspec").rglob("*.py")):
        for cls in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(cls, ast.ClassDef) and not cls.name.startswith("_"):
                for of in filter(lambda of: isinstance(of, ast.FunctionDef), cls.body):
                    kinds = {getattr(d, "id", getattr(d, "attr", "")) for d in of.decorator_list}
                    if kinds & {"property", "cached_property"} and not of.name.startswith("_"):
                        first = (ast.get_docstring(of) or "").partition("\n")[0]
                        yield f"{file.name} {cls.name}.{of.name}", first


def test_no_property_is_taken_for_its_type():
    # What stands before a colon in the first line napoleon shows as the type.
    assert not [name for name, first in properties() if ":" in first]


def test_what_arguments_mean_stands_in_a_section():
    # Two columns lose their space on a page: "width factor on every hidden width".
    columns = re.compile(r"^[a-z_0-9]+ {2,}\S", re.MULTILINE)
    layers = [importlib.import_module(f"hspec.{layer}") for layer in LAYERS]
    public = [getattr(layer, name) for layer in layers for name in layer.__all__]
    methods = [m for of in public if isinstance(of, type) for m in vars(of).values() if callable(m)]
    told = [of for of in [*public, *methods] if columns.search(inspect.getdoc(of) or "")]
    assert not told, told


def test_nothing_that_is_returned_is_taken_for_its_type():
    layers = [importlib.import_module(f"hspec.{layer}") for layer in LAYERS]
    public = [getattr(layer, name) for layer in layers for name in layer.__all__]
    returns = re.compile(r"^(?:Returns|Yields):\n +(.*)", re.MULTILINE)
    found = [(of, returns.search(inspect.getdoc(of) or "")) for of in public]
    # napoleon leaves what is in backticks alone
    assert not [of for of, told in found if told and ":" in re.sub("`[^`]*`", "", told[1])]
