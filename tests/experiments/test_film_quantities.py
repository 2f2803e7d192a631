import numpy as np
import pytest
import torch

from hspec.experiments.film_quantities import (
    count_below,
    gradient_concentration,
    negative_share,
    rank_ratio,
    sampling_noise,
    spectral_change,
)
from hspec.experiments.training_spectrum import gauss_rule
from hspec.linalg import SpectralMeasure, lanczos

exact = SpectralMeasure.from_eigenvalues


def test_rank_ratio_is_undefined_below_zero_and_where_an_eigenvalue_is_not_known():
    assert rank_ratio([8.0, 2.0, 1.0], 3) == 8.0
    assert np.isnan(rank_ratio([2.0, 1.0, -8.0], 3))
    assert np.isnan(rank_ratio([8.0, 2.0, 1e-9], 3))  # zero, to the products' rounding
    with pytest.raises(ValueError, match="λ_4 asked of 3"):
        rank_ratio([8.0, 2.0, 1.0], 4)


def test_negative_share_is_the_share_of_absolute_curvature():
    assert negative_share(exact([-1.0, -2.0, 0.0, 5.0])) == pytest.approx((3 / 8,) * 3, abs=1e-15)


def test_negative_share_is_between_its_bounds():
    """Of a probe with equal parts in all eigenvalues, whose share is the spectrum's own."""
    values = torch.cat([torch.linspace(-1, 1, 60), torch.tensor([3.0, 9.0])]).double()
    rule = gauss_rule(lanczos(torch.diag(values), torch.ones(62, dtype=torch.float64), 20), 62)
    truth = float(values[values < 0].abs().sum() / values.abs().sum())
    value, low, high = negative_share(rule)
    assert low <= truth <= high and low <= value <= high and high - low < 0.2


def test_count_below_counts():
    assert count_below(exact([-3.0, -1.0, -0.1, 2.0]), -0.5) == pytest.approx((2,) * 3, abs=1e-12)


def test_spectral_change_is_zero_one_and_two_where_it_must_be():
    measure = exact([1.0, 2.0, 4.0])
    assert spectral_change(measure, measure)[0] == 0
    assert spectral_change(measure, exact(np.zeros(3)))[0] == pytest.approx(
        2, abs=1e-14
    )  # mean of d and 0
    assert spectral_change(measure, exact([2.0, 4.0, 8.0]))[0] == pytest.approx(2 / 3, abs=1e-14)


def test_spectral_change_compares_probe_by_probe():
    nodes = np.array([[0.0, 1.0], [0.0, 3.0]])
    a = SpectralMeasure(nodes, np.full((2, 2), 0.5), np.full((2, 2), 0.5), 10)
    assert spectral_change(a, a) == (0.0, 0.0)
    assert sampling_noise(a) == pytest.approx(1.0)  # W1 = 1, mean of ½ and 3/2 is 1
    assert np.isnan(sampling_noise(exact([1.0, 2.0])))


def test_gradient_concentration_is_the_projection_onto_top_eigenvectors():
    values = torch.tensor([9.0, 5.0, 1.0, 0.5, -0.2, -3.0], dtype=torch.float64)
    basis = torch.linalg.qr(
        torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    )[0]
    matrix = basis @ torch.diag(values) @ basis.T
    gradient = torch.arange(1.0, 7.0, dtype=torch.float64)
    wanted = float(((basis[:, :2].T @ gradient) ** 2).sum() / (gradient @ gradient))
    rule = gauss_rule(lanczos((matrix + matrix.T) / 2, gradient, 6), 6)
    value, low, high = gradient_concentration(rule, values.numpy(), 2)
    assert value == pytest.approx(wanted, abs=1e-12)
    assert low - 1e-12 <= wanted <= high + 1e-12


def test_bounds_of_an_unfinished_run_hold_the_truth():
    generator = torch.Generator().manual_seed(3)
    values = torch.linspace(-1, 1, 200, dtype=torch.float64)
    gradient = torch.randn(200, generator=generator, dtype=torch.float64)
    wanted = float((gradient[-20:] ** 2).sum() / (gradient @ gradient))
    rule = gauss_rule(lanczos(torch.diag(values), gradient, 12), 200)
    value, low, high = gradient_concentration(rule, values.numpy()[::-1], 20)
    assert low < wanted < high
    assert low <= value <= high
    with pytest.raises(ValueError, match="needs λ_201"):
        gradient_concentration(rule, values.numpy()[::-1], 200)
