"""A store of its own for every test."""

import pytest

from hspec.experiments import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", tmp_path / "results")
