"""The examples in docstrings run, and give what they say;
torch and the package's names are known to them.
"""

import doctest
import importlib
from pathlib import Path

import pytest
import torch

import hspec.curvature
import hspec.linalg

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = sorted(
    path.relative_to(ROOT).with_suffix("")
    for path in (ROOT / "hspec").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)

KNOWN = {
    name: getattr(package, name)
    for package in (hspec.linalg, hspec.curvature)
    for name in package.__all__
}


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_examples_run(path):
    module = importlib.import_module(".".join(path.parts).removesuffix(".__init__"))
    found = doctest.testmod(module, extraglobs=KNOWN | {"torch": torch})
    assert found.attempted and not found.failed
