"""What the tests of a chapter measure on: a store for each file, and the toy net of its SETTING."""

import numpy as np
import pytest
import torch

from hspec.experiments import Experiment, Record, Store, load_or_run
from hspec.experiments.task import Task


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return Store(folder, folder / "none")


@pytest.fixture(scope="module")
def setting(request):
    """What the file calls SETTING; None where it needs no net."""
    return getattr(request.module, "SETTING", None)


@pytest.fixture(scope="module")
def task(setting, store):
    """task(name): what a measure of that name is handed. Each has checkpoints of its own; they
    share one trained net.
    """
    return lambda name: Task(setting, store, name, progress=False)


@pytest.fixture(scope="module")
def risk(task):
    """The toy net's risk on its training images, in float64."""
    return task("risk").risk(dtype=torch.float64)


@pytest.fixture(scope="module")
def measured(setting, store):
    """measured(measure, **options): its record, of the file's net unless another is given."""

    def record(measure, setting=setting, **options):
        return load_or_run(Experiment(measure, setting, options), store, progress=False)

    return record


@pytest.fixture(scope="session")
def eigenvalues():
    """eigenvalues(A): of a small operator, descending."""
    return lambda A: torch.linalg.eigvalsh(A.to_dense()).flip(0).numpy()


@pytest.fixture(scope="session")
def drawn():
    """drawn(figure): the same figure, once it has been drawn."""

    def draw(figure):
        figure.canvas.draw()
        return figure

    return draw


@pytest.fixture(scope="session")
def level_record():
    """level_record(b1_decade, a1_decade, scatter): B2 around 1 with an interquartile range of one
    decade, B1 and A1 of the same width so many decades above.
    """

    def record(b1_decade, a1_decade=3.0, scatter=0.01):
        values = np.logspace(-1, 1, 41)
        nodes = np.stack([values * 10**-scatter, values * 10**scatter])
        arrays = {
            "A1": values * 10**a1_decade,
            "B1": values * 10**b1_decade,
            "B2_nodes": nodes,
            "B2_weights": np.full(nodes.shape, 1 / 41),
        }
        return Record(arrays, {})

    return record
