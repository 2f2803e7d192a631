"""Analysis of variance against its definition, the means of a tiny net,
and every outcome of a verdict.
"""

import numpy as np
import pytest
import torch

from hspec.chapters.logit_then_class.figures import (
    early_and_late,
    no_effect,
    order_table,
    silhouettes_over_epochs,
    variance_over_epochs,
)
from hspec.chapters.logit_then_class.measure import delta_geometry, effects
from hspec.chapters.logit_then_class.verdict import crossing_epochs, findings, verdict_order
from hspec.curvature import delta_means
from hspec.experiments import Cell, Grid, Recipe, Setting, grid
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.clusters import METRICS, distances, silhouettes
from hspec.experiments.records import Record
from hspec.experiments.task import Task

HOLDS, FAILS, INCONCLUSIVE = OUTCOMES
SETTING = Setting(
    model="mlp:5",
    width=1.0,
    image_size=8,
    classes=4,
    per_class=4,
    test_per_class=2,
    recipe=Recipe(epochs=2, batch_size=8),
)
FIRST, SECOND = np.nonzero(~np.eye(5, dtype=bool))


def additive(class_size, logit_size, noise, seed=0):
    """Inner products of class effect + logit effect + noise, in 400 dimensions."""
    rng = np.random.default_rng(seed)
    parts = [size * rng.standard_normal((5, 400)) for size in (class_size, logit_size)]
    X = parts[0][FIRST] + parts[1][SECOND] + noise * rng.standard_normal((20, 400))
    return X @ X.T, X


def test_an_additive_table_is_explained_by_both_effects_and_a_single_one_by_itself():
    assert effects(additive(1, 1, 0)[0], FIRST, SECOND)[2] == pytest.approx(1)
    np.testing.assert_allclose(effects(additive(1, 0, 0)[0], FIRST, SECOND)[1:], [0, 1], atol=1e-12)
    np.testing.assert_allclose(
        effects(additive(0, 1, 0)[0], FIRST, SECOND)[[0, 2]], [0, 1], atol=1e-12
    )


def test_shares_are_those_of_least_squares():
    inner, X = additive(1, 2, 1)

    def residual(*labels):
        table = np.hstack(
            [np.ones((20, 1)), *((k[:, None] == np.unique(k)).astype(float) for k in labels)]
        )
        return np.sum((X - table @ np.linalg.lstsq(table, X, rcond=None)[0]) ** 2)

    whole = residual()
    expected = np.array(
        [
            residual(SECOND) - residual(FIRST, SECOND),
            residual(FIRST) - residual(FIRST, SECOND),
            whole - residual(FIRST, SECOND),
        ]
    )
    np.testing.assert_allclose(effects(inner, FIRST, SECOND), expected / whole)


def test_what_no_effect_explains_is_its_share_of_the_degrees_of_freedom():
    found = [effects(additive(0, 0, 1, seed)[0], FIRST, SECOND)[2] for seed in range(20)]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - no_effect(5)) < 4 * error


@pytest.fixture(scope="module")
def small(store):
    cells = grid(delta_geometry, SETTING, per_class=[4], epochs=[1, 2], repeats=2)
    return cells, cells.fill(store=store, progress=False)


def test_geometry_is_that_of_the_means_as_vectors(small, store):
    cells, records = small
    cell = Cell(0, 4, 2)
    task = Task(cells.experiments[cell].setting, store, "test", progress=False)
    means = delta_means(task.risk(step=task.step_after(2), dtype=torch.float64))
    X = means.cross_class_vectors[~torch.eye(4, dtype=torch.bool)].numpy()
    d = distances(X @ X.T, "euclidean")
    found = records[cell]
    np.testing.assert_allclose(
        found["euclidean_silhouette"], silhouettes(d, found["true_class"]), atol=1e-4
    )
    np.testing.assert_allclose(
        found["euclidean_other_silhouette"], silhouettes(d, found["other_class"]), atol=1e-4
    )
    np.testing.assert_allclose(
        found["euclidean_effects"],
        effects(X @ X.T, found["true_class"], found["other_class"]),
        atol=1e-4,
    )
    assert found["map"].shape == (16, 2)


def made(differences):
    """A grid of two epochs; differences (repeats, 2) of the silhouette by class less that
    by logit.
    """
    epochs = (1, 10)
    records = {
        Cell(repeat, 4, epoch): Record(
            {
                **{f"{metric}_silhouette": np.array([0.25 + value]) for metric in METRICS},
                **{f"{metric}_other_silhouette": np.array([0.25]) for metric in METRICS},
                "euclidean_effects": np.array([0.3, 0.4, 0.8]),
            },
            {},
        )
        for repeat, row in enumerate(differences)
        for epoch, value in zip(epochs, row, strict=True)
    }
    return Grid(tuple(range(len(differences))), (4,), epochs, {}), records


@pytest.mark.parametrize(
    ("differences", "outcomes"),
    [
        ([(-0.20, 0.30), (-0.21, 0.31), (-0.22, 0.32)], [HOLDS, HOLDS, HOLDS]),
        ([(0.20, -0.30), (0.21, -0.31), (0.22, -0.32)], [FAILS, FAILS, FAILS]),
        ([(0.2, -0.9), (-0.2, 0.9)], [INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE]),
        ([(-0.2, 0.3)], [INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE]),
    ],
)
def test_verdict(differences, outcomes):
    assert [verdict.outcome for verdict in verdict_order(*made(differences))] == 2 * outcomes
    assert len(findings(*made(differences))) == 3


def test_the_crossing_is_where_the_class_leads_for_good():
    ahead = np.array([(-0.2, 0.3), (0.1, 0.2), (0.1, -0.2)])
    assert crossing_epochs(ahead, (1, 10)) == "from epoch 10, 1, never on"


def test_figures_and_table(small):
    for figure in (silhouettes_over_epochs(*small), variance_over_epochs(*small)):
        figure.canvas.draw()
    cells, records = small
    early_and_late(records[Cell(0, 4, 1)], records[Cell(0, 4, 2)]).canvas.draw()
    assert list(order_table(cells, records)["epoch"]) == [1, 2]
