"""The means g_{c,c'} and g_c against loops over the examples,
in every order of computing them."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from hspec.curvature import A1, A2, B1, B2, Risk, class_means, delta_means, gauss_newton
from hspec.curvature.classes import streamed_gram as module
from hspec.curvature.engine.sizes import MAX_BLOCK


@pytest.fixture(scope="module")
def risk(case):
    return Risk.from_module(case.net, case.batches, case.C)


@pytest.fixture(scope="module")
def looped(case):
    """p_{c,c'} (C, C) and g_{c,c'} (C, C, p)."""
    members = [(case.y == c).nonzero()[:, 0] for c in range(case.C)]
    p = torch.stack([sum(case.p[n] for n in rows) for rows in members])
    g = (
        torch.stack([sum(case.p[n, :, None] * case.g[n] for n in rows) for rows in members])
        / p[:, :, None]
    )
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


def test_classes_much_smaller_than_batches_are_swept_in_blocks(case, rel):
    """Where the engine takes one vector at a time; not so on convolutions,
    whose products are large enough.
    """
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    risk = Risk.from_module(net, [(x, y)], 3)
    expected = class_means(risk).cross_class_vectors
    risk.graphs.plan = replace(risk.graphs.planned(), block=1)
    means = class_means(risk)
    assert rel(means.cross_class_vectors, expected) < 1e-13
    assert means._tried == MAX_BLOCK
    conv = Risk.from_module(case.net, case.batches, case.C)
    of_conv = class_means(conv)
    of_conv.cross_class_vectors  # noqa: B018
    assert of_conv._tried is None


@pytest.mark.parametrize(
    "budget", [None, 100_000, 20_000, 4_000], ids=["whole", "blocks", "tiles", "single classes"]
)
def test_gram_matrix_streams_within_any_budget(case, risk, rel, budget):
    """Parameter blocks first, then tiles of classes within a parameter; the same numbers."""
    vectors = class_means(risk).cross_class_vectors.flatten(0, 1)
    means = class_means(Risk.from_module(case.net, case.batches, case.C, memory_budget=budget))
    seen = []
    assert (
        rel(means.gram(callback=lambda *counts: seen.append(counts)), vectors @ vectors.T) < 1e-13
    )
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


@pytest.fixture(scope="module")
def some_classes(case):
    """The sample without class 2, of four that the net knows."""
    x, y = case.batches[0]
    return Risk.from_module(case.net, [(x[y != 2], y[y != 2])], case.C)


@pytest.mark.parametrize("make", [class_means, delta_means])
def test_a_class_without_examples_has_no_rows(case, some_classes, make, rel):
    means = make(some_classes)
    x, y = case.batches[0]
    p, g = case.p[:10], case.g[:10]
    assert means.classes.tolist() == [0, 1, 3]
    assert means.counts.tolist() == [int((y == c).sum()) for c in (0, 1, 3)]
    power = 1.0 if make is class_means else 0.5
    for row, c in enumerate((0, 1, 3)):
        weights = (p[y == c] ** (2 * power - 1)).sum(0)
        kappa = p[y == c] ** power / weights
        assert rel(means.weights[row], weights) < 1e-14
        expected = torch.einsum("nk,nkp->kp", kappa, g[y == c])
        assert rel(means.cross_class_vectors[row], expected) < 1e-13
    assert repr(
        means
    ) == f"ClassMeans({means.definition}, p={some_classes.num_parameters}, N={len(x[y != 2])}, " + (
        "C=4, 3 present)"
    )


def test_what_the_vectors_of_a_level_cost(risk):
    means = class_means(risk)
    assert [means.num_gradients(level) for level in ("class", "own", "cross", "between")] == [
        1,
        1,
        3,
        4,
    ]
    assert means.num_products("class") == 0.75 and means.num_products("between") == 2.25


def test_thirty_thousand_labels_cost_what_their_logits_do():
    """Nothing has C² numbers (7 GB here): two classes present,
    of thirty thousand that the head knows.
    """
    torch.manual_seed(0)
    C = 30_000
    net = nn.Sequential(nn.Linear(3, 1), nn.Linear(1, C)).double()
    x, y = torch.randn(4, 3, dtype=torch.float64), torch.tensor([7, 29_999, 7, 7])
    risk = Risk.from_module(net, [(x, y)], C, memory_budget=1 << 28)
    means = class_means(risk)
    assert means.weights.shape == (2, C)
    assert means.class_vectors.shape == (2, risk.num_parameters)
    v = torch.randn(risk.num_parameters, dtype=torch.float64)
    total = (A1(means) + A2(means) + B1(means) + B2(risk, means)) @ v
    assert (total - gauss_newton(risk) @ v).norm() < 1e-12 * total.norm()
    for refused, words in (
        (lambda: means.cross_class_vectors, "60000 vectors of p="),
        (means.gram, "a Gram matrix of 60000 vectors need .* take fewer classes"),
        (B1(means).eigenvalues, "a Gram matrix of 59998 vectors need .* which need products only"),
        (means.distances, "distances between 60002 means need"),
    ):
        with pytest.raises(MemoryError, match=words):
            refused()


def test_other_losses_are_refused(case):
    risk = Risk.from_module(
        case.net, case.batches, case.C, loss=nn.CrossEntropyLoss(label_smoothing=0.1)
    )
    with pytest.raises(ValueError, match="one class index an example"):
        class_means(risk)


class Centred(nn.Module):
    """By its batch: an example's logits have no meaning by themselves."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x - x.mean(0))))


@pytest.fixture(scope="module")
def coupled():
    torch.manual_seed(0)
    return Centred().double(), torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3


@pytest.mark.parametrize("sizes", [[9], [5, 4], [3, 3, 3]], ids=str)
@pytest.mark.parametrize("budget", [None, 0], ids=["in memory", "streamed"])
def test_coupled_examples_keep_the_users_partition(coupled, sizes, budget, rel):
    """Another partition is another matrix G; within each, A1 + A2 + B1 + B2 = G,
    and the means are its own.
    """
    net, x, y = coupled
    batches = list(zip(x.split(sizes), y.split(sizes), strict=True))
    risk = Risk.from_module(net, batches, 3, memory_budget=budget)
    assert not risk.independent
    means = class_means(risk)
    J = torch.cat([jacobian(net, x) for x, _ in batches])
    p = risk.logits().softmax(1)
    g = J - torch.einsum("nk,nkq->nq", p, J)[:, None]
    G = torch.einsum("nk,nkq,nkr->qr", p, g, g) / 9
    assert rel((A1(means) + A2(means) + B1(means) + B2(risk, means)).to_dense(), G) < 1e-12
    assert rel(gauss_newton(risk).to_dense(), G) < 1e-12
    looped = torch.stack(
        [torch.einsum("nk,nkq->kq", p[y == c] / p[y == c].sum(0), g[y == c]) for c in range(3)]
    ).flatten(0, 1)
    assert rel(means.gram(), looped @ looped.T) < 1e-12
    if budget is None:
        assert rel(means.cross_class_vectors.flatten(0, 1), looped) < 1e-12
        assert means.num_gradients("class") == 3


def jacobian(net, x):
    """(n, C, p) of one batch as it is."""
    parameters = dict(net.named_parameters())
    found = torch.func.jacrev(lambda t: torch.func.functional_call(net, t, (x,)))(parameters)
    return torch.cat([t.flatten(2) for t in found.values()], 2).detach()


def test_another_partition_is_another_matrix(coupled, rel):
    net, x, y = coupled
    whole, halves = (
        gauss_newton(
            Risk.from_module(net, list(zip(x.split(n), y.split(n), strict=True)), 3)
        ).to_dense()
        for n in (9, 5)
    )
    assert rel(halves, whole) > 0.05


class Bag(nn.Module):
    """The mean over words, without padding, and two layers."""

    def __init__(self):
        super().__init__()
        self.words, self.layers = (
            nn.Embedding(9, 4),
            nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)),
        )

    def forward(self, ids):
        seen = (ids != 0).double()[:, :, None]
        return self.layers((self.words(ids) * seen).sum(1) / seen.sum(1))


def test_batches_of_several_lengths(rel):
    """Sentences, each batch padded to its own longest,
    as if all had been padded to one length."""
    torch.manual_seed(0)
    net, y = Bag().double(), torch.tensor([0, 1, 2, 0, 1, 2, 2])
    ids = torch.randint(1, 9, (7, 6))
    ids[:4, 4:] = 0
    ragged = class_means(Risk.from_module(net, [(ids[:4, :4], y[:4]), (ids[4:], y[4:])], 3))
    padded = class_means(Risk.from_module(net, [(ids, y)], 3))
    assert rel(ragged.class_vectors, padded.class_vectors) < 1e-12
    assert rel(ragged.cross_class_vectors, padded.cross_class_vectors) < 1e-12
