"""The session on a GPU, tried at toy size: cells are stored, time is kept,
a failure stops nothing.
"""

import tempfile

from benchmarks.gpu_session import WANTED, Step, cells, main, session
from hspec.experiments import Store
from hspec.experiments.level_spectra import level_spectra

TOY = """
measure: level_spectra
setting:
  {dataset: digits, model: "mlp:4", width: 1.0, image_size: 8, test_per_class: 2,
   recipe: {epochs: 1, learning_rate: 0.05}}
per_class: [2]
epochs: [1]
options: {num_steps: 2, num_probes: 1}
"""


def test_cells_are_stored_in_a_session_on_the_cpu(tmp_path, monkeypatch):
    file, store = tmp_path / "toy.yaml", tmp_path / "store"
    file.write_text(TOY)
    monkeypatch.setenv("HSPEC_STORE", str(store))
    outcomes = main(["--minutes", "2", "--only", "cells", "--sweep", str(file)])
    assert outcomes[str(file)].startswith("done")
    assert len(list((Store(store).root / level_spectra.name).iterdir())) == 1


def test_time_is_kept_and_a_failure_stops_nothing():
    steps = [
        Step("bad", ("-c", "raise SystemExit(3)")),
        Step("long", ("-c", "import time; time.sleep(60)")),
        Step("late", ("-c", "")),
    ]
    found = session(steps, 2 / 60, lambda line: None)
    assert found["bad"].startswith("failed (3)") and found["late"] == "not begun"
    assert found["long"].startswith("ended after")


def test_steps_run_beside_each_other():
    """Each waits for the file that another writes: one after the other they would wait for ever."""
    wait = (
        "import pathlib, sys, time\nmine, other = map(pathlib.Path, sys.argv[1:])\nmine.touch()\n"
    )
    wait += "while not other.exists(): time.sleep(0.01)"
    with tempfile.TemporaryDirectory() as folder:
        a, b = f"{folder}/a", f"{folder}/b"
        steps = [Step("a", ("-c", wait, a, b)), Step("b", ("-c", wait, b, a))]
        found = session(steps, 0.5, lambda line: None, at_once=2)
    assert all(outcome.startswith("done") for outcome in found.values())


def test_the_papers_own_fit_comes_first():
    steps = cells(WANTED)
    assert steps[0].arguments == ("-m", "hspec", "measure", "vgg11-mnist-1351")
    assert len({step.name for step in steps}) == len(steps)
