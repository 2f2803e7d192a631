"""Workers that are killed: what they leave is gone on with,
and the records are those of workers that lived.
"""

import os
import signal
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

import hspec
from benchmarks.tasks.sweeps import WORKING
from hspec import cli
from hspec.chapters.measures import MEASURES
from hspec.commands.submission import Worker, submit
from hspec.experiments import Store
from hspec.experiments.store import Held
from hspec.experiments.sweep import fill, sweep_grid

PROCESSES = get_context("fork")


@pytest.fixture(scope="module")
def experiments():
    return list(sweep_grid(WORKING, MEASURES).experiments.values())


@pytest.fixture(scope="module")
def undisturbed(experiments, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.mktemp("none"))
    assert fill(experiments, store, progress=False) == 4
    return store


def work(experiments, store):
    torch.set_num_threads(1)  # a forked process has none of its parent's threads
    fill(experiments, store, progress=False)


def killed(experiments, store, seconds):
    """Start a worker, and end it so that it cannot say goodbye."""
    worker = PROCESSES.Process(target=work, args=(experiments, store))
    worker.start()
    time.sleep(seconds)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()


def test_records_are_those_of_workers_that_lived(experiments, undisturbed, tmp_path, monkeypatch):
    """One that dies before its claim says whose it is leaves an empty one, taken when stale."""
    monkeypatch.setattr("hspec.experiments.store.HEARTBEAT", 0.5)
    monkeypatch.setattr("hspec.experiments.store.STALE_AFTER", 3.0)
    store = Store(tmp_path / "store", tmp_path / "none")
    for seconds in np.random.default_rng(0).uniform(0.02, 0.6, 4):
        killed(experiments, store, seconds)
    fill(experiments, store, progress=False)
    for experiment in experiments:
        mine, right = (s.get(experiment.measure, experiment.key) for s in (store, undisturbed))
        assert mine.arrays.keys() == right.arrays.keys()
        for name, array in right.arrays.items():
            assert np.array_equal(mine[name], array), (experiment.options, name)
    assert store.claims() == {}
    assert not any((store.root / "unfinished").iterdir())


def test_what_is_left_of_a_finished_cell_is_removed(experiments, undisturbed, tmp_path):
    """By a worker killed when it had written its record and not yet given back its claim."""
    store = Store(tmp_path / "store", tmp_path / "none")

    def die_when_written(record):
        Store.put(store, record)
        os.kill(os.getpid(), signal.SIGKILL)

    dying = Store(store.root, store.published)
    dying.put = die_when_written
    worker = PROCESSES.Process(target=work, args=(experiments[:1], dying))
    worker.start()
    worker.join()
    (experiment,) = experiments[:1]
    assert list(store.claims()) == [experiment.name]
    assert [folder.name for folder in (store.root / "unfinished").iterdir()] == [experiment.key]
    assert fill(experiments[:1], store, progress=False) == 0
    assert store.claims() == {}
    assert not any((store.root / "unfinished").iterdir())


def test_of_a_living_worker_nothing_is_removed(experiments, undisturbed, tmp_path):
    experiment = experiments[0]
    store = Store(tmp_path / "store", tmp_path / "none")
    store.put(undisturbed.get(experiment.measure, experiment.key))
    holder = Store(store.root, store.published)
    with holder.claimed(experiment.name):
        holder.unfinished(experiment.key).mkdir(parents=True)
        assert fill([experiment], store, progress=False) == 0
        assert list(store.claims()) == [experiment.name]
        assert holder.unfinished(experiment.key).is_dir()


def test_an_empty_claim_is_waited_for_no_longer_than_a_sign_of_life(monkeypatch, tmp_path):
    """What a worker leaves that is killed between making its claim and writing into it."""
    monkeypatch.setattr("hspec.experiments.store.HEARTBEAT", 0.5)
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "one.claim").touch()
    with pytest.raises(Held), Store(tmp_path, tmp_path / "none").claimed("one", wait=False):
        pass
    with Store(tmp_path, tmp_path / "none").claimed("one"):
        assert (tmp_path / "claims" / "one.claim").stat().st_size


def test_status_tells_whose_claims_are_stale(undisturbed, monkeypatch, tmp_path, capsys):
    """In the clone itself: where nobody's sign of life has come for long, it says so."""
    monkeypatch.setenv("HSPEC_STORE", str(tmp_path / "store"))
    with Store().claimed("level_spectra-abc"):
        (claim,) = (tmp_path / "store" / "claims").iterdir()
        long_ago = time.time() - 10_000
        os.utime(claim, (long_ago, long_ago))
        assert cli.main(["status"]) == 0
    told = capsys.readouterr().out
    assert "growth: 0 of 300 cells are in the store" in told
    assert f"claimed: level_spectra-abc by process {os.getpid()} on " in told
    assert "stale" in told.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("cluster", "workers"), [("debug", 1), ("local", 2)])
def test_slurm_is_a_door_to_workers(tmp_path, monkeypatch, capsys, cluster, workers):
    """Workers within this process, and workers that submitit starts on this machine."""
    pytest.importorskip("submitit")
    monkeypatch.setenv("HSPEC_STORE", str(tmp_path / "store"))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(hspec.__file__).parents[1]), *sys.path])
    )
    file = tmp_path / "small.yaml"
    file.write_text(
        str(WORKING | {"per_class": [3], "epochs": [1]})
    )  # JSON is YAML, and so is this
    jobs = submit(file, f"cluster={cluster},workers={workers},hours=1", tmp_path / "logs")
    assert [job.result() for job in jobs] == [0] * workers
    assert cli.main(["sweep", str(file), "--status"]) == 0
    assert "small: 1 of 1 cells are in the store" in capsys.readouterr().out


def test_words_for_slurm_are_looked_at(tmp_path, capsys):
    submitit = pytest.importorskip("submitit")
    file = tmp_path / "small.yaml"
    file.write_text(str(WORKING | {"per_class": [3], "epochs": [1]}))
    assert isinstance(Worker(("hspec", "sweep")).checkpoint(), submitit.helpers.DelayedSubmission)
    for text, said in {
        "workers": "write names with values",
        "workers=few": "workers is a whole number of at least 1, not few",
        "workers=2": "slurm",  # there is none here
    }.items():
        assert cli.main(["sweep", str(file), "--slurm", text]) == 1
        assert said in capsys.readouterr().err.lower()


def test_without_submitit_the_remedy_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("hspec.extras.find_spec", lambda name: None)
    file = tmp_path / "small.yaml"
    file.write_text(str(WORKING | {"per_class": [3], "epochs": [1]}))
    assert cli.main(["sweep", str(file), "--slurm", "workers=2"]) == 1
    assert "needs submitit: pip install 'hspec[slurm]'" in capsys.readouterr().err
