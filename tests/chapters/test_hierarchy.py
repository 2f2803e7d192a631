"""Distances and silhouettes against other libraries, the means of a tiny net,
and every outcome of a verdict.
"""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_samples

from hspec.chapters.hierarchy.figures import clusters_of_nets, map_of_means, maps_of_nets
from hspec.chapters.hierarchy.measure import class_geometry
from hspec.chapters.hierarchy.verdict import verdict_bulks, verdict_clusters
from hspec.curvature import class_means
from hspec.experiments import Recipe, Setting, Store
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.clusters import distances, inner_products, silhouettes
from hspec.experiments.records import Record
from hspec.papers.nets import stored_of

ROOT = Path(__file__).parents[2]
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


def test_a_legend_has_the_names_of_classes_that_a_reader_knows():
    published = Store(published=ROOT / "data/results").published_records(class_geometry)
    legends = []
    for record in published:
        figure = map_of_means(record)
        legends += [text.get_text() for key in figure.legends for text in key.get_texts()]
        plt.close(figure)
    assert "0  tench" in legends and "9  parachute" in legends
    assert not [text for text in legends if re.search(r"n\d{8}", text)]


def test_nets_stand_side_by_side():
    """In the order of the papers' list; the table says what each map is of."""
    dense = stored_of("densenet40", "geometry", Store(published=ROOT / "data/results"))
    assert dense and all(record.setting.model == "densenet40" for record in dense)
    figure, frame = maps_of_nets(dense), clusters_of_nets(dense)
    titles = [axis.get_title() for axis in figure.axes]
    plt.close(figure)
    assert titles == [
        f"{net}, {data}" for net, data in zip(frame["net"], frame["data"], strict=True)
    ]
    assert titles[0] == "DenseNet40, MNIST"


def test_distances_are_those_of_the_vectors():
    X = np.random.default_rng(1).standard_normal((12, 5))
    plain = np.linalg.norm(X[:, None] - X, axis=-1)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(distances(X @ X.T, "euclidean"), plain, atol=1e-7)
    np.testing.assert_allclose(distances(X @ X.T, "cosine"), 1 - unit @ unit.T, atol=1e-12)


def test_silhouettes_are_those_of_another_library():
    X, labels = np.random.default_rng(2).standard_normal((30, 3)), np.repeat(np.arange(5), 6)
    d = distances(X @ X.T, "euclidean")
    np.testing.assert_allclose(
        silhouettes(d, labels), silhouette_samples(d, labels, metric="precomputed")
    )


def test_inner_products_are_those_of_the_means(risk):
    means = class_means(risk)
    vectors = means.cross_class_vectors[~torch.eye(10, dtype=torch.bool)]  # (90, p), c major
    both = torch.cat([means.class_vectors, vectors])
    expected = (both @ both.T).numpy()
    np.testing.assert_allclose(
        inner_products(means.gram(), means.shares), expected, atol=1e-12 * np.abs(expected).max()
    )


def test_geometry_measures_the_original_distances(task):
    second = task("second epoch")
    found = class_geometry(second, epoch=2, num_permutations=19, seed=3)
    means = class_means(second.risk(step=second.step_after(2)))
    inner = inner_products(means.gram(), means.shares)
    d = distances(inner, "euclidean")[10:, 10:]
    np.testing.assert_allclose(
        found["euclidean_silhouette"],
        silhouette_samples(d, found["true_class"], metric="precomputed"),
        atol=1e-5,
    )
    assert found["euclidean_map"].shape == found["cosine_map"].shape == (100, 2)
    assert len(found["euclidean_permuted"]) == 19
    again = class_geometry(second, epoch=2, num_permutations=19, seed=3)
    np.testing.assert_array_equal(found["cosine_map"], again["cosine_map"])


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


@pytest.mark.parametrize(
    ("decades", "scatter", "outcome"),
    [
        (2.0, 0.01, HOLDS),
        (-2.0, 0.01, HOLDS),
        (0.2, 0.01, FAILS),
        (-0.2, 0.01, FAILS),
        (1.0, 0.3, INCONCLUSIVE),
        (-1.0, 0.3, INCONCLUSIVE),
    ],
)
def test_verdict_of_bulks(level_record, decades, scatter, outcome):
    by_trace, by_number = verdict_bulks(level_record(decades, scatter=scatter))
    assert by_trace.outcome == outcome
    assert by_number.outcome == INCONCLUSIVE and "above other floors" not in by_number.value


@pytest.mark.parametrize(("decades", "outcome"), [(2.0, HOLDS), (0.2, FAILS)])
def test_by_number_only_exact_spectra_decide(level_record, decades, outcome):
    record = level_record(decades)
    exact = Record({**record.arrays, "exact_B2": np.logspace(-1, 1, 41)}, {})
    _, by_number = verdict_bulks(exact)
    assert by_number.outcome == outcome
    assert "above other floors" in by_number.value
