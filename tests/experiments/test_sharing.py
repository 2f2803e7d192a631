"""Several processes share a list of experiments: each cell is measured once,
and nobody waits for a training.
"""

import os
import time
from multiprocessing import get_context

import pytest
import torch

from hspec.experiments import Experiment, Setting, Store, load_or_run, load_or_run_all
from hspec.experiments import experiment as module
from hspec.experiments import task as task_module
from hspec.experiments.grid import grid
from hspec.experiments.measure import measure
from hspec.experiments.store import Held
from hspec.training import Recipe

PROCESSES = get_context("fork")


@measure(version=1)
def slow(task, *, epoch: int | None = None):
    trained = task.run
    time.sleep(0.1)
    note(task.store, "cells", f"{task.setting.per_class}-{epoch} {os.getpid()}")
    return {"x": trained}


def train_slowly(model, images, recipe, folder, **_):
    if not (folder / "done").exists():
        time.sleep(0.3)
        note(Store(folder.parents[1]), "trainings", folder.name)
        folder.mkdir(parents=True)
        (folder / "done").touch()
    return 1.0


def note(store, name, line):
    with (store.root / name).open("a") as file:
        file.write(line + "\n")


def noted(store, name):
    return (store.root / name).read_text().splitlines()


@pytest.fixture(autouse=True)
def slow_world(monkeypatch):
    monkeypatch.setattr(task_module.training, "train", train_slowly)
    monkeypatch.setattr(module, "POLL", 0.02)


BASE = Setting(model="mlp:4", recipe=Recipe(epochs=20))


def two_workers(work, *arguments):
    workers = [PROCESSES.Process(target=work, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]


def fill(plane, root):
    torch.set_num_threads(
        1
    )  # a forked process has none of its parent's threads, and would wait for them
    records = plane.fill(store=Store(root), progress=False)
    assert None not in records.values()


def test_two_workers_share_a_grid(store):
    plane = grid(slow, BASE, per_class=[10, 20], epochs=[2, 5, 10])
    two_workers(fill, plane, store.root)
    cells, workers = zip(*(line.split() for line in noted(store, "cells")), strict=True)
    assert sorted(cells) == sorted(f"{size}-{epoch}" for size in (10, 20) for epoch in (2, 5, 10))
    assert len(set(workers)) == 2
    assert len(noted(store, "trainings")) == len(set(noted(store, "trainings"))) == 2
    assert list((store.root / "claims").iterdir()) == []


def test_when_a_net_is_trained_both_share_what_is_measured_of_it(store):
    plane = grid(slow, BASE, per_class=[10], epochs=[1, 2, 5, 10, 20])
    two_workers(fill, plane, store.root)
    assert len({line.split()[1] for line in noted(store, "cells")}) == 2
    assert len(noted(store, "cells")) == 5


def test_records_come_in_the_order_of_the_experiments(store):
    experiments = [Experiment(slow, BASE, {"epoch": epoch}) for epoch in (5, 2, 10)]
    load_or_run(experiments[2], store, progress=False)
    records = load_or_run_all(experiments, store, progress=False)
    assert [record.meta["options"]["epoch"] for record in records] == [5, 2, 10]


@pytest.mark.parametrize("held", ["slow-{key}", "training-{training}"])
def test_who_does_not_want_to_wait_is_told(store, held):
    experiment = Experiment(slow, BASE)
    name = held.format(key=experiment.key, training=BASE.training_key)

    def hold(pipe):
        with store.claimed(name):
            pipe.send("in")
            pipe.recv()

    ours, theirs = PROCESSES.Pipe()
    holder = PROCESSES.Process(target=hold, args=(theirs,))
    holder.start()
    assert ours.recv() == "in"
    with pytest.raises(Held, match=name):
        load_or_run(experiment, store, progress=False, wait=False)
    assert not (store.root / "unfinished").exists()
    ours.send("go")
    holder.join()
    assert load_or_run(experiment, store, progress=False, wait=False)["x"] == 1.0


def test_a_cell_that_fails_is_told_and_free_for_the_next(store):
    @measure(version=1)
    def fails(task):
        raise RuntimeError("no such luck")

    with pytest.raises(RuntimeError, match="no such luck"):
        load_or_run_all([Experiment(fails, BASE)], store, progress=False)
    assert list((store.root / "claims").iterdir()) == []
    assert not list((store.root / "unfinished").glob("*"))
