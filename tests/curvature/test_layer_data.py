"""Features, errors, KFAC and CFAC against matrices written out from their definitions.

Classes of 5, 3 and 2 examples, and a fourth that the net knows and the sample does not.
"""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from hspec.curvature import Risk, blocks, gauss_newton
from hspec.curvature.kronecker_factors import (
    best_kronecker,
    cfac,
    cross_class_factors,
    kfac,
    layer_gauss_newton,
)
from hspec.curvature.layers import (
    error_means,
    error_moment,
    error_part,
    feature_means,
    feature_moment,
    feature_part,
    knocked_out_weight,
    layer_data,
)
from hspec.linalg import LowRank
from hspec.linalg.kronecker import kronecker_terms
from tests.cases.nets import Net

C, N = 4, 10
PRESENT = (0, 1, 3)


class Definition:
    """Loops over examples: h_n (T, i), ε_{n,c'} (T, o), and what they make."""

    def __init__(self, net, k, x, y):
        self.y, layer = y, net[k]
        with torch.no_grad():
            given = net[:k](x)
        self.p = net(x).softmax(1).detach()
        self.h, self.e = [], []
        for n in range(len(x)):
            h = given[n : n + 1]
            out = layer(h).detach().requires_grad_(True)
            f = net[k + 1 :](out)[0]
            J = torch.stack(
                [torch.autograd.grad(f[c], out, retain_graph=True)[0][0] for c in range(C)]
            )
            conv = isinstance(layer, nn.Conv2d)
            options = {"padding": layer.padding, "stride": layer.stride} if conv else {}
            self.h.append(nn.functional.unfold(h, layer.kernel_size, **options)[0].T if conv else h)
            J = J.flatten(2).transpose(1, 2) if conv else J[:, None]  # (C, T, o)
            self.e.append(
                torch.stack([J[c] - (self.p[n, :, None, None] * J).sum(0) for c in range(C)])
            )
        self.T = len(self.h[0])

    def members(self, c):
        return (self.y == c).nonzero()[:, 0].tolist()

    def H(self, n):
        return self.h[n].T @ self.h[n]

    def D(self, n):
        return sum(self.p[n, c] * self.e[n][c].T @ self.e[n][c] for c in range(C)) / self.T

    def G(self):
        total = 0.0
        for n, c in itertools.product(range(N), range(C)):
            gamma = (self.e[n][c].T @ self.h[n]).flatten()
            total = total + self.p[n, c] * torch.outer(gamma, gamma) / N
        return total


@pytest.fixture(scope="module")
def sample():
    torch.manual_seed(0)
    y = torch.tensor([0, 1, 3, 0, 0, 1, 3, 0, 1, 0])
    return torch.randn(N, 2, 4, 4, dtype=torch.float64), y


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(1)
    return (
        nn.Sequential(
            nn.Conv2d(2, 3, 2, stride=2, padding=1),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(27, 5, bias=False),
            nn.BatchNorm1d(5),
            nn.Tanh(),
            nn.Linear(5, C),
        )
        .double()
        .eval()
    )


@pytest.fixture(scope="module")
def risk(net, sample):
    x, y = sample
    return Risk.from_module(net, [(x[:6], y[:6]), (x[6:], y[6:])], C)


@pytest.fixture(scope="module", params=["0", "3", "6"], ids=["convolution", "hidden", "last"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def data(risk, name):
    return layer_data(risk, name)[name]


@pytest.fixture(scope="module")
def by_definition(net, name, sample):
    return Definition(net, int(name), *sample)


def test_features_and_errors(data, by_definition, rel):
    assert rel(data.features, torch.stack(by_definition.h)) < 1e-13
    assert rel(data.errors, torch.stack(by_definition.e)) < 1e-12
    assert data.classes.tolist() == list(PRESENT)
    np.testing.assert_allclose(data.shares, [0.5, 0.3, 0.2])


def test_all_layers_in_one_go(risk, net, rel):
    data = layer_data(risk)
    assert list(data) == ["0", "3", "6"]
    assert rel(data["3"].weight, net[3].weight) == 0 and data["0"].weight.shape == (3, 8)
    assert [d.features.shape[1] for d in data.values()] == [9, 1, 1]
    assert repr(data["0"]) == "LayerData(0, 8 → 3, N=10, C=4, T=9)"


def test_second_moments_and_means(data, by_definition, rel):
    q = by_definition
    assert rel(feature_moment(data), sum(q.H(n) for n in range(N)) / N) < 1e-13
    assert rel(error_moment(data), sum(q.D(n) for n in range(N)) / N) < 1e-12
    of_class, of_cell = error_means(data)
    for row, c in enumerate(PRESENT):
        assert (
            rel(feature_means(data)[row], torch.cat([q.h[n] for n in q.members(c)]).mean(0)) < 1e-12
        )
        p = torch.stack([sum(q.p[n, k] for n in q.members(c)) for k in range(C)])
        cells = [sum(q.p[n, k] * q.e[n][k].mean(0) for n in q.members(c)) / p[k] for k in range(C)]
        assert rel(of_cell[row], torch.stack(cells)) < 1e-11
        others = [k for k in range(C) if k != c]
        mean = sum(p[k] * cells[k] for k in others) / p[others].sum()
        assert rel(of_class[row], mean) < 1e-10
        assert rel(p[others].sum() * of_class[row], -p[c] * of_cell[row, c]) < 1e-10


def test_parts_add_up_and_are_their_definitions(data, by_definition, rel):
    q = by_definition
    errors = {level: error_part(data, level) for level in ("class", "own", "cross", "within")}
    assert rel(sum(errors.values()), error_moment(data)) < 1e-12
    features = {level: feature_part(data, level) for level in ("class", "within")}
    assert rel(sum(features.values()), feature_moment(data)) < 1e-12
    means, shares = feature_means(data), data.shares
    assert rel(features["class"], q.T * means.T @ (shares[:, None] * means)) < 1e-12
    weights, (of_class, of_cell) = data.error_levels, error_means(data)
    rows = len(data.error_levels.index)
    assert (
        rel(errors["class"], of_class.T @ (weights.class_weights[:, None] * of_class) / rows)
        < 1e-12
    )
    cross = sum(
        weights.weights[row, k] / rows * torch.outer(*2 * (of_cell[row, k] - of_class[row],))
        for row, c in enumerate(PRESENT)
        for k in range(C)
        if k != c
    )
    assert rel(errors["cross"], cross) < 1e-11


def test_the_layers_own_gauss_newton_matrix(risk, data, name, by_definition, rel):
    """By the definition; the block of G; and its exact eigenvalues,
    whichever Gram matrix is smaller.
    """
    G, ours = by_definition.G(), layer_gauss_newton(data)
    assert rel(ours.to_dense(), G) < 1e-12
    rows = risk.parameter_slices[f"{name}.weight"]
    assert rel(gauss_newton(risk).to_dense()[rows, rows], G) < 1e-12
    assert rel(blocks(risk, by=lambda n: n).gauss_newton(f"{name}.weight").to_dense(), G) < 1e-12
    exact = torch.linalg.eigvalsh(G).flip(0).numpy()
    found = ours.eigenvalues()
    assert len(found) == min(N * C, len(exact))
    np.testing.assert_allclose(found, exact[: len(found)], rtol=0, atol=1e-13 * exact[0])
    assert (len(exact) > N * C) == (name == "3")  # both ways are tried


def test_kfac_and_cfac(data, by_definition, rel):
    q = by_definition
    Delta, H = (sum(M(n) for n in range(N)) / N for M in (q.D, q.H))
    KFAC = torch.kron(Delta, H)
    assert rel(kfac(data).to_dense(), KFAC) < 1e-12
    exact = torch.linalg.eigvalsh(KFAC).flip(0).numpy()
    np.testing.assert_allclose(kfac(data).eigenvalues(), exact, rtol=0, atol=1e-13 * exact[0])
    CFAC, between = 0.0, 0.0
    for c in PRESENT:
        n_c = q.members(c)
        D_c, H_c = (sum(M(n) for n in n_c) / len(n_c) for M in (q.D, q.H))
        CFAC = CFAC + len(n_c) / N * torch.kron(D_c, H_c)
        between = between + len(n_c) / N * torch.kron(D_c - Delta, H_c - H)
    assert rel(cfac(data).to_dense(), CFAC) < 1e-12
    assert rel((cfac(data) - kfac(data)).to_dense(), between) < 1e-10
    if q.T == 1:  # what is left is the covariance within classes
        of_classes = [(K.A, K.B) for _, K in kronecker_terms(cfac(data))]
        within = sum(
            torch.kron(q.D(n) - dense(D_c), q.H(n) - dense(H_c)) / N
            for c, (D_c, H_c) in zip(PRESENT, of_classes, strict=True)
            for n in q.members(c)
        )
        assert rel((layer_gauss_newton(data) - cfac(data)).to_dense(), within) < 1e-10
    assert [repr(A) for A in (kfac(data), cfac(data))] == [
        f"KFAC[{data.name}]",
        f"CFAC[{data.name}]",
    ]


def dense(factor):
    return factor.to_dense() if isinstance(factor, LowRank) else factor


def test_factors_of_cross_classes(data, by_definition, rel):
    q, total = by_definition, 0.0
    for c, k in itertools.product(PRESENT, range(C)):
        p = sum(q.p[n, k] for n in q.members(c))
        D = sum(q.p[n, k] * q.e[n][k].T @ q.e[n][k] for n in q.members(c)) / p / q.T
        H = sum(q.p[n, k] * q.H(n) for n in q.members(c)) / p
        total = total + p / N * torch.kron(D, H)
    assert rel(cross_class_factors(data).to_dense(), total) < 1e-12


def test_the_best_single_product(data, by_definition, rel):
    """Against the singular values of the rearranged matrix."""
    G, (o, i) = by_definition.G(), data.weight.shape
    rearranged = G.view(o, i, o, i).permute(0, 2, 1, 3).reshape(o * o, i * i)
    U, S, V = torch.linalg.svd(rearranged, full_matrices=False)
    best = torch.kron(U[:, 0].view(o, o), S[0] * V[0].view(i, i))
    found = best_kronecker(data).to_dense()
    assert float((found - G).norm()) == pytest.approx(float((best - G).norm()), rel=1e-12)
    assert rel(found, best) < 1e-5
    assert (found - G).norm() <= (kfac(data).to_dense() - G).norm()


def test_a_weight_without_its_class_directions(data, by_definition, rel):
    """(I − P) W (I − Q), P on the span of the ε_{c,c}, Q on that of the h_c."""
    q = by_definition
    own = torch.stack([sum(q.p[n, c] * q.e[n][c].mean(0) for n in q.members(c)) for c in PRESENT])
    h = torch.stack([torch.cat([q.h[n] for n in q.members(c)]).mean(0) for c in PRESENT])
    P, Q = (M.T @ torch.linalg.pinv(M.T) for M in (own, h))
    (d_out, d_in), W = data.weight.shape, data.weight
    expected = (torch.eye(d_out) - P) @ W @ (torch.eye(d_in) - Q)
    assert (knocked_out_weight(data) - expected).norm() < 1e-12 * W.norm()


def test_float32(net, sample, data, name, rel):
    x, y = sample
    single = layer_data(Risk.from_module(net, [(x, y)], C, dtype=torch.float32), name)[name]
    assert cfac(single).dtype == kfac(single).dtype == torch.float32
    assert rel(cfac(single).to_dense().double(), cfac(data).to_dense()) < 1e-5
    assert (
        rel(layer_gauss_newton(single).to_dense().double(), layer_gauss_newton(data).to_dense())
        < 1e-5
    )


def test_layers_that_are_not_of_this_kind_are_refused(risk, sample):
    with pytest.raises(
        ValueError, match=r"'4' is no linear layer or plain convolution .* there are '0', '3', '6'"
    ):
        layer_data(risk, ["3", "4"])
    x, y = sample
    twice = Net(
        lambda m, x: m.b(m.a(torch.tanh(m.a(x.flatten(1))))), nn.Linear(32, 32), nn.Linear(32, C)
    ).double()
    again = Risk.from_module(twice, [(x, y)], C)
    with pytest.raises(ValueError, match="layer 'a' is called 2 times in a forward pass"):
        layer_data(again, "a")
    assert list(layer_data(again)) == ["b"]
    with pytest.raises(ValueError, match="one class index an example"):
        layer_data(
            Risk.from_module(
                twice, [(x, torch.randn(N, C, dtype=torch.float64))], loss=nn.MSELoss()
            )
        )


def test_examples_that_their_batch_couples(sample, rel):
    """Layers whose rows are still the examples have features and errors of the fixed partition;
    others have none.
    """
    x, y = sample
    batches = [(x[:6].flatten(1), y[:6]), (x[6:].flatten(1), y[6:])]
    torch.manual_seed(2)
    centred = Net(
        lambda m, x: m.b(torch.tanh(m.a(x - x.mean(0)))), nn.Linear(32, 5), nn.Linear(5, C)
    )
    normalised = nn.Sequential(nn.Linear(32, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, C))
    for net, mode, names in ((centred, "eval", ["a", "b"]), (normalised, "batch", ["3"])):
        risk = Risk.from_module(net.double(), batches, C, batch_norm=mode)
        assert not risk.independent
        data = layer_data(risk)
        assert list(data) == names
        for name, d in data.items():
            block = blocks(risk, by=lambda n: n).gauss_newton(f"{name}.weight")
            assert rel(layer_gauss_newton(d).to_dense(), block.to_dense()) < 1e-12
    with pytest.raises(ValueError, match="layer '0' has rows that are not the examples"):
        layer_data(risk, "0")


def test_what_does_not_fit_is_refused_before_it_is_kept(net, sample, monkeypatch):
    monkeypatch.setattr("hspec.curvature.engine.memory.ANY_BUDGET", 1000)
    x, y = sample
    with pytest.raises(
        MemoryError, match=r"features and errors of 3 layers need .* ask for a layer at a time"
    ):
        layer_data(Risk.from_module(net, [(x, y)], C, memory_budget=0))
