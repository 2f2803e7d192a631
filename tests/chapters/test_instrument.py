"""The instrument against the exact spectrum of a net, and of matrices that anybody can make."""

import numpy as np
import pytest
import torch

from hspec.chapters.instrument.figures import about_ghosts, exact_and_estimated, ghosts
from hspec.chapters.instrument.measure import (
    GHOST_STEPS,
    between,
    heavy_tailed,
    instrument,
    spiked,
    synthetic,
)
from hspec.chapters.instrument.verdict import (
    band_violations,
    errors,
    ghost_copies,
    verdict_instrument,
)
from hspec.experiments import Record, Setting
from hspec.linalg import SpectralMeasure, wasserstein
from hspec.training import Recipe

SETTING = Setting(
    model="mlp:8",
    width=1.0,
    image_size=8,
    per_class=10,
    test_per_class=5,
    recipe=Recipe(epochs=8, batch_size=20, learning_rate=0.1),
)


@pytest.fixture(scope="module")
def record(measured):
    return measured(instrument, num_steps=90, num_probes=3)


def test_ends_of_the_spectrum_are_exact(record):
    assert errors(record, "double")["top"] < 1e-9
    assert errors(record, "single")["top"] < 1e-4


def test_band_contains_the_exact_cdf_and_the_check_can_fail(record):
    outside, total = band_violations(record)
    assert outside == 0
    assert total > 60
    shifted = Record(record.arrays | {"exact_cdf": record["exact_cdf"] + 0.2}, record.meta)
    assert band_violations(shifted)[0] > 0


def test_exact_probe_cdf_ends_at_one(record):
    last = [
        row[np.isfinite(points)][-1]
        for row, points in zip(record["exact_cdf"], record["edges"], strict=True)
    ]
    np.testing.assert_allclose(last, 1.0, atol=1e-12)


def test_the_caption_of_ghosts_has_their_own_steps(record):
    told = about_ghosts(record)
    assert f"m = {GHOST_STEPS}, probes = 1, seed" in told
    assert "m = 90" not in told and record.options["num_steps"] == 90


def test_ghosts_appear_only_without_reorthogonalisation(record):
    bare, full = ghost_copies(record)
    assert full == 1
    assert bare > 1


def test_points_between_nodes_end_before_the_padding():
    points = between(np.array([0.0, 1.0, 3.0, np.nan]))
    np.testing.assert_allclose(points[:7], [-0.03, 0.0, 0.5, 1.0, 2.0, 3.0, 3.03])
    assert np.isnan(points[7:]).all()


def test_instrument_verdicts_can_fail(record):
    assert [v.outcome for v in verdict_instrument(record)][-1] == "holds"
    judging = [v.quantity for v in verdict_instrument(record) if v.judges]
    assert len(judging) == 2 and "plain" in judging[0] and "band" in judging[1]
    wrong = Record(record.arrays | {"double_nodes": record["double_nodes"] * 1.5}, record.meta)
    assert "fails" in [v.outcome for v in verdict_instrument(wrong)]


def test_spikes_leave_the_bulk_where_theory_says():
    """Added to a white Wishart matrix of aspect ratio 1, whose bulk ends at 4,
    a spike ℓ > 2 lies at ℓ²/(ℓ − 1).
    """
    values = torch.linalg.eigvalsh(spiked(torch.Generator().manual_seed(0))).numpy()[::-1]
    spikes = np.array([5.0, 4.0, 3.0])
    assert values[:3] == pytest.approx(spikes**2 / (spikes - 1), rel=0.03)
    assert values[3] == pytest.approx(4, rel=0.02)


def test_heavy_tails_are_paretos():
    """Of N entries the smallest is about 1, half exceed 2, a tenth exceed 10."""
    Y = heavy_tailed(torch.Generator().manual_seed(0))
    assert Y.shape == (500, 500) and torch.equal(Y, Y.T)
    values = torch.linalg.eigvalsh(Y)
    assert values.min() > 0 and values.max() / values.median() > 1e3


def test_quadrature_of_the_spiked_matrix_is_its_spectrum(measured):
    """Within four standard errors √(2/(p n_v)) of a probe's mean,
    in units of the spectrum's spread.
    """
    record = measured(synthetic, None, num_probes=2)
    assert record["top"] == pytest.approx(record["exact"][:3], rel=1e-10)
    for prefix, values in (("plain_", record["exact"]), ("deflated_", record["exact"][3:])):
        allowed = 4 * values.std() * (2 / (2 * len(values))) ** 0.5
        exact = SpectralMeasure.from_eigenvalues(values)
        assert wasserstein(record.spectrum(prefix), exact) < allowed


def test_unknown_matrix_is_refused(measured):
    with pytest.raises(
        ValueError, match="unknown matrix 'round': choose one of spiked, heavy-tailed"
    ):
        measured(synthetic, None, matrix="round")


def test_figures_show_the_density_the_band_and_the_ghosts(record):
    density, cdf = exact_and_estimated(record).axes
    assert len(density.lines) == 2
    assert cdf.collections
    assert len(ghosts(record).axes[0].get_yticklabels()) == 3
