"""Interruptions and bad files: nothing is lost, nothing foreign or damaged is taken."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from hspec.training import CheckpointError, Recipe, train
from hspec.training.trainer import Trainer


def start(problem, folder=None, **settings):
    arguments = {"test_set": problem.test_set, "progress": False, "checkpoints": [2, 7]} | settings
    return train(
        problem.model, problem.train_set, problem.recipe, folder or problem.folder, **arguments
    )


def assert_same_run(a, b, model):
    assert a.steps == b.steps and a.history.keys() == b.history.keys()
    assert all(np.array_equal(a.history[k], b.history[k]) for k in a.history)
    for step in a.steps:
        first, second = a.load(step, model).state_dict(), b.load(step, model).state_dict()
        assert all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture
def interrupt(monkeypatch):
    """interrupt(step): make the next training stop as by Ctrl-C before its update `step`."""
    advance = Trainer.advance

    def at(step):
        def stopping(self):
            if self.step == step:
                monkeypatch.setattr(Trainer, "advance", advance)
                raise KeyboardInterrupt
            advance(self)

        monkeypatch.setattr(Trainer, "advance", stopping)

    return at


@pytest.mark.parametrize("batch_norm", ["batch", "population"])
@pytest.mark.parametrize("save_every", [0, 1000])
def test_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one(
    problem, tmp_path, interrupt, save_every, batch_norm
):
    problem.recipe = Recipe(
        epochs=4, batch_size=16, learning_rate=0.1, batch_norm=batch_norm, population_every=3
    )
    whole = start(problem, tmp_path / "whole")
    for step in (1, 6, 9, 15):
        interrupt(step)
        with pytest.raises(KeyboardInterrupt) as stopped:
            start(problem, save_every=save_every)
        assert f"Training stopped at step {step}" in stopped.value.__notes__[0]
    assert_same_run(start(problem), whole, problem.model)


SCRIPT = """
import sys
from hspec import data
from hspec.training import Recipe, train
sys.path.insert(0, sys.argv[1])
from conftest import make_model
sets = [data.load("digits", split, per_class=n, image_size=8) for split, n in (("train", 6),
("test", 4))]
recipe = Recipe(steps=100_000, batch_size=16, learning_rate=0.1, drops=())
train(make_model(), sets[0], recipe, sys.argv[2], checkpoints=[2, 7], test_set=sets[1],
progress=False, save_every=0)
"""


def test_killed_process_leaves_only_whole_files(problem, tmp_path):
    """kill −9 while files are being written all the time:
    the state left behind is that of an undisturbed run.
    """
    here = str(Path(__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, here, str(problem.folder)])
    state = problem.folder / "state.pt"
    deadline = time.monotonic() + 300  # of a busy machine
    while not (problem.folder / "step-00000007.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = torch.load(state, weights_only=True)["step"]
    assert reached >= 7
    recipe = {"batch_size": 16, "learning_rate": 0.1, "drops": ()}
    whole = train(
        problem.model,
        problem.train_set,
        Recipe(steps=reached, **recipe),
        tmp_path / "whole",
        test_set=problem.test_set,
        progress=False,
    ).load("last", problem.model)
    left = torch.load(state, weights_only=True)["model"]
    assert all(torch.equal(left[k], v) for k, v in whole.state_dict().items())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda p: setattr(p, "recipe", Recipe(epochs=4, batch_size=16, learning_rate=0.2)),
            "learning_rate: 0.1 there",
        ),
        (lambda p: p.model[0].weight.data.mul_(2), "initial model"),
        (lambda p: setattr(p, "train_set", p.test_set), "training set"),
        (lambda p: setattr(p, "test_set", None), "test set"),
    ],
)
def test_folder_of_another_run_is_refused(problem, change, named):
    start(problem)
    change(problem)
    with pytest.raises(
        CheckpointError, match=f"state.pt belongs to another run .*{named}.*use another folder"
    ):
        start(problem)


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "altered":
        at = content.find(
            torch.load(path, weights_only=True)["model"]["0.weight"].numpy().tobytes()
        )
        assert at > 0
        content[at] ^= 1
        path.write_bytes(content)
    elif how == "foreign":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize("how", ["truncated", "altered", "foreign", "empty"])
def test_damaged_file_is_named(problem, how):
    run = start(problem)
    damage(problem.folder / "step-00000007.pt", how)
    with pytest.raises(CheckpointError, match=r"step-00000007.pt is damaged.*delete it"):
        run.load(7, problem.model)
    run.load(2, problem.model)
    damage(problem.folder / "state.pt", how)
    with pytest.raises(CheckpointError, match=r"state.pt is damaged.*delete it"):
        start(problem)
    (problem.folder / "state.pt").unlink()
    start(problem).load(7, problem.model)


@pytest.mark.parametrize(
    "change",
    [
        {"step": -3},
        {"step": "7"},
        {"step": 10**6},
        {"identity": []},
        {"model": {"a": 1}},
        {"history": None},
    ],
    ids=str,
)
def test_a_sound_file_with_other_content_is_refused(problem, change):
    """Not trained on for ever, nor ended in an error of another place."""
    start(problem)
    path = problem.folder / "state.pt"
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(CheckpointError, match=r"state.pt is (damaged|no state).*delete it"):
        start(problem)


def test_nan_in_a_checkpoint_is_named(problem):
    run = start(problem)
    path = problem.folder / "step-00000007.pt"
    content = torch.load(path, weights_only=True)
    content["model"]["5.bias"][3] = float("nan")
    torch.save(content, path)
    with pytest.raises(
        CheckpointError, match=r"step-00000007.pt holds NaN or infinite numbers in 5.bias"
    ):
        run.load(7, problem.model)


def test_checkpoint_does_not_fit_another_model(problem):
    run = start(problem)
    with pytest.raises(CheckpointError, match="was made by another model"):
        run.load(7, torch.nn.Linear(2, 2))


def test_full_disk_is_one_message_and_keeps_what_was_saved(problem, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    def fill_the_disk(self):
        monkeypatch.setattr(os, "fsync", full)
        advance(self)

    advance = Trainer.advance
    monkeypatch.setattr(Trainer, "advance", fill_the_disk)
    with pytest.raises(
        CheckpointError, match=r"cannot be written.*No space left.*earlier checkpoints are kept"
    ):
        start(problem, checkpoints=[0, 1])
    assert sorted(p.name for p in problem.folder.iterdir()) == ["state.pt", "step-00000000.pt"]
