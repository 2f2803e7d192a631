"""The means g_{c,c'} and g_c against loops over the examples, in every order of computing them."""

import sys

import pytest
import torch

from hspec.curvature import Risk, class_means, delta_means

module = sys.modules["hspec.curvature.class_means"]  # whose name the function hides


@pytest.fixture(scope="module")
def risk(case):
    return Risk.from_module(case.net, case.batches, case.C)


@pytest.fixture(scope="module")
def looped(case):
    """p_{c,c'} (C, C) and g_{c,c'} (C, C, p)."""
    members = [(case.y == c).nonzero()[:, 0] for c in range(case.C)]
    p = torch.stack([sum(case.p[n] for n in rows) for rows in members])
    g = torch.stack([sum(case.p[n, :, None] * case.g[n] for n in rows) for rows in members]) / p[:, :, None]
    return p, g


def test_cross_class_means(case, risk, looped, rel):
    means = class_means(risk)
    p, g = looped
    assert rel(means.weights, p) < 1e-14
    assert rel(means.cross_class_vectors, g) < 1e-13
    assert means.counts.tolist() == [19, 8, 5, 3]


def test_class_means(case, risk, looped, rel):
    means = class_means(risk)
    p, g = looped
    for c in range(case.C):
        others = [k for k in range(case.C) if k != c]
        p_c = sum(p[c, k] for k in others)
        assert float(means.class_weights[c] / p_c) == pytest.approx(1, rel=1e-14)
        assert rel(means.class_vectors[c], sum(p[c, k] * g[c, k] for k in others) / p_c) < 1e-13


def test_class_means_are_collinear_with_the_own_means(risk, rel):
    """p_c g_c = −p_{c,c} g_{c,c}, from Σ_{c'} p_{n,c'} g_{n,c'} = 0."""
    means = class_means(risk)
    for c, g_c in enumerate(means.class_vectors):
        own = means.weights[c, c] * means.cross_class_vectors[c, c]
        assert rel(means.class_weights[c] * g_c, -own) < 1e-12


def test_unweighted_means(case, risk, rel):
    delta = case.p.sqrt()[:, :, None] * case.g
    means = delta_means(risk)
    for c in range(case.C):
        table = delta[case.y == c].mean(0)
        others = [k for k in range(case.C) if k != c]
        assert rel(means.cross_class_vectors[c], table) < 1e-13
        assert rel(means.class_vectors[c], table[others].mean(0)) < 1e-13


@pytest.mark.parametrize("size", [1, 16])
def test_sweeps_in_blocks_or_one_by_one(case, rel, size, in_blocks_of):
    risk = Risk.from_module(case.net, case.batches, case.C)
    in_blocks_of(size, risk)
    expected = class_means(Risk.from_module(case.net, case.batches, case.C)).cross_class_vectors
    assert rel(class_means(risk).cross_class_vectors, expected) < 1e-13


@pytest.mark.parametrize(
    "budget", [None, 100_000, 20_000, 4_000], ids=["whole", "blocks", "tiles", "single classes"]
)
def test_gram_matrix_streams_within_any_budget(case, risk, rel, budget):
    """Parameter blocks first, then tiles of classes within a parameter; the same numbers."""
    vectors = class_means(risk).cross_class_vectors.flatten(0, 1)
    means = class_means(Risk.from_module(case.net, case.batches, case.C, memory_budget=budget))
    seen = []
    assert rel(means.gram(callback=lambda *counts: seen.append(counts)), vectors @ vectors.T) < 1e-13
    done, totals = zip(*seen, strict=True)
    assert sorted(set(done)) == list(done) and set(totals) == {done[-1]}


@pytest.mark.parametrize("budget", [None, 20_000], ids=["whole", "tiles"])
def test_gram_matrix_of_few_rows_and_columns_at_a_time(case, risk, rel, monkeypatch, budget):
    vectors = class_means(risk).cross_class_vectors.flatten(0, 1)
    monkeypatch.setattr(module, "GRAM_BYTES", 8 * 7 * 2 * len(vectors))
    monkeypatch.setattr(module, "GRAM_ROWS", 3)
    means = class_means(Risk.from_module(case.net, case.batches, case.C, memory_budget=budget))
    assert rel(means.gram(), vectors @ vectors.T) < 1e-13


def test_distances_are_those_between_the_vectors(risk, rel):
    means = class_means(risk)
    vectors = torch.cat([means.class_vectors, means.cross_class_vectors.flatten(0, 1)])
    assert rel(means.distances(), torch.cdist(vectors, vectors)) < 1e-12


def test_repr(risk):
    assert repr(class_means(risk)) == f"ClassMeans(2020, p={risk.num_parameters}, N=35, C=4)"


@pytest.mark.parametrize("means", [class_means, delta_means])
def test_a_class_without_examples_contributes_zeros(case, means, monkeypatch):
    """Its vectors are written, too: memory comes as it is."""
    x, y = case.batches[0]
    risk = Risk.from_module(case.net, [(x[y != 2], y[y != 2])], case.C)
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda t, shape: t.new_full(shape, torch.nan))
    found = means(risk)
    assert not found.cross_class_vectors[2].any() and not found.class_vectors[2].any()
    assert found.cross_class_vectors.isfinite().all() and found.class_vectors.isfinite().all()
