"""Projections of tables: orthogonal, complete, and the papers' means. Examples of classes 4, 1,
2, 2, …; no network.
"""

import pytest
import torch

from hspec.curvature.classes.levels import BETWEEN, LEVELS, WEIGHTINGS, Levels

N, C = 23, 5
CLASSES = (1, 2, 4)  # present: 0 and 3 have no examples


@pytest.fixture(scope="module", params=WEIGHTINGS.values(), ids=WEIGHTINGS)
def power(request):
    return request.param


@pytest.fixture(scope="module")
def sample():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor(CLASSES)[torch.randint(0, 3, (N,), generator=generator)]
    logits = 3 * torch.randn(N, C, generator=generator, dtype=torch.float64)
    return labels, logits.log_softmax(1)


@pytest.fixture(scope="module")
def levels(sample, power):
    return Levels.of(*sample, power)


def matrix(levels, level):
    """The projection as a matrix (N·L, N·L)."""
    size = levels.unit.numel()
    eye = torch.eye(size, dtype=torch.float64).view(size, *levels.unit.shape)
    return levels.project(level, eye).flatten(1)


def test_the_levels_are_orthogonal_projections_that_add_up(levels):
    P = {level: matrix(levels, level) for level in LEVELS}
    for level, M in P.items():
        torch.testing.assert_close(M, M.T, rtol=0, atol=1e-14)
        for other, other_matrix in P.items():
            expected = M if other == level else torch.zeros_like(M)
            torch.testing.assert_close(M @ other_matrix, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(
        sum(P.values()), torch.eye(N * C, dtype=torch.float64), rtol=0, atol=1e-14
    )
    between = P["class"] + P["own"] + P["cross"]
    torch.testing.assert_close(matrix(levels, BETWEEN), between, rtol=0, atol=1e-14)


def test_dimensions(levels):
    ranks = {level: round(float(matrix(levels, level).trace())) for level in LEVELS}
    K = len(CLASSES)
    assert ranks == {"class": K, "own": K, "cross": K * (C - 2), "within": N * C - K * C}


def test_only_classes_with_examples_have_rows(levels, sample):
    labels, _ = sample
    assert levels.classes.tolist() == list(CLASSES)
    assert torch.equal(levels.classes[levels.index], labels)
    assert levels.counts.tolist() == [int((labels == c).sum()) for c in CLASSES]
    assert levels.weights.shape == levels.shares.shape == levels.own.shape == (3, C)


def test_means_are_the_papers(levels, sample, power):
    """g_{c,c'} (2020) and δ_{c,c'} (2019), and their averages over c',
    by loops over examples."""
    labels, log_p = sample
    p = log_p.exp()
    g = torch.randn(N, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = levels.means(g)
    for row, c in enumerate(CLASSES):
        members = (labels == c).nonzero()[:, 0].tolist()
        for k in range(C):
            if power == 1.0:
                expected = sum(p[n, k] * g[n, k] for n in members) / sum(p[n, k] for n in members)
                weight = sum(p[n, k] for n in members)
            else:
                expected = sum(p[n, k].sqrt() * g[n, k] for n in members) / len(members)
                weight = torch.tensor(float(len(members)), dtype=torch.float64)
            torch.testing.assert_close(found[row, k], expected, rtol=1e-12, atol=0)
            torch.testing.assert_close(levels.weights[row, k], weight, rtol=1e-13, atol=0)
        others = [k for k in range(C) if k != c]
        shares = levels.weights[row, others] / levels.weights[row, others].sum()
        torch.testing.assert_close(levels.shares[row, others], shares)
        assert levels.shares[row, c] == 0


@pytest.mark.parametrize("level", ["class", "own", "cross", BETWEEN])
def test_vectors_make_the_level(levels, level):
    """(1/N) Σ w u uᵀ with u from the means is D P Dᵀ/N,
    for any vectors g (here of three coordinates).
    """
    g = torch.randn(3, N, C, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    delta = levels.root * g
    expected = levels.project(level, delta).flatten(1) @ delta.flatten(1).T
    means, weights = levels.means(g), levels.vector_weights(level)
    total = torch.zeros(3, 3, dtype=torch.float64)
    for row in range(len(CLASSES)):
        u = levels.combinations(level, row) @ means[:, row].T
        total += u.T @ (weights[row][:, None] * u)
    torch.testing.assert_close(total, expected, rtol=0, atol=1e-13)


def test_values_without_labels_have_class_means_and_a_spread(sample):
    """Features: one column, which is no class's own."""
    labels, _ = sample
    levels = Levels.of(labels, torch.zeros(N, 1, dtype=torch.float64), 1.0)
    h = torch.randn(4, N, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    means = torch.stack([h[:, labels == c, 0].mean(1) for c in CLASSES], 1)
    torch.testing.assert_close(levels.means(h)[..., 0], means)
    for level in ("own", "cross"):
        assert levels.project(level, h).abs().max() < 1e-15
    spread = h - means[:, levels.index, None]
    torch.testing.assert_close(levels.project("within", h), spread)
    torch.testing.assert_close(levels.project("class", h), h - spread)


def test_saturated_probabilities_leave_no_nan():
    """p = 1e-60 is zero in float32, where its logarithm is not."""
    logits = torch.tensor([[0.0, -140.0, -150.0], [0.0, -139.0, -160.0]])
    for power in WEIGHTINGS.values():
        levels = Levels.of(torch.tensor([0, 0]), logits.log_softmax(1), power)
        assert levels.unit.isfinite().all() and levels.kappa.isfinite().all()
        assert float(levels.unit.double().square().sum(0).sub(1).abs().max()) < 1e-5
