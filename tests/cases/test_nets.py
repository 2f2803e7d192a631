"""Other people's nets: every matrix right, or refused before a number, in one sentence.

The truth is central differences of PyTorch's own gradient, and dense matrices of its own Jacobian.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hspec.curvature import (
    A1,
    A2,
    B1,
    B2,
    G0,
    G1,
    G2,
    G3,
    Risk,
    class_means,
    delta_means,
    gauss_newton,
    hessian,
    residual,
)
from hspec.linalg import eigsh
from tests.cases.nets import (
    COUPLED,
    REFUSED,
    RIGHT,
    Activation,
    C,
    DetachedBackward,
    N,
    Net,
    StraightThrough,
    batch_first_false,
    mlp,
)

STEP = 1e-5


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def batches():
    x, y = torch.randn(N, 4), torch.arange(N) % C
    return [(x[:5], y[:5]), (x[5:], y[5:])]


def real(t):
    t = t.to_dense() if t.is_sparse else t
    return (torch.view_as_real(t) if t.is_complex() else t).reshape(-1)


def gradient(net, batches):
    """Of the mean cross-entropy, by PyTorch alone, complex parameters as real numbers."""
    loss = sum(F.cross_entropy(net(x), y, reduction="sum") for x, y in batches) / N
    parameters = list(net.parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    pairs = zip(found, parameters, strict=True)
    return torch.cat([real(torch.zeros_like(q) if g is None else g.detach()) for g, q in pairs])


def by_differences(net, batches, v):
    """Hess v from gradients at θ ± ε v."""
    parameters, sides = list(net.parameters()), []
    before = [q.detach().clone() for q in parameters]
    for step in (STEP, -STEP):
        start = 0
        for q, old in zip(parameters, before, strict=True):
            size = real(q.detach()).numel()
            d = v[start : start + size]
            d = torch.view_as_complex(d.reshape(*q.shape, 2)) if q.is_complex() else d.view(q.shape)
            q.data = old + step * d
            start += size
        sides.append(gradient(net, batches))
    for q, old in zip(parameters, before, strict=True):
        q.data = old
    return (sides[0] - sides[1]) / (2 * STEP)


def relative(a, b):
    return float((a - b).norm() / b.norm())


def assert_right(risk, net, batches):
    v = torch.randn(risk.num_parameters)
    Hess, G, H = hessian(risk), gauss_newton(risk), residual(risk)
    assert relative(risk.gradient(), gradient(net, batches)) < 1e-12
    assert relative(Hess @ v, by_differences(net, batches, v)) < 1e-6
    assert relative(G @ v + H @ v, Hess @ v) < 1e-12
    J = jacobian(net, batches)
    p = torch.cat([net(x) for x, _ in batches]).detach().softmax(1)
    M = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    assert relative(G @ v, torch.einsum("ncp,nck,nkq,q->p", J, M, J, v) / N) < 1e-11
    for means, parts in (
        (class_means(risk), (A1, A2, B1, lambda m: B2(risk, m))),
        (delta_means(risk), (G0, G1, G2, lambda m: G3(risk, m))),
    ):
        assert relative(sum(part(means) @ v for part in parts), G @ v) < 1e-11
    if risk.memory_budget:
        class_means_are_those_of_the_definition(risk, J, p, torch.cat([y for _, y in batches]))


def class_means_are_those_of_the_definition(risk, J, p, y):
    g = J - torch.einsum("nk,nkq->nq", p, J)[:, None]
    vectors = class_means(risk).cross_class_vectors
    for c in range(C):
        w = p[y == c]
        expected = torch.einsum("nk,nkq->kq", w / w.sum(0), g[y == c])
        assert float((vectors[c] - expected).norm()) < 1e-10 * float(g.norm())


def jacobian(net, batches):
    """(N, C, p), one backward pass an entry, with the batches as they are."""
    rows = []
    for x, _ in batches:
        f = net(x)
        for entry in f.reshape(-1):
            found = torch.autograd.grad(
                entry, list(net.parameters()), retain_graph=True, allow_unused=True
            )
            pairs = zip(found, net.parameters(), strict=True)
            rows.append(
                torch.cat([real(torch.zeros_like(q) if t is None else t) for t, q in pairs])
            )
    return torch.stack(rows).detach().reshape(N, C, -1)


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT.keys())
@pytest.mark.parametrize("budget", [None, 0], ids=["kept", "rebuilt"])
def test_right(make, budget, batches):
    net = make()
    risk = Risk.from_module(net, batches, C, memory_budget=budget)
    assert_right(risk, net, batches)
    assert risk.independent
    assert all("agrees" in found for found in risk.checks.values())


@pytest.mark.parametrize("make", COUPLED.values(), ids=COUPLED.keys())
def test_coupled_examples(make, batches):
    """Found out, and then everything goes by whole batches,
    whose partition is part of the sample.
    """
    net = make()
    risk = Risk.from_module(net, batches, C)
    assert_right(risk, net, batches)
    assert not risk.independent


def test_the_coupling_layer_is_named(batches):
    risk = Risk.from_module(batch_first_false(), batches, C)
    assert not risk.independent
    assert "examples coupled by layer 'a' (MultiheadAttention)" in repr(risk)


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(make, words, batches):
    risk = Risk.from_module(make(), batches, C)
    with pytest.raises(ValueError, match=words):
        hessian(risk) @ torch.ones(risk.num_parameters)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (torch.tanh, None),
        (DetachedBackward.apply, "the second derivative is wrong"),
        (StraightThrough.apply, "gradient is not the derivative of the loss"),
    ],
    ids=["right", "second", "first"],
)
def test_one_row_of_a_table_that_is_compared_by_sums(function, words, batches):
    """Whole tables of words are not compared entry by entry: what is wrong in one row shows."""

    def forward(m, x):
        rows = m.table[:C]
        return torch.tanh(m.a(x)) @ torch.cat([rows[1:], function(rows[:1])]).T

    net = Net(forward, nn.Linear(4, 24), table=torch.randn(3000, 24))
    risk = Risk.from_module(net, batches, C)
    if words is None:
        assert all("agrees" in found for found in risk.checks.values())
    else:
        with pytest.raises(ValueError, match=words):
            hessian(risk) @ torch.ones(risk.num_parameters)


def test_a_wrong_second_derivative_leaves_what_is_right(batches):
    """Gradient and class means need the first derivative only."""
    make, _ = REFUSED["detached backward"]
    net = make()
    risk = Risk.from_module(net, batches, C)
    assert relative(risk.gradient(), gradient(net, batches)) < 1e-12
    assert class_means(risk).class_vectors.isfinite().all()
    unchecked = Risk.from_module(net, batches, C, check=False)
    assert (hessian(unchecked) @ torch.ones(unchecked.num_parameters)).isfinite().all()
    assert unchecked.checks == {}


def test_layers_in_the_way_are_told(batches):
    for name in ("checkpoint", "ensemble by vmap"):
        risk = Risk.from_module(RIGHT[name](), batches, C)
        risk.gradient()
        assert "by PyTorch's own layers, since with fast layers" in repr(risk)
    plain = Risk.from_module(RIGHT["plain"](), batches, C)
    plain.gradient()
    assert "PyTorch" not in repr(plain)


def test_autocast_inside_a_float32_net(batches):
    """PyTorch's own numbers, to the rounding of bfloat16."""
    net = RIGHT["autocast inside"]().float()
    single = [(x.float(), y) for x, y in batches]
    risk = Risk.from_module(net, single, C)
    v = torch.randn(risk.num_parameters, dtype=torch.float32)
    loss = sum(F.cross_entropy(net(x), y, reduction="sum") for x, y in single) / N
    g = torch.autograd.grad(loss, list(net.parameters()), create_graph=True)
    slope = torch.cat([t.reshape(-1) for t in g]) @ v
    expected = torch.cat(
        [t.reshape(-1) for t in torch.autograd.grad(slope, list(net.parameters()))]
    )
    assert relative(hessian(risk) @ v, expected) < 5e-2


def test_hardsigmoid_by_its_formula(batches):
    """PyTorch has no second derivative of it (and keeps 1/6 in single precision)."""
    net, formula = mlp(torch.nn.Hardsigmoid()), mlp(Activation(lambda t: (t / 6 + 0.5).clamp(0, 1)))
    formula.load_state_dict(net.state_dict())
    found, expected = (hessian(Risk.from_module(m, batches, C)).to_dense() for m in (net, formula))
    assert relative(found, expected) < 1e-12


def written_out(row, x, weight):
    """`F.embedding(x, weight, padding_idx=0)`: the padded row is a constant."""
    return F.embedding(x, weight).where((x != 0)[..., None], row)


@pytest.mark.parametrize(
    ("padded", "formula"),
    [
        (
            lambda m, x: m.b(torch.tanh(m.a(x)).mean(1)),
            lambda m, x: m.b(torch.tanh(written_out(m.row, x, m.a.weight)).mean(1)),
        ),
        (  # the padded row's own gradient comes through the head alone
            lambda m, x: m.b(torch.tanh(m.a(x)).mean(1)) + m.a.weight[:C].sum(1) ** 2,
            lambda m, x: (
                m.b(torch.tanh(written_out(m.row, x, m.a.weight)).mean(1))
                + m.a.weight[:C].sum(1) ** 2
            ),
        ),
        (
            lambda m, x: m.b(torch.tanh(F.embedding(x, 2 * m.a.weight, padding_idx=-7)).mean(1)),
            lambda m, x: m.b(torch.tanh(written_out(2 * m.row, x, 2 * m.a.weight)).mean(1)),
        ),
    ],
    ids=["a layer", "its weight used twice", "a function"],
)
def test_a_padding_row_is_a_constant(padded, formula):
    """As PyTorch has it: no gradient reaches the row that padding_idx names, whatever it does."""
    net = Net(padded, nn.Embedding(7, 4, padding_idx=0), nn.Linear(4, C))
    with torch.no_grad():
        net.a.weight[0] = torch.randn(4)
    x, y = torch.arange(N * 5).reshape(N, 5) % 7, torch.arange(N) % C
    risk = Risk.from_module(net, [(x, y)], C)
    found = hessian(risk).to_dense()
    assert risk.checks["second"].startswith("agrees")
    row = net.a.weight[0].detach().clone()
    net.function, net.row = formula, row
    net.a = nn.Embedding(7, 4, _weight=net.a.weight.detach().clone())
    expected = hessian(Risk.from_module(net, [(x, y)], C)).to_dense()
    assert relative(found, expected) < 1e-12


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("check", [True, False])
def test_padding_is_in_no_bag(mode, check):
    """Given by position, as `nn.EmbeddingBag` does; a bag of nothing but padding is zero."""
    bags = Net(
        lambda m, x: m.b(torch.tanh(m.a(x))),
        nn.EmbeddingBag(7, 4, mode=mode, padding_idx=2),
        nn.Linear(4, C),
    )
    x, y = torch.arange(N * 5).reshape(N, 5) % 7, torch.arange(N) % C
    x[0] = 2
    risk = Risk.from_module(bags, [(x, y)], C, check=check)
    v = torch.randn(risk.num_parameters)
    assert relative(risk.gradient(), gradient(bags, [(x, y)])) < 1e-12
    assert relative(hessian(risk) @ v, by_differences(bags, [(x, y)], v)) < 1e-6


def test_a_fault_beside_padding_is_not_the_embedding_s():
    """The layer that holds padding is not named."""
    net = Net(
        lambda m, x: m.b(StraightThrough.apply(m.a(x)).mean(1)),
        nn.Embedding(7, 4, padding_idx=0),
        nn.Linear(4, C),
    )
    x, y = torch.arange(N * 5).reshape(N, 5) % 7, torch.arange(N) % C
    with pytest.raises(ValueError, match="derivative of the loss in Net: "):
        hessian(Risk.from_module(net, [(x, y)], C)) @ torch.ones(7 * 4 + 4 * C + C)


def test_kinks_are_told_and_not_blamed(batches):
    """A ReLU at exact zeros (zero bias, zero inputs) has no second derivative;
    near it all is well.
    """
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, C))
    torch.nn.init.zeros_(net[0].bias)
    x, y = torch.zeros(N, 4), torch.arange(N) % C
    risk = Risk.from_module(net, [(x, y)], C)
    hessian(risk) @ torch.ones(risk.num_parameters)
    assert all("agrees" in found for found in risk.checks.values())


def test_what_is_not_symmetric_is_said_with_what_is_known(batches):
    """Not blamed on dropout: differences contradict a derivative,
    which unchecked products use."""
    net = REFUSED["once_differentiable"][0]()
    generator = torch.Generator().manual_seed(0)
    unchecked = Risk.from_module(net, batches, C, check=False)
    with pytest.raises(
        ValueError, match=r"Hess.* is not symmetric: .* made with check=False"
    ) as caught:
        eigsh(hessian(unchecked), 1, generator=generator)
    assert "dropout" not in str(caught.value)
    checked = hessian(Risk.from_module(mlp(), batches, C)).diagnosis()
    assert "the second agrees with differences" in checked


def test_a_net_that_is_defined_at_its_own_weights_only(batches):
    """One that asserts a constraint: comparisons elsewhere say nothing, products are right."""
    a, b = nn.Linear(4, 5), nn.Linear(5, C)
    known = a.weight.detach().clone()

    def forward(m, x):
        assert torch.equal(m.a.weight, known), "the constraint is broken"
        return m.b(torch.tanh(m.a(x)))

    risk = Risk.from_module(Net(forward, a, b), batches, C)
    plain = nn.Sequential(a, nn.Tanh(), b)
    right = Risk.from_module(plain, batches, C)
    assert relative(hessian(risk) @ risk.theta, hessian(right) @ right.theta) < 1e-12
    assert risk.independent
    assert all("not compared" in found for found in risk.checks.values())
