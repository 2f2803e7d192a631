"""The task cuts samples into batches that fit in memory; no matrix depends on the cut,
unless batch statistics do.
"""

import hashlib
from dataclasses import replace

import pytest
import torch

from hspec.curvature import hessian
from hspec.experiments import Recipe, Setting, task
from hspec.experiments.task import Task
from hspec.experiments.training_spectrum import training_spectrum

SETTING = Setting(
    model="vgg11",
    width=0.03125,
    image_size=32,
    per_class=3,
    test_per_class=1,
    recipe=Recipe(epochs=1, batch_size=10),
)


@pytest.fixture
def small(store):
    return Task(SETTING, store, "task", progress=False)


def sizes(risk):
    return [len(y) for _, y in risk.data.source]


def test_batches_hold_so_many_pixels(small, monkeypatch):
    whole = small.risk(dtype=torch.float64)
    assert sizes(whole) == [30]
    monkeypatch.setattr(task, "BATCH_PIXELS", 12 * 32**2)
    cut = small.risk(dtype=torch.float64)
    assert sizes(cut) == [12, 12, 6]
    v = torch.ones(whole.num_parameters, dtype=torch.float64)
    torch.testing.assert_close(hessian(cut) @ v, hessian(whole) @ v)
    monkeypatch.setattr(task, "BATCH_PIXELS", 1)
    assert sizes(small.risk(per_class=1)) == [1] * 10


@pytest.mark.parametrize(
    ("mode", "expected"), [("batch", [15, 15]), ("eval", [30]), ("population", [30])]
)
def test_only_batch_statistics_fix_the_partition(small, monkeypatch, mode, expected):
    seen, make = [], small.risk
    monkeypatch.setattr(
        small, "risk", lambda *args, **options: seen.append(make(*args, **options)) or seen[-1]
    )
    options = {"num_steps": 2, "num_probes": 1, "num_top": 1}
    training_spectrum(small, step=3, batch_norm=mode, batch_size=15, **options)
    assert [sizes(risk) for risk in seen] == [expected]


def test_a_net_given_by_file_is_measured_as_it_comes(small, store, tmp_path, monkeypatch):
    """No epoch, the file's weights, in eval mode, and a gradient that is theirs."""
    monkeypatch.setenv("HSPEC_DATA", str(tmp_path))
    trained = small.model()
    torch.save(trained.state_dict(), tmp_path / "net.pt")
    checksum = hashlib.sha256((tmp_path / "net.pt").read_bytes()).hexdigest()
    setting = replace(
        SETTING, recipe=Recipe(epochs=0), weights="net.pt", weights_sha256=checksum, init_seed=1
    )
    task = Task(setting, store, "from file", progress=False)
    assert task.run.steps == (0,)
    loaded = task.model().state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in trained.state_dict().items())
    assert torch.equal(task.risk().gradient(), small.risk().gradient())
