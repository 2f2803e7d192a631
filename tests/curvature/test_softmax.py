"""The saturated softmax: float32 must keep the digits that 1 − p throws away."""

import pytest
import torch

from hspec.curvature import A1, A2, B1, B2, Risk, class_means, gauss_newton, hessian
from hspec.curvature.softmax import Softmax


@pytest.fixture
def logits():
    """Rows whose largest probability is 1 to within 1e-13: far below float32's 6e-8."""
    return torch.tensor([[30.0, 0.0, -3.0], [-2.0, 31.0, 0.5], [0.3, 0.1, -0.2]])


def dense_middle(logits):
    p = logits.double().softmax(1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None]


def accurate_middle(logits):
    """diag p − p pᵀ with its diagonal p_k Σ_{j≠k} p_j, which does not cancel."""
    M = dense_middle(logits)
    p = logits.double().softmax(1)
    others = torch.stack([p[:, [j for j in range(3) if j != k]].sum(1) for k in range(3)], 1)
    M.diagonal(dim1=1, dim2=2).copy_(p * others)
    return M


def test_middle_keeps_every_entry_to_float32_accuracy(logits):
    softmax = Softmax.of(logits)
    M = torch.stack([softmax.middle(e.expand(3, 3)) for e in torch.eye(3)], 2)
    torch.testing.assert_close(M.double(), accurate_middle(logits), rtol=1e-5, atol=0)


def test_residual_of_the_right_class_does_not_vanish(logits):
    z = Softmax.of(logits).residual(torch.tensor([0, 1, 2]))
    p = logits.double().softmax(1)
    expected = torch.tensor([-(p[0, 1] + p[0, 2]), -(p[1, 0] + p[1, 2]), -(p[2, 0] + p[2, 1])])
    torch.testing.assert_close(
        z[[0, 1, 2], [0, 1, 2]].double(), expected.double(), rtol=1e-5, atol=0
    )


def test_spread_is_the_adjoint_of_centre(logits):
    softmax = Softmax.of(logits.double())
    t, a = torch.randn(2, 5, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left = (a * softmax.centre(t)).sum((-1, -2))
    torch.testing.assert_close((softmax.spread(a) * t).sum((-1, -2)), left, rtol=1e-13, atol=1e-13)


def test_saturated_net_in_float32(rel):
    """A linear classifier with margins near 25:
    float32 G agrees with float64 to float32 rounding, part by part.
    """
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 3, bias=False)
    net.weight.data = 25 * torch.eye(3)
    x = torch.eye(3).repeat(4, 1) + 0.02 * torch.randn(12, 3)
    single, double = (
        Risk.from_module(net, [(x, torch.arange(12) % 3)], 3, dtype=d)
        for d in (None, torch.float64)
    )
    for operator in (hessian, gauss_newton):
        assert rel(operator(single).to_dense().double(), operator(double).to_dense()) < 1e-4
    few, many = class_means(single), class_means(double)
    for part in (A1, A2, B1):
        assert rel(part(few).to_dense().double(), part(many).to_dense()) < 1e-4
    within = B2(
        double, many
    ).to_dense()  # a difference of nearly equal vectors: accurate on the scale of G
    error = (B2(single, few).to_dense().double() - within).norm()
    assert error < 1e-5 * gauss_newton(double).to_dense().norm()
    assert error < 1e-2 * within.norm()


def test_underflowing_weights_leave_finite_means():
    """p_{c,c'} = 0 in float32, yet g_{c,c'} is an average with relative weights,
    finite and right.
    """
    net = torch.nn.Linear(2, 2, bias=False)
    net.weight.data = torch.tensor([[200.0, 0.0], [0.0, 200.0]])
    risk = Risk.from_module(net, [(torch.eye(2), torch.tensor([0, 1]))], 2)
    means = class_means(risk)
    assert means.weights[0, 1] == 0
    torch.testing.assert_close(means.cross_class_vectors[0, 1], torch.tensor([-1.0, 0.0, 1.0, 0.0]))
