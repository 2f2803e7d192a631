"""A store of its own for every test; and what several processes of pytest-xdist share out."""

import os

import pytest
import torch
from xdist.scheduler import LoadFileScheduling

from hspec.experiments import Store

THE_BOOK = {"tests/book/test_book.py", "tests/book/test_browser.py"}


def pytest_configure():
    """Where there are several processes, each computes in one thread."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        torch.set_num_threads(1)


class Together(LoadFileScheduling):
    """Tests of a file stay in one process, so that its fixtures are made once; and those of the
    real book, which two files look at.
    """

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        return "the book" if file in THE_BOOK else file


def pytest_xdist_make_scheduler(config, log):
    return Together(config, log)


def pytest_collection_modifyitems(items):
    """The real book first, since it takes longest. All processes must name the tests alike."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"give ids: {item.nodeid} has another name in each process")
        if "pages" in item.fixturenames and item.nodeid.split("::")[0] not in THE_BOOK:
            raise pytest.UsageError(f"{item.nodeid} would make the real book again: name its file")
    items.sort(key=lambda item: "pages" not in item.fixturenames)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", tmp_path / "results")
