"""The spectra of the parts of G, on a tiny net."""

import numpy as np
import pytest
import torch

from hspec.curvature import A1, A2, B1, class_means, exact_gauss_newton_spectrum
from hspec.curvature.classes.parts import Level
from hspec.experiments import Recipe, Setting, Store
from hspec.experiments.level_spectra import largest, level_spectra
from hspec.experiments.records import Record
from hspec.experiments.separation import separation_of
from hspec.experiments.task import Task

SETTING = Setting(
    model="mlp:8",
    width=1.0,
    image_size=8,
    per_class=6,
    test_per_class=4,
    recipe=Recipe(epochs=5, batch_size=10),
    checkpoints="ladder",
)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return Task(SETTING, Store(tmp_path_factory.mktemp("store")), "test", progress=False)


def test_largest_are_the_eigenvalues_of_the_level(task):
    """Against the eigenpairs of the low-rank matrices;
    two more than B1's rank are filled up with zeros.
    """
    means = class_means(task.risk(dtype=torch.float64))
    for make, level, rank in ((A1, "class", 10), (A2, "own", 10), (B1, "cross", 80)):
        expected = make(means).eigenpairs().values
        found = largest(Level(means, level, level), rank)
        np.testing.assert_allclose(
            found[: len(expected)], expected[:rank], atol=1e-12 * expected[0]
        )
    padded = largest(Level(means, "class", "A1"), 12)
    assert (padded[10:] == 0).all()


def test_level_spectra_agree_with_the_gram_route(task):
    """Traces of all four parts, and B2's largest eigenvalue,
    against the exact spectrum of G without A1, A2, B1.
    """
    found = level_spectra(task, epoch=5, num_steps=60, num_probes=4, whole=True)
    risk = task.risk(step=task.step_after(5), dtype=torch.float64)
    within = exact_gauss_newton_spectrum(risk, without=("A1", "A2", "B1"))
    whole = exact_gauss_newton_spectrum(risk)
    assert np.nanmax(found["B2_nodes"]) == pytest.approx(within[0], rel=1e-4)
    assert np.nanmax(found["G_nodes"]) == pytest.approx(whole[0], rel=1e-4)
    means = sum(found[name].sum() for name in ("A1", "A2", "B1"))
    assert means + within.sum() == pytest.approx(whole.sum(), rel=1e-4)
    assert found["A1"].shape == found["A2"].shape == (10,)
    assert found["B1"].shape == (80,)


def test_exact_spectra_replace_the_quadrature_within_the_limit(task):
    within, beyond = (
        Task(SETTING, task.store, name, progress=False) for name in ("within", "beyond")
    )
    found = level_spectra(within, epoch=5, num_steps=60, num_probes=8, whole=True, exact_limit=600)
    assert found["exact_B2"].shape == found["exact_G"].shape == (600,)
    assert found["exact_B2"][0] == pytest.approx(np.nanmax(found["B2_nodes"]), rel=1e-3)
    assert "exact_B2" not in level_spectra(beyond, epoch=5, num_steps=2, exact_limit=599)
    record = Record(found, {})
    assert separation_of(record, "B1", "count")[1] == 0.0
    sampled, error = separation_of(record, "B1", "trace", exact=False)
    assert abs(sampled - separation_of(record, "B1", "trace")[0]) <= 3 * error
