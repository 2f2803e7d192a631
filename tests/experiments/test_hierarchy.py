"""Separations, silhouettes and verdicts of the hierarchy against closed forms; the measures on a tiny net."""

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_samples

from hspec.chapters.hierarchy.measure import class_geometry, distances, inner_products, silhouettes
from hspec.chapters.hierarchy.verdict import verdict_bulks, verdict_clusters
from hspec.chapters.hierarchy_growth.verdict import verdict_growth
from hspec.curvature import A1, A2, B1, class_means, exact_gauss_newton_spectrum
from hspec.curvature.classes.parts import Level
from hspec.experiments import Recipe, Setting, Store
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.level_spectra import largest, level_spectra
from hspec.experiments.records import Record
from hspec.experiments.separation import level_separation, log_quartiles, separation, separation_of
from hspec.experiments.task import Task

HOLDS, FAILS, INCONCLUSIVE = OUTCOMES
SETTING = Setting(
    model="mlp:8",
    width=1.0,
    image_size=8,
    per_class=6,
    test_per_class=4,
    recipe=Recipe(epochs=5, batch_size=10),
    checkpoints="ladder",
)


def test_quartiles_of_equal_weights_are_numpys_hazen_quantiles():
    values = np.random.default_rng(0).lognormal(size=41)
    expected = np.quantile(np.log10(values), [0.25, 0.5, 0.75], method="hazen")
    np.testing.assert_allclose(log_quartiles(values, np.ones(41)), expected)


def test_quartiles_ignore_what_has_no_logarithm():
    values, weights = np.array([-1.0, 0.0, 1.0, 10.0, 100.0, np.nan]), np.array([1, 1, 1, 1, 1, 0])
    assert log_quartiles(values, weights)[1] == 1.0
    with pytest.raises(ValueError, match="positive values"):
        log_quartiles(values[:2], weights[:2])


def test_separation_of_shifted_groups_is_the_shift_over_the_spread():
    """Two groups of one shape, three decades apart: 3 / IQR, whatever the unit."""
    values = np.logspace(-1, 1, 201)
    iqr = np.diff(np.quantile(np.linspace(-1, 1, 201), [0.25, 0.75], method="hazen"))[0]
    lower, upper = (values, np.ones(201)), (1000 * values, np.ones(201))
    assert separation(upper, lower) == pytest.approx(3 / iqr)
    assert separation(lower, upper) == pytest.approx(-3 / iqr)
    assert separation((7 * upper[0], upper[1]), (7 * lower[0], lower[1])) == pytest.approx(3 / iqr)


def test_level_separation_is_that_above_the_floor_and_its_error_is_over_probes():
    upper, nodes = np.logspace(1, 2, 11), np.tile(np.r_[0.0, 1e-9, np.logspace(-2, 0, 11)], (3, 1))
    weights = np.r_[5.0, 5.0, np.ones(11)][None] * np.ones((3, 1))
    expected = separation((upper, np.ones(11)), (nodes[0, 2:], np.ones(11)))
    options = {"by": "count", "floor": 1e-4}
    assert level_separation(upper, nodes, weights, **options) == (pytest.approx(expected), pytest.approx(0))
    assert np.isnan(level_separation(upper, nodes[:1], weights[:1], **options)[1])


def test_level_separation_by_trace_weighs_by_eigenvalue_and_needs_no_floor():
    upper, lower = np.logspace(1, 2, 11), np.logspace(-2, 0, 11)
    expected = separation((upper, upper), (lower, lower))
    for zeros in ([], [0.0, -1e-9, 1e-12]):
        nodes = np.r_[zeros, lower][None]
        found, _ = level_separation(upper, nodes, np.ones(nodes.shape), by="trace")
        assert found == pytest.approx(expected)
    with pytest.raises(ValueError, match='by "count" or by "trace"'):
        level_separation(upper, lower[None], np.ones((1, 11)), by="mass")


def test_distances_are_those_of_the_vectors():
    X = np.random.default_rng(1).standard_normal((12, 5))
    plain = np.linalg.norm(X[:, None] - X, axis=-1)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(distances(X @ X.T, "euclidean"), plain, atol=1e-7)
    np.testing.assert_allclose(distances(X @ X.T, "cosine"), 1 - unit @ unit.T, atol=1e-12)


def test_silhouettes_are_those_of_another_library():
    X, labels = np.random.default_rng(2).standard_normal((30, 3)), np.repeat(np.arange(5), 6)
    d = distances(X @ X.T, "euclidean")
    np.testing.assert_allclose(silhouettes(d, labels), silhouette_samples(d, labels, metric="precomputed"))


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return Task(SETTING, Store(tmp_path_factory.mktemp("store")), "test", progress=False)


def test_inner_products_are_those_of_the_means(task):
    means = class_means(task.risk(dtype=torch.float64))
    vectors = means.cross_class_vectors[~torch.eye(10, dtype=torch.bool)]  # (90, p), c major
    both = torch.cat([means.class_vectors, vectors])
    expected = (both @ both.T).numpy()
    np.testing.assert_allclose(
        inner_products(means.gram(), means.shares), expected, atol=1e-12 * np.abs(expected).max()
    )


def test_geometry_measures_the_original_distances(task):
    found = class_geometry(task, epoch=2, num_permutations=19, seed=3)
    means = class_means(task.risk(step=task.step_after(2)))
    inner = inner_products(means.gram(), means.shares)
    d = distances(inner, "euclidean")[10:, 10:]
    np.testing.assert_allclose(
        found["euclidean_silhouette"],
        silhouette_samples(d, found["true_class"], metric="precomputed"),
        atol=1e-5,
    )
    assert found["euclidean_map"].shape == found["cosine_map"].shape == (100, 2)
    assert len(found["euclidean_permuted"]) == 19
    again = class_geometry(task, epoch=2, num_permutations=19, seed=3)
    np.testing.assert_array_equal(found["cosine_map"], again["cosine_map"])


def test_largest_are_the_eigenvalues_of_the_level(task):
    """Against the eigenpairs of the low-rank matrices; two more than B1's rank are filled up with zeros."""
    means = class_means(task.risk(dtype=torch.float64))
    for make, level, rank in ((A1, "class", 10), (A2, "own", 10), (B1, "cross", 80)):
        expected = make(means).eigenpairs().values
        found = largest(Level(means, level, level), rank)
        np.testing.assert_allclose(found[: len(expected)], expected[:rank], atol=1e-12 * expected[0])
    padded = largest(Level(means, "class", "A1"), 12)
    assert (padded[10:] == 0).all()


def test_level_spectra_agree_with_the_gram_route(task):
    """Traces of all four parts, and B2's largest eigenvalue, against the exact spectrum of G without A1, A2, B1."""
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


def cluster_record(true, other, permuted, nearest_right):
    """Four classes of three means, with constant silhouettes."""
    labels = np.repeat(np.arange(4), 3)
    nearest = np.where(np.arange(12) < nearest_right, labels, (labels + 1) % 4)
    spread = np.tile([-0.01, 0, 0.01], 4)
    arrays = {
        "true_class": labels,
        "euclidean_silhouette": true + spread,
        "euclidean_other_silhouette": other + spread,
        "euclidean_permuted": np.full(199, permuted),
        "euclidean_nearest": nearest,
        "num_classes": np.array(4),
    }
    return Record(arrays, {})


@pytest.mark.parametrize(
    ("record", "outcomes"),
    [
        (cluster_record(0.3, -0.1, -0.2, 12), [HOLDS, HOLDS]),
        (cluster_record(-0.1, 0.3, -0.2, 0), [FAILS, FAILS]),
        (cluster_record(0.1, -0.1, 0.2, 6), [FAILS, INCONCLUSIVE]),
    ],
)
def test_verdict_of_clusters(record, outcomes):
    assert [v.outcome for v in verdict_clusters(record)] == outcomes


def test_exact_spectra_replace_the_quadrature_within_the_limit(task):
    within, beyond = (Task(SETTING, task.store, name, progress=False) for name in ("within", "beyond"))
    found = level_spectra(within, epoch=5, num_steps=60, num_probes=8, whole=True, exact_limit=600)
    assert found["exact_B2"].shape == found["exact_G"].shape == (600,)
    assert found["exact_B2"][0] == pytest.approx(np.nanmax(found["B2_nodes"]), rel=1e-3)
    assert "exact_B2" not in level_spectra(beyond, epoch=5, num_steps=2, exact_limit=599)
    record = Record(found, {})
    assert separation_of(record, "B1", "count")[1] == 0.0
    sampled, error = separation_of(record, "B1", "trace", exact=False)
    assert abs(sampled - separation_of(record, "B1", "trace")[0]) <= 3 * error


def level_record(b1_decade: float, a1_decade: float = 3.0, scatter: float = 0.01):
    """B2 around 1 with an interquartile range of one decade, B1 and A1 of the same width so many decades above."""
    values = np.logspace(-1, 1, 41)
    nodes = np.stack([values * 10**-scatter, values * 10**scatter])
    arrays = {
        "A1": values * 10**a1_decade,
        "B1": values * 10**b1_decade,
        "B2_nodes": nodes,
        "B2_weights": np.full(nodes.shape, 1 / 41),
    }
    return Record(arrays, {})


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        (level_record(2.0), HOLDS),
        (level_record(0.2), FAILS),
        (level_record(1.0, scatter=0.3), INCONCLUSIVE),
    ],
)
def test_verdict_of_bulks(record, outcome):
    assert [v.outcome for v in verdict_bulks(record)] == [outcome] * 2


@pytest.mark.parametrize(("sign", "outcome"), [(1, HOLDS), (-1, FAILS)])
def test_verdict_of_growth(sign, outcome):
    epochs, sizes = (1, 2, 5, 10), (10, 20, 40, 80)
    records = {
        Cell(0, size, epoch): level_record(1 + sign * (0.3 * i - 0.1 * j), 3 + sign * (0.3 * i + 0.1 * j))
        for j, size in enumerate(sizes)
        for i, epoch in enumerate(epochs)
    }
    verdicts = verdict_growth(Grid((0,), sizes, epochs, {}), records)
    assert [v.outcome for v in verdicts] == [outcome] * 8


def test_verdict_of_an_empty_grid_is_inconclusive():
    records = {Cell(0, 10, 1): None, Cell(0, 10, 2): None}
    verdicts = verdict_growth(Grid((0,), (10,), (1, 2), {}), records)
    assert [v.outcome for v in verdicts] == [INCONCLUSIVE] * 8
