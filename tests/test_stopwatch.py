"""Seconds are those of all the work, also of work that was interrupted and gone on with."""

import doctest
import time

import numpy as np
import pytest
import torch
from torch import nn

from hspec import stopwatch
from hspec.experiments import Experiment, Store, load_or_run
from hspec.experiments.measure import measure
from hspec.stopwatch import Stopwatch
from hspec.yours import spectrum

PAUSE = 0.2


def test_the_example_runs():
    assert doctest.testmod(stopwatch).failed == 0


def test_a_killed_process_leaves_its_seconds(tmp_path, monkeypatch):
    """They are written while the block runs, without its help."""
    monkeypatch.setattr(stopwatch, "EVERY", 0.05)
    with Stopwatch(tmp_path / "work" / "seconds") as watch:
        time.sleep(PAUSE)
        left = float((tmp_path / "work" / "seconds").read_text())
        assert PAUSE / 2 < left <= watch.seconds


def test_what_was_refused_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="refused"), Stopwatch(tmp_path / "work" / "seconds"):
        raise ValueError("refused")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_a_record_has_the_seconds_before_its_interruption(tmp_path, interruption):
    @measure(version=1)
    def interrupted_once(task):
        half_way = task.folder / "half-way"
        if not half_way.exists():
            half_way.touch()
            time.sleep(PAUSE)
            raise interruption
        return {"x": np.ones(1)}

    experiment, store = Experiment(interrupted_once), Store(tmp_path / "store", tmp_path / "none")
    with pytest.raises(interruption):
        load_or_run(experiment, store, progress=False)
    assert load_or_run(experiment, store, progress=False).meta["seconds"] >= PAUSE
    assert not any((tmp_path / "store" / "unfinished").iterdir())


def test_a_spectrum_that_goes_on_has_the_seconds_of_its_products(tmp_path):
    """It counts the products from the checkpoint, so it counts their seconds."""
    net, x = nn.Linear(40, 20), torch.randn(30, 40, generator=torch.Generator().manual_seed(0))
    batches, options = [(x, torch.arange(30) % 20)], {"matrices": ("G",), "top": 2, "steps": 20}

    def slow(self, inputs, output):
        time.sleep(PAUSE)

    hook = net.register_forward_hook(slow)
    first = spectrum(net, batches, checkpoint=tmp_path, **options)["G"]
    hook.remove()
    again = spectrum(net, batches, checkpoint=tmp_path, **options)["G"]
    assert first.products == again.products
    assert again.seconds > first.seconds


def test_a_dense_spectrum_starts_anew_and_counts_anew(tmp_path, monkeypatch):
    """It keeps no products, so that a second call spends all of them again."""
    monkeypatch.setattr(stopwatch, "EVERY", 0.001)
    net, x = nn.Linear(4, 3), torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        found = spectrum(net, [(x, torch.arange(9) % 3)], checkpoint=tmp_path, matrices=("G",))["G"]
        assert found.is_exact
        assert not list(tmp_path.rglob("seconds"))
