"""The outliers are found, deflated, counted and drawn."""

import numpy as np
import pytest

from hspec.chapters.bulk_and_outliers.figures import (
    bulk_beside_outliers,
    largest_eigenvalues,
    outlier_frame,
)
from hspec.chapters.bulk_and_outliers.measure import spectra_experiments
from hspec.chapters.bulk_and_outliers.verdict import outlier_count, verdict_bulk_and_outliers
from hspec.experiments import Record, Setting, load_or_run
from hspec.keys import canonical
from hspec.training import Recipe

NET = {
    "model": "mlp:8",
    "width": 1.0,
    "image_size": 8,
    "per_class": 10,
    "test_per_class": 5,
    "recipe": Recipe(epochs=8, batch_size=20, learning_rate=0.1),
}


@pytest.fixture(scope="module")
def spectra(store):
    experiments = spectra_experiments(["digits"], NET, {"num_steps": 30})
    return [load_or_run(e, store, progress=False) for e in experiments]


def test_top_eigenvalues_have_converged(spectra):
    for record in spectra:
        assert 1 <= len(record["top"]) <= 3 * int(record["num_classes"]) + 1
        assert (record["top_residuals"] <= 1e-3 * record["top"]).all()
        np.testing.assert_allclose(
            record["outliers"][: len(record["top"])], record["top"][:10], rtol=1e-5
        )


def test_deflated_spectrum_lacks_the_outliers(spectra):
    for record in spectra:
        assert len(record["outliers"]) == int(record["num_classes"])
        assert record.spectrum("deflated_").support[1] < record["outliers"][-1]
        assert record.spectrum("plain_").support[1] == pytest.approx(
            record["outliers"][0], rel=1e-4
        )


def synthetic(top):
    meta = {"setting": canonical(Setting(**NET)), "options": {"split": "train"}}
    arrays = {"top": np.array(top), "num_classes": np.array(3), "num_examples": np.array(30)}
    return Record(arrays, meta)


@pytest.mark.parametrize(
    ("top", "outcome"),
    [
        ([9.0, 8.0, 7.0, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7], "holds"),
        ([9.0, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.68, 0.66], "fails"),
        ([1.3, 1.2, 1.1, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7], "inconclusive at this scale"),
    ],
)
def test_outlier_verdict(top, outcome):
    assert [v.outcome for v in verdict_bulk_and_outliers([synthetic(top)])] == [outcome]


def test_outliers_are_counted_at_the_largest_ratio():
    values = np.concatenate([np.array([9.0, 5.0, 4.0]), np.linspace(1.0, 0.9, 20)])
    count, ratio = outlier_count(np.random.default_rng(0).permutation(values), num_classes=3)
    assert count == 3
    assert ratio == pytest.approx(4.0)


def test_gaps_beyond_three_c_do_not_count():
    values = np.concatenate([np.full(7, 2.0), [1.0], np.full(5, 1e-6)])
    assert outlier_count(values, num_classes=2) == (1, 1.0)
    assert outlier_count(values, num_classes=3)[0] == 8


def test_one_positive_eigenvalue_is_refused():
    with pytest.raises(ValueError, match="at least two positive eigenvalues, got 1"):
        outlier_count(np.array([1.0, -2.0]), num_classes=2)


def test_figures_show_what_was_deflated(spectra):
    figure = bulk_beside_outliers(spectra)
    assert len(figure.axes) == 3 * len(spectra)
    stems = figure.axes[0].collections[0].get_segments()
    np.testing.assert_allclose([s[0][0] for s in stems], spectra[0]["outliers"])
    assert len(largest_eigenvalues(spectra).axes[0].lines) == len(spectra) + 1
    assert len(outlier_frame(spectra)) == sum(len(r["top"]) for r in spectra)
