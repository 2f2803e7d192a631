"""Frobenius errors without matrices, against the matrices."""

import pytest
import torch
from torch import nn

from hspec.curvature import Risk, cfac, gauss_newton, kfac, layer_data, layer_gauss_newton
from hspec.curvature.kronecker_distance import frobenius_error, squared_norm
from hspec.curvature.kronecker_factors import best_kronecker, cross_class_factors
from hspec.curvature.layer_coordinates import coordinates


@pytest.fixture(scope="module")
def risk():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 3)
    )
    x = torch.randn(9, 1, 3, 3, dtype=torch.float64)
    return Risk.from_module(net.double(), [(x, torch.tensor([0, 1, 1, 0, 2, 1, 1, 0, 0]))], 3)


@pytest.mark.parametrize("name", ["0", "3", "5"], ids=["convolution", "hidden", "last"])
@pytest.mark.parametrize("make", [kfac, best_kronecker, cfac, cross_class_factors])
def test_error_is_that_of_the_matrices(risk, name, make):
    data = layer_data(risk, name)[name]
    G, A = layer_gauss_newton(data).to_dense(), make(data)
    assert float(squared_norm(data)) == pytest.approx(float((G**2).sum()), rel=1e-12)
    expected = float((A.to_dense() - G).norm() / G.norm())
    assert frobenius_error(data, A) == pytest.approx(expected, rel=1e-8)


@pytest.fixture(scope="module")
def wide():
    """A layer of 40 by 30 weights, that five examples see."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 30), nn.Tanh(), nn.Linear(30, 3))
    x = torch.randn(5, 6, dtype=torch.float64)
    risk = Risk.from_module(net.double(), [(x, torch.tensor([0, 1, 1, 0, 2]))], 3)
    return layer_data(risk, "2")["2"]


@pytest.mark.parametrize(
    "make", [layer_gauss_newton, kfac, best_kronecker, cfac, cross_class_factors]
)
def test_few_coordinates_hold_all_there_is(wide, make):
    """15 by 5 in place of 30 by 40: the same matrix, when it is put back, by the dense one."""
    few = coordinates(wide)
    assert few.data.weight.shape == (15, 5) and few.shape == (30, 40)
    A = make(few.data)
    torch.testing.assert_close(few.embedded(A).to_dense(), make(wide).to_dense())
    if make is not layer_gauss_newton:
        error = frobenius_error(wide, make(wide))
        assert frobenius_error(few.data, A) == pytest.approx(error, rel=1e-7)
    P, Q = few.P, few.Q
    torch.testing.assert_close(few.data.weight, P.T @ wide.weight @ Q)


def test_coordinates_that_would_not_be_fewer_are_left(risk):
    data = layer_data(risk, "5")["5"]
    few = coordinates(data)
    assert few.P is few.Q is None and few.data.features is data.features
    assert few.embedded(A := kfac(data)) is A


def test_what_is_no_sum_of_products_is_refused(risk):
    with pytest.raises(TypeError, match="is no sum of Kronecker products"):
        frobenius_error(layer_data(risk, "5")["5"], gauss_newton(risk))


@pytest.mark.parametrize("make", [kfac, cfac, best_kronecker, cross_class_factors])
def test_products_of_factors_are_as_exact_as_the_risk(make):
    """Of reduced precision they may be drawn, not added and subtracted."""
    net, batch = nn.Linear(4, 3), (torch.randn(6, 4), torch.arange(6) % 3)
    for precision in ("exact", "fast"):
        (data,) = layer_data(Risk.from_module(net, [batch], precision=precision)).values()
        assert make(data).exact == layer_gauss_newton(data).exact == (precision == "exact")
