"""A notebook that was given a name it does not know, or a value of another type,
stops with an error.
"""

from pathlib import Path

import papermill
import pytest

from hspec.parameters import check_parameters

NOTEBOOK = """\
steps: int = 90
rate: float = 0.1
datasets: list[str] = ["digits"]
limit: int | None = None
num_probes: int = 3
per_class: list[int] = [10]
sample_per_class: int = 0
"""


def run(injected, *, heading="# Parameters"):
    """The notebook's variables after its own parameters and those that papermill injects."""
    cells = [NOTEBOOK, f"{heading}\n{injected}"]
    namespace = {"In": ["", *cells]}
    for cell in cells:
        exec(cell, namespace)
    return namespace


@pytest.mark.parametrize(
    "injected",
    [
        "",
        "steps = 3",
        "sample_per_class = 0",
        "rate = 2\ndatasets = ['MNIST', 'digits']",
        "limit = 4",
    ],
)
def test_what_fits_passes(injected):
    check_parameters(run(injected))


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ("stepz = 3", r"unknown parameter 'stepz' \(did you mean 'steps'\?\)"),
        ("zzz = 3", r"unknown parameter 'zzz'\."),
        ("steps = 2.5", r"steps must be int, got 2.5 \(float\)"),
        ("steps = True", r"steps must be int, got True"),
        (
            "datasets = '[MNIST]'",
            r"got '\[MNIST\]' \(str\): papermill's -p takes it for text; write -y 'datasets: \[M",
        ),
        ("num_probes = 0", "num_probes must be at least 1, not 0"),
        ("per_class = [10, -3]", r"per_class must be at least 1, not \[10, -3\]"),
        ("datasets = []", "datasets must name at least one"),
        ("limit = 'some'", r"limit must be int or NoneType, got 'some'"),
        (
            "stepz = 3\nrate = None",
            r"(?s)stepz.*; rate must be float.*steps: int\n.*datasets: list\[str\]",
        ),
    ],
)
def test_what_does_not_is_refused_with_the_parameters(injected, message):
    with pytest.raises(ValueError, match=message):
        check_parameters(run(injected))


def test_cells_that_a_reader_adds_are_nobodys_business():
    check_parameters(run("mine = 3", heading="# my own cell"))


def test_papermill_ends_with_the_error(tmp_path):
    notebook = Path(__file__).parents[1] / "notebooks" / "instrument.ipynb"
    with pytest.raises(papermill.PapermillExecutionError, match="unknown parameter 'epoch'"):
        papermill.execute_notebook(
            notebook, tmp_path / "out.ipynb", {"epoch": 2}, kernel_name="python3"
        )
