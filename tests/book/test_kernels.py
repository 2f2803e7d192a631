"""A chapter's kernel may be a fork: it does what one that was started does, and has no less."""

import multiprocessing
import os
import sys

import nbformat
import pytest

from hspec.book.errors import BookError
from hspec.book.kernels import forked_kernels
from hspec.book.running import run_notebook

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux alone")


@pytest.fixture
def told(toy, write_chapter, monkeypatch):
    """What the last line of a chapter prints, run as those of a book."""
    monkeypatch.chdir(toy.root)

    def run(line):
        write_chapter(toy, "one", last_line=line)
        output = toy.root / "out.ipynb"
        run_notebook(toy, toy.source("one"), {}, output)
        cells = nbformat.read(output, as_version=4).cells
        drawn, printed = cells[-2].outputs, cells[-1].outputs
        assert [kind for made in drawn for kind in made.data if kind.startswith("image/")]
        return printed[0].text.split()

    return run


def test_libraries_are_there_before_the_first_cell(told):
    """Loaded, but not named: the namespace is as empty as ever."""
    line = "import sys; print('torch' in sys.modules, 'torch' in globals(), 'seaborn' in globals())"
    before = "import sys; print('torch' in sys.modules)"
    with forked_kernels():
        assert told(line) == ["True", "False", "False"]
    assert told(before) == ["False"]


def test_a_kernel_has_the_environment_and_the_folder_of_its_own_run(told, toy, monkeypatch):
    line = "import os; print(os.environ.get('HSPEC_TRIED'), os.getcwd(), os.getppid())"
    with forked_kernels():
        for tried in ("first", "second"):
            monkeypatch.setenv("HSPEC_TRIED", tried)
            name, folder, parent = told(line)
            assert (name, folder) == (tried, str(toy.root)) and int(parent) != os.getpid()


def test_what_one_chapter_changes_another_does_not_see(told):
    line = "import seaborn; print(hasattr(seaborn, 'left')); seaborn.left = 1"
    with forked_kernels():
        assert told(line) == told(line) == ["False"]


def test_no_kernel_is_left(told):
    with forked_kernels():
        told("print(1)")
        with pytest.raises(BookError, match="mid-run: Kernel died"):
            told("import os; os._exit(9)")
    assert multiprocessing.active_children() == []
