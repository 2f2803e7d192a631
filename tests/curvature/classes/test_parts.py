"""A1 + A2 + B1 + B2 and G0 + … + G3 against double loops written from the definitions."""

import numpy as np
import pytest
import torch

from hspec.curvature import (
    A1,
    A2,
    B1,
    B2,
    G0,
    G1,
    G2,
    G3,
    G12,
    Risk,
    class_means,
    delta_means,
    gauss_newton,
)
from hspec.curvature.classes.parts import Level
from hspec.linalg.low_rank import LowRank


@pytest.fixture(scope="module")
def risk(case):
    return Risk.from_module(case.net, case.batches, case.C)


@pytest.fixture(scope="module")
def X(case):
    """Columns to multiply with: no matrix but the right one has its products."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(case.theta.numel(), 5, dtype=torch.float64, generator=generator)


@pytest.fixture(scope="module")
def weighted(case):
    """A1, A2, B1, B2 of P20, term by term."""
    N, C, P = len(case.y), case.C, case.theta.numel()
    parts = {name: torch.zeros(P, P, dtype=torch.float64) for name in ("A1", "A2", "B1", "B2")}
    for c in range(C):
        members = (case.y == c).nonzero()[:, 0]
        p = [sum(case.p[n, k] for n in members) for k in range(C)]
        g = [sum(case.p[n, k] * case.g[n, k] for n in members) / p[k] for k in range(C)]
        p_c = sum(p[k] for k in range(C) if k != c)
        g_c = sum(p[k] * g[k] for k in range(C) if k != c) / p_c
        parts["A1"] += p_c / N * torch.outer(g_c, g_c)
        parts["A2"] += p[c] / N * torch.outer(g[c], g[c])
        for k in range(C):
            if k != c:
                parts["B1"] += p[k] / N * torch.outer(g[k] - g_c, g[k] - g_c)
            for n in members:
                parts["B2"] += (
                    case.p[n, k] / N * torch.outer(case.g[n, k] - g[k], case.g[n, k] - g[k])
                )
    return parts


@pytest.fixture(scope="module")
def unweighted(case):
    """G0 … G3 of P19, term by term."""
    N, C, P = len(case.y), case.C, case.theta.numel()
    delta_n = case.p.sqrt()[:, :, None] * case.g
    parts = {name: torch.zeros(P, P, dtype=torch.float64) for name in ("G0", "G1", "G2", "G3")}
    for c in range(C):
        members = (case.y == c).nonzero()[:, 0]
        share = len(members) / N
        delta = [delta_n[members, k].mean(0) for k in range(C)]
        delta_c = sum(delta[k] for k in range(C) if k != c) / (C - 1)
        parts["G0"] += share * torch.outer(delta[c], delta[c])
        parts["G1"] += (C - 1) * share * torch.outer(delta_c, delta_c)
        for k in range(C):
            if k != c:
                parts["G2"] += share * torch.outer(delta[k] - delta_c, delta[k] - delta_c)
            spread = delta_n[members, k] - delta[k]
            parts["G3"] += share * spread.T @ spread / len(members)
    return parts


def operators(risk):
    g, d = class_means(risk), delta_means(risk)
    made = [A1(g), A2(g), B1(g), B2(risk, g), G0(d), G1(d), G2(d), G3(risk, d)]
    return {A.name: A for A in made}


@pytest.mark.parametrize("budget", [None, 0], ids=["in memory", "streamed"])
def test_every_part_is_its_definition(case, weighted, unweighted, X, rel, budget):
    made = operators(Risk.from_module(case.net, case.batches, case.C, memory_budget=budget))
    for name, expected in (weighted | unweighted).items():
        kind = LowRank if budget is None and name not in ("B2", "G3") else Level
        assert isinstance(made[name], kind)
        assert rel(made[name] @ X, expected @ X) < 1e-12


def test_G12_is_what_the_cross_class_means_make_of_G(case, unweighted, X, rel):
    """G0 + G1 + G2; Weyl: its eigenvalues lie between those of G and of G1 (P19, figure 7)."""
    between = sum(unweighted[name] for name in ("G0", "G1", "G2"))
    means, streamed = (
        delta_means(Risk.from_module(case.net, case.batches, case.C, memory_budget=budget))
        for budget in (None, 0)
    )
    assert repr(G12(means)) == "G1+2"
    assert rel(G12(means) @ X, between @ X) < 1e-12
    assert rel(G12(streamed) @ X, between @ X) < 1e-12
    spectra = [torch.linalg.eigvalsh(M).flip(0) for M in (case.G, between, unweighted["G1"])]
    C2 = case.C**2
    np.testing.assert_allclose(
        G12(means).eigenvalues(), spectra[1][:C2], rtol=0, atol=1e-13 * spectra[1][0]
    )
    rounding = 1e-13 * float(spectra[0][0])
    assert (spectra[0] >= spectra[1] - rounding).all() and (
        spectra[1] >= spectra[2] - rounding
    ).all()


def test_the_parts_add_up_to_G(case, risk, X, rel):
    made = operators(risk)
    G = gauss_newton(risk)
    assert rel(G @ X, case.G @ X) < 1e-13
    assert rel((made["A1"] + made["A2"] + made["B1"] + made["B2"]) @ X, G @ X) < 1e-12
    assert rel((made["G0"] + made["G1"] + made["G2"] + made["G3"]) @ X, G @ X) < 1e-12
    within = G - made["A1"] - made["A2"] - made["B1"]
    assert rel(within @ X, made["B2"] @ X) < 1e-12


def test_ranks(case, risk):
    made, C = operators(risk), case.C
    for name, rank in {
        "A1": C,
        "A2": C,
        "B1": C * (C - 2),
        "G0": C,
        "G1": C,
        "G2": C * (C - 2),
    }.items():
        assert torch.linalg.matrix_rank(made[name].to_dense(), rtol=1e-10) == rank, name


def test_A1_and_A2_share_their_range(risk, rel):
    means = class_means(risk)
    p_c, p_own = means.class_weights, means.weights.diagonal()
    g, N = means.class_vectors, risk.num_examples
    both = (g.T * (p_c / N) * (1 + p_c / p_own)) @ g
    assert rel((A1(means) + A2(means)).to_dense(), both) < 1e-12


def test_streamed_eigenvalues_are_those_of_the_low_rank_form(case, risk):
    low_rank = operators(risk)
    streamed = operators(Risk.from_module(case.net, case.batches, case.C, memory_budget=4_000))
    for name in ("A1", "A2", "B1", "G0", "G1", "G2"):
        exact = low_rank[name].eigenpairs().values
        values = streamed[name].eigenvalues()
        np.testing.assert_allclose(values[: len(exact)], exact, rtol=0, atol=1e-13 * exact[0])
        assert np.abs(values[len(exact) :]).max(initial=0.0) < 1e-13 * exact[0]


def test_means_of_the_other_definition_are_refused(risk):
    with pytest.raises(ValueError, match=r"A1 is made of the 2020 means: pass class_means\(risk\)"):
        A1(delta_means(risk))
    with pytest.raises(ValueError, match=r"G3 is made of the 2019 means: pass delta_means\(risk\)"):
        G3(risk, class_means(risk))


def test_means_of_another_risk_are_refused(case, risk):
    with pytest.raises(ValueError, match="another risk"):
        B2(Risk.from_module(case.net, case.batches, case.C), class_means(risk))


def test_a_class_without_examples_contributes_nothing(case, rel):
    """Five classes, of which the net has a logit and the sample no example."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 5)
    ).double()
    batches = [(torch.randn(9, 4, dtype=torch.float64), torch.tensor([0, 1, 3, 4, 0, 1, 3, 4, 4]))]
    for budget in (None, 0):
        risk = Risk.from_module(net, batches, 5, memory_budget=budget)
        made = operators(risk)
        G = gauss_newton(risk).to_dense()
        assert rel(sum(made[name].to_dense() for name in ("A1", "A2", "B1", "B2")), G) < 1e-12
        assert rel(sum(made[name].to_dense() for name in ("G0", "G1", "G2", "G3")), G) < 1e-12
        assert torch.linalg.matrix_rank(made["A1"].to_dense(), rtol=1e-10) == 4


def test_one_hundred_classes_stream():
    """C²p numbers would be 80 times the budget;
    products and A1's eigenvalues need none of them."""
    torch.manual_seed(0)
    C = 100
    net = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, C)
    ).double()
    x, y = torch.randn(300, 8, dtype=torch.float64), torch.arange(300) % C
    p = sum(q.numel() for q in net.parameters())
    risk = Risk.from_module(
        net, list(zip(x.split(64), y.split(64), strict=True)), C, memory_budget=C * p * 8
    )
    means = class_means(risk)
    assert isinstance(A1(means), LowRank)
    assert isinstance(B1(means), Level)
    v = torch.randn(p, dtype=torch.float64)
    total = (A1(means) + A2(means) + B1(means) + B2(risk, means)) @ v
    assert (total - gauss_newton(risk) @ v).norm() < 1e-12 * total.norm()
    with pytest.raises(
        MemoryError, match=r"10000 vectors of p=1844 need .*raise Risk.from_module\(memory_budget="
    ):
        _ = means.cross_class_vectors
