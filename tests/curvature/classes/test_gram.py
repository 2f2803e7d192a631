"""The exact spectrum of G by the Gram route against a dense eigenvalue solve."""

import numpy as np
import pytest
import torch
from torch import nn

from hspec.curvature import (
    A1,
    A2,
    B1,
    B2,
    Risk,
    class_means,
    exact_gauss_newton_spectrum,
    exact_knock_out_spectra,
    gauss_newton,
)
from hspec.curvature.classes import gram

LARGEST = 4 * 3 * 9  # entries of the conv net's largest parameter that is no linear layer's


def dense_spectrum(A) -> np.ndarray:
    return torch.linalg.eigvalsh(A).flip(0).numpy()


def check(values, A, size):
    assert values.shape == (size,)
    exact = dense_spectrum(A)
    n = min(size, len(exact))
    np.testing.assert_allclose(values[:n], exact[:n], rtol=0, atol=1e-12 * exact[0])
    assert np.abs(values[n:]).max(initial=0.0) < 1e-12 * exact[0]


@pytest.fixture(scope="module")
def risk(case):
    return Risk.from_module(case.net, case.batches, case.C)


def test_conv_net(case, risk):
    check(exact_gauss_newton_spectrum(risk), case.G, 35 * 4)


def mlp(*activations, bias=True):
    torch.manual_seed(0)
    widths = [5, 6, 7, 3]
    layers = []
    for i, activation in enumerate(activations):
        layers += [nn.Linear(widths[i], widths[i + 1], bias=bias), activation]
    return nn.Sequential(*layers[:-1]).double()


@pytest.mark.parametrize("bias", [True, False])
def test_mlp_needs_no_jacobian(bias, monkeypatch):
    monkeypatch.setattr(gram, "gradient_rows", lambda *_: pytest.fail("a Jacobian was formed"))
    net = mlp(nn.ReLU(inplace=True), nn.Tanh(), nn.Identity(), bias=bias)
    x, y = torch.randn(11, 5, dtype=torch.float64), torch.arange(11) % 3
    risk = Risk.from_module(net, [(x[:7], y[:7]), (x[7:], y[7:])], 3)
    check(exact_gauss_newton_spectrum(risk), gauss_newton(risk).to_dense(), 33)


class OddLinears(nn.Module):
    """A layer used twice, one with tied weights, one that sees sequences, one partly frozen:
    none is plain.
    """

    def __init__(self):
        super().__init__()
        self.twice, self.sequence, self.part, self.head = (nn.Linear(5, 5) for _ in range(4))
        self.tied = nn.Linear(5, 5)
        self.tied.weight = self.sequence.weight
        self.part.bias.requires_grad_(False)

    def forward(self, x):
        h = torch.tanh(self.twice(torch.tanh(self.twice(x))))
        h = torch.tanh(self.sequence(h[:, None])).sum(1)
        return self.head(torch.tanh(self.part(torch.tanh(self.tied(h)))))[:, :3]


def test_linear_layers_that_are_not_plain():
    torch.manual_seed(0)
    x, y = torch.randn(8, 5, dtype=torch.float64), torch.arange(8) % 3
    risk = Risk.from_module(OddLinears().double(), [(x, y)], 3)
    check(exact_gauss_newton_spectrum(risk), gauss_newton(risk).to_dense(), 24)


def test_parameter_subset(case):
    risk = Risk.from_module(case.net, case.batches, case.C, parameters=["4", "8.bias", "10"])
    check(exact_gauss_newton_spectrum(risk), gauss_newton(risk).to_dense(), 140)


def test_batch_statistics_couple_examples(case):
    risk = Risk.from_module(case.net, case.batches, case.C, batch_norm="batch")
    check(exact_gauss_newton_spectrum(risk), gauss_newton(risk).to_dense(), 140)


def test_knock_outs(case, risk):
    """Of several parts, from one Gram matrix."""
    knock_outs = [("A1",), ("A2",), ("B1",), ("B2",), ("A1", "B1"), ("A1", "A2", "B1")]
    means = class_means(risk)
    parts = {"A1": A1(means), "A2": A2(means), "B1": B1(means), "B2": B2(risk, means)}
    dense = {name: part.to_dense() for name, part in parts.items()}
    for without, values in zip(knock_outs, exact_knock_out_spectra(risk, knock_outs), strict=True):
        rest = sum((dense[name] for name in parts if name not in without), torch.zeros_like(case.G))
        check(values, rest, 140)
    check(exact_gauss_newton_spectrum(risk, without=("A1",)), case.G - dense["A1"], 140)


def test_blocks_of_parameters_within_the_limit(case, risk):
    least = (
        5 * 8 * 140**2 + 140 * 2 * LARGEST * 8
    )  # the refusal's own account: K, and the rows of the largest parameter
    check(exact_gauss_newton_spectrum(risk, memory_limit=least), case.G, 140)
    with pytest.raises(
        MemoryError, match=r"N=35 examples and C=4 classes needs 0\.00\d+ GiB .* raise memory_limit"
    ):
        exact_gauss_newton_spectrum(risk, memory_limit=least - 1)


def test_unknown_part_is_refused(risk):
    with pytest.raises(ValueError, match=r"without=\['C1'\]: the parts of G are A1, A2, B1, B2"):
        exact_gauss_newton_spectrum(risk, without=("C1",))


def test_many_labels_are_refused_before_anything_is_allocated():
    """Thirty thousand labels, four examples: roots of the middles alone would take 29 GB."""
    C = 30_000
    net = nn.Sequential(nn.Linear(3, 1), nn.Linear(1, C)).double()
    risk = Risk.from_module(net, [(torch.randn(4, 3, dtype=torch.float64), torch.arange(4))], C)
    with pytest.raises(MemoryError, match="a Gram matrix of 120000 rows"):
        exact_gauss_newton_spectrum(risk, memory_limit=1 << 30)


def test_float32_agrees_with_float64(case):
    """To its rounding, with the check on."""
    single, double = (
        Risk.from_module(case.net, case.batches, case.C, dtype=dtype)
        for dtype in (torch.float32, torch.float64)
    )
    a, b = (exact_gauss_newton_spectrum(r, without=("A1",)) for r in (single, double))
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * b[0])
