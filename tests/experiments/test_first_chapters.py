"""The measures, verdicts and figures of the first two chapters, on nets of a few dozen units."""

import numpy as np
import pytest

from hspec.chapters.bulk_and_outliers.figures import bulk_beside_outliers, largest_eigenvalues, outlier_frame
from hspec.chapters.bulk_and_outliers.measure import spectra_experiments
from hspec.chapters.bulk_and_outliers.verdict import verdict_bulk_and_outliers
from hspec.chapters.instrument.figures import exact_and_estimated, ghosts
from hspec.chapters.instrument.measure import between, instrument
from hspec.chapters.instrument.verdict import band_violations, errors, ghost_copies, verdict_instrument
from hspec.experiments import Experiment, Record, Setting, Store, load_or_run
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
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return Store(folder, folder / "published")


@pytest.fixture(scope="module")
def measured(store):
    options = {"num_steps": 90, "num_probes": 3}
    return load_or_run(Experiment(instrument, Setting(**NET), options), store, progress=False)


@pytest.fixture(scope="module")
def spectra(store):
    experiments = spectra_experiments(["digits"], NET, {"num_steps": 30})
    return [load_or_run(e, store, progress=False) for e in experiments]


def test_ends_of_the_spectrum_are_exact(measured):
    assert errors(measured, "double")["top"] < 1e-9
    assert errors(measured, "single")["top"] < 1e-4


def test_band_contains_the_exact_cdf_and_the_check_can_fail(measured):
    outside, total = band_violations(measured)
    assert outside == 0
    assert total > 60
    shifted = Record(measured.arrays | {"exact_cdf": measured["exact_cdf"] + 0.2}, measured.meta)
    assert band_violations(shifted)[0] > 0


def test_exact_probe_cdf_ends_at_one(measured):
    last = [
        row[np.isfinite(points)][-1]
        for row, points in zip(measured["exact_cdf"], measured["edges"], strict=True)
    ]
    np.testing.assert_allclose(last, 1.0, atol=1e-12)


def test_ghosts_appear_only_without_reorthogonalisation(measured):
    bare, full = ghost_copies(measured)
    assert full == 1
    assert bare > 1


def test_points_between_nodes_end_before_the_padding():
    points = between(np.array([0.0, 1.0, 3.0, np.nan]))
    np.testing.assert_allclose(points[:7], [-0.03, 0.0, 0.5, 1.0, 2.0, 3.0, 3.03])
    assert np.isnan(points[7:]).all()


def test_instrument_verdicts_can_fail(measured):
    assert [v.outcome for v in verdict_instrument(measured)][-1] == "holds"
    wrong = Record(measured.arrays | {"double_nodes": measured["double_nodes"] * 1.5}, measured.meta)
    assert "fails" in [v.outcome for v in verdict_instrument(wrong)]


def test_top_eigenvalues_have_converged(spectra):
    for record in spectra:
        assert 1 <= len(record["top"]) <= 3 * int(record["num_classes"]) + 1
        assert (record["top_residuals"] <= 1e-3 * record["top"]).all()
        np.testing.assert_allclose(record["outliers"][: len(record["top"])], record["top"][:10], rtol=1e-5)


def test_deflated_spectrum_lacks_the_outliers(spectra):
    for record in spectra:
        assert len(record["outliers"]) == int(record["num_classes"])
        assert record.spectrum("deflated_").support[1] < record["outliers"][-1]
        assert record.spectrum("plain_").support[1] == pytest.approx(record["outliers"][0], rel=1e-4)


def synthetic(top):
    meta = {"setting": canonical(Setting(**NET)), "options": {"split": "train"}}
    return Record({"top": np.array(top), "num_classes": np.array(3)}, meta)


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


def test_figures_show_what_they_should(measured, spectra):
    density, cdf = exact_and_estimated(measured).axes
    assert len(density.lines) == 2
    assert cdf.collections
    assert len(ghosts(measured).axes[0].get_yticklabels()) == 3
    figure = bulk_beside_outliers(spectra)
    assert len(figure.axes) == 3 * len(spectra)
    stems = figure.axes[0].collections[0].get_segments()
    np.testing.assert_allclose([s[0][0] for s in stems], spectra[0]["outliers"])
    assert len(largest_eigenvalues(spectra).axes[0].lines) == len(spectra) + 1
    assert len(outlier_frame(spectra)) == sum(len(r["top"]) for r in spectra)
