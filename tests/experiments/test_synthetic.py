"""Synthetic matrices: their laws, and the instrument's quadrature against the exact eigenvalues."""

import numpy as np
import pytest
import torch

from hspec.chapters.instrument.measure import heavy_tailed, spiked, synthetic
from hspec.experiments import Experiment, load_or_run
from hspec.linalg import SpectralMeasure, wasserstein


def test_spikes_leave_the_bulk_where_theory_says():
    """Added to a white Wishart matrix of aspect ratio 1, whose bulk ends at 4, a spike ℓ > 2 lies at ℓ²/(ℓ − 1)."""
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


def test_quadrature_of_the_spiked_matrix_is_its_spectrum(store):
    """Within four standard errors √(2/(p n_v)) of a probe's mean, in units of the spectrum's spread."""
    record = load_or_run(Experiment(synthetic, None, {"num_probes": 2}), store, progress=False)
    assert record["top"] == pytest.approx(record["exact"][:3], rel=1e-10)
    for prefix, values in (("plain_", record["exact"]), ("deflated_", record["exact"][3:])):
        allowed = 4 * values.std() * (2 / (2 * len(values))) ** 0.5
        exact = SpectralMeasure.from_eigenvalues(values)
        assert wasserstein(record.spectrum(prefix), exact) < allowed


def test_unknown_matrix_is_refused(store):
    with pytest.raises(ValueError, match="unknown matrix 'round': choose one of spiked, heavy-tailed"):
        load_or_run(Experiment(synthetic, None, {"matrix": "round"}), store, progress=False)
