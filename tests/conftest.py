"""A store of its own for every test; and what several processes of pytest-xdist share out."""

import os

import pytest
import torch

from hspec.experiments import Store


def pytest_configure():
    """Where there are several processes, each computes in one thread."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist, in whose processes it comes last otherwise
def pytest_collection_modifyitems(items):
    """What stays together: the tests of the real book, first since they take longest, and the tests
    of a file, whose fixtures are then made once. All processes must name the tests alike.
    """
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"give ids: {item.nodeid} has another name in each process")
    items.sort(key=lambda item: "pages" not in item.fixturenames)
    if "PYTEST_XDIST_WORKER" in os.environ:
        for item in items:
            group = "the book" if "pages" in item.fixturenames else item.nodeid.split("::")[0]
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", tmp_path / "results")
