"""The book's own Sphinx extension: which remotes give repository buttons."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def extension():
    spec = importlib.util.spec_from_file_location(
        "hspec_sphinx", ROOT / "book" / "_ext" / "hspec_sphinx.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/some-one/h.spec",
        "https://github.com/some-one/h.spec.git",
        "git@github.com:some-one/h.spec.git",
    ],
)
def test_github_in_its_three_spellings(extension, remote):
    assert extension.github_address(remote) == "https://github.com/some-one/h.spec"


@pytest.mark.parametrize(
    "remote", ["", "/srv/git/hspec", "https://example.org/a/b", "https://github.com/a"]
)
def test_no_buttons_elsewhere(extension, remote):
    assert extension.github_address(remote) is None
