"""Theorem 8.1 against dense eigenvalues; its assumptions' matrix against samples."""

import numpy as np
import pytest
import torch
from torch import nn

from hspec.curvature import Risk, exact_gauss_newton_spectrum
from hspec.curvature.logistic_regression import (
    expected_fisher,
    fisher_spectrum,
    gaussian_classes,
    group_means,
    misclassification,
)


@pytest.mark.parametrize(("C", "D"), [(2, 2), (2, 5), (3, 3), (4, 7), (10, 30)])
@pytest.mark.parametrize(
    ("t", "alpha"), [(0.0, 0.5), (1.0, 0.7), (3.0, 0.1), (10.0, 1e-3), (8.0, 1e-9)]
)
def test_theorem(C, D, t, alpha):
    exact = torch.linalg.eigvalsh(expected_fisher(C, D, t, alpha)).flip(0).numpy()
    found = fisher_spectrum(C, D, t, alpha)
    np.testing.assert_allclose(found.eigenvalues(), exact, rtol=0, atol=1e-12 * exact[0])
    assert sum(found.multiplicities) == D * (C - 1)


def test_the_lemma_is_the_expectation():
    """(1/N) Σ x xᵀ ⊗ U^c over many draws, within five standard errors in every entry."""
    C, D, t, alpha = 3, 4, 1.5, 0.3
    x, y = gaussian_classes(C, D, t, 20_000, generator=torch.Generator().manual_seed(0))
    p = torch.full((C, C), alpha / (C - 1), dtype=torch.float64).fill_diagonal_(1 - alpha)
    U = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    terms = torch.einsum("ni,nj,nab->niajb", x, x, U[y]).reshape(len(x), C * D, C * D)
    off = (terms.mean(0) - expected_fisher(C, D, t, alpha)).abs()
    assert (off <= 5 * terms.std(0) / len(x) ** 0.5 + 1e-12).all()


@pytest.mark.parametrize("t", [0.0, 1.0, 3.0])
def test_misclassification_is_that_of_the_largest_coordinate(t):
    C = 10
    x, y = gaussian_classes(C, C + 2, t, 20_000, generator=torch.Generator().manual_seed(1))
    wrong = (x[:, :C].argmax(1) != y).double()
    assert abs(misclassification(C, t) - wrong.mean()) < 5 * wrong.std() / len(x) ** 0.5


@pytest.mark.parametrize("t", [0.0, 0.5, 3.0, 8.0, 12.0])
def test_misclassification_of_two_classes_is_a_normal_tail(t):
    """z_2 − z_1 > t, a normal variable of variance two: to relative accuracy, however small."""
    exact = float(torch.special.ndtr(torch.tensor(-t / 2**0.5, dtype=torch.float64)))
    assert misclassification(2, t) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("C", [2, 10, 1000])
def test_without_a_signal_one_guess_in_C_is_right(C):
    assert misclassification(C, 0.0) == pytest.approx(1 - 1 / C, rel=1e-13)


def test_group_means_of_the_true_posterior():
    """A linear layer with weight t (I 0): outliers rise from the bulk with t."""
    C, D, ratios = 4, 6, []
    for t in (1.0, 3.0):
        x, y = gaussian_classes(C, D, t, 60, generator=torch.Generator().manual_seed(2))
        net = nn.Linear(D, C, bias=False).double()
        net.weight.data = t * torch.eye(C, D, dtype=torch.float64)
        outliers, mini, bulk = group_means(
            exact_gauss_newton_spectrum(Risk.from_module(net, [(x, y)], C)), C, D
        )
        assert outliers > mini > bulk > 0
        ratios.append(outliers / bulk)
    assert ratios[1] > 2 * ratios[0]


def test_group_means_of_the_theorem_are_its_eigenvalues():
    found = fisher_spectrum(5, 8, 2.0, 0.2)
    means = group_means(found.eigenvalues(), 5, 8)
    np.testing.assert_allclose(means, (found.outliers, found.mini_bulk, found.bulk))
    assert np.isnan(group_means(fisher_spectrum(2, 2, 1.0, 0.2).eigenvalues(), 2, 2)[1:]).all()
    with pytest.raises(ValueError, match="3 eigenvalues are too few"):
        group_means(np.ones(3), 5, 8)


@pytest.mark.parametrize(("C", "D", "alpha"), [(1, 3, 0.1), (4, 3, 0.1), (3, 3, 0.0), (3, 3, 1.0)])
def test_refusals(C, D, alpha):
    with pytest.raises(ValueError, match="the theorem is about 2 ≤ C ≤ D"):
        fisher_spectrum(C, D, 1.0, alpha)
    with pytest.raises(ValueError, match="the theorem is about"):
        expected_fisher(C, D, 1.0, alpha)
