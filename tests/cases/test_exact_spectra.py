"""The exact spectrum of G on other people's nets, against dense eigenvalues,
by whichever route is right.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hspec.curvature import Risk, exact_gauss_newton_spectrum, gauss_newton
from hspec.curvature.classes import gram
from tests.cases.nets import COUPLED, RIGHT, C, Net, linear

N = 9


def tied_heads():
    """One weight under two modules, each called once."""
    net = Net(
        lambda m, x: m.c(torch.tanh(m.b(torch.tanh(m.a(x))))),
        nn.Linear(4, 4),
        nn.Linear(4, 4),
        nn.Linear(4, C),
    )
    net.b.weight = net.a.weight
    return net


def listed(m, x):
    for w in m.a:
        x = torch.tanh(x @ w)
    return m.b(x)


def masked(m, x):
    h = torch.tanh(m.a(x))
    return m.b(h.masked_fill(x[:, :1] > 0, 0.0))


def for_some_examples(m, x):
    """An expert that is given those examples which a gate sends it, by index."""
    chosen = x[:, 0] > 0
    h = torch.tanh(m.a(x))
    h = h.index_put((chosen.nonzero()[:, 0],), torch.tanh(m.b(x[chosen])))
    return m.c(h)


def in_another_order(m, x):
    return m.b(torch.tanh(m.a(x.flip(0))).flip(0))


def two_rows_exchanged(m, x):
    order = torch.arange(len(x))
    order[:2] = order[:2].flip(0)
    return m.b(torch.tanh(m.a(x[order]))[order])


def one_example_is_not_enough(m, x):
    h = torch.tanh(m.a(x)).squeeze()
    return m.b(h) if h.dim() == 2 else torch.zeros(1, C) * h.sum()


def with_a_bias_used_twice(m, x):
    return m.b(torch.tanh(m.a(x))) + m.a.bias[:C]


def prototypes(m, x):
    """As many as the first batch has examples."""
    return torch.tanh(m.b(x)) @ torch.tanh(m.a(m.p)).T @ m.q


def as_many_prototypes_as_examples():
    return Net(
        prototypes, nn.Linear(4, 5), nn.Linear(4, 5), p=torch.randn(5, 4), q=torch.randn(5, C)
    )


def frozen(net, *names):
    for name in names:
        net.get_submodule(name).requires_grad_(False)
    return net


# Kinds that the routes have to tell apart, beside those of `RIGHT`.
MORE = {
    "tied heads": tied_heads,
    "ParameterList": lambda: Net(
        listed,
        nn.ParameterList([nn.Parameter(torch.randn(4, 4)) for _ in range(2)]),
        nn.Linear(4, C),
    ),
    "masks": lambda: Net(masked, *linear()),
    "experts by index": lambda: Net(
        for_some_examples, nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(5, C)
    ),
    "another order": lambda: Net(in_another_order, *linear()),
    "two rows exchanged": lambda: Net(two_rows_exchanged, *linear()),
    "squeezed": lambda: Net(one_example_is_not_enough, *linear()),
    "bias used twice": lambda: Net(with_a_bias_used_twice, *linear()),
    "as many prototypes as examples": as_many_prototypes_as_examples,
    "frozen backbone": lambda: frozen(Net(lambda m, x: m.b(torch.tanh(m.a(x))), *linear()), "a"),
    "frozen head": lambda: frozen(Net(lambda m, x: m.b(torch.tanh(m.a(x))), *linear()), "b"),
    "sequences": lambda: Net(
        lambda m, x: m.b(torch.tanh(m.a(x.unflatten(1, (2, 2)))).sum(1)),
        nn.Linear(2, 5),
        nn.Linear(5, C),
    ),
    "sequences first": lambda: Net(
        lambda m, x: m.b(torch.tanh(m.a(x.unflatten(1, (2, 2)).transpose(0, 1))).sum(0)),
        nn.Linear(2, 5),
        nn.Linear(5, C),
    ),
    "attention": lambda: Net(
        lambda m, x: m.b(m.a(*3 * (x.unflatten(1, (2, 2)),))[0].mean(1)),
        nn.MultiheadAttention(2, 1, batch_first=True),
        nn.Linear(2, C),
    ),
    "one dimension": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4, C)
    ),
    "LSTM cell": lambda: Net(lambda m, x: m.b(m.a(x)[0]), nn.LSTMCell(4, 3), nn.Linear(3, C)),
    "bilinear": lambda: Net(
        lambda m, x: m.b(torch.tanh(m.a(x, x))), nn.Bilinear(4, 4, 3), nn.Linear(3, C)
    ),
    "layer norm": lambda: nn.Sequential(
        nn.Linear(4, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, C)
    ),
}


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


def dense_eigenvalues(net, batches):
    """Of (1/N) Σ Jᵀ (diag p − p pᵀ) J, J one backward pass an entry; padded to N·C."""
    parameters = [q for q in net.parameters() if q.requires_grad]
    G, total = 0.0, sum(len(x) for x, _ in batches)
    for x, _ in batches:
        f = net(x)
        for row in f:
            J = torch.stack([flat_gradient(entry, parameters) for entry in row])
            p = row.detach().softmax(0)
            G = G + J.T @ (torch.diag(p) - torch.outer(p, p)) @ J / total
    values = torch.linalg.eigvalsh(G).flip(0)
    return np.pad(values.numpy(), (0, max(0, total * C - len(values))))


def flat_gradient(entry, parameters):
    found = torch.autograd.grad(entry, parameters, retain_graph=True, allow_unused=True)
    pieces = [
        torch.zeros_like(q) if g is None else g for g, q in zip(found, parameters, strict=True)
    ]
    pieces = [g.to_dense() if g.is_sparse else g for g in pieces]
    return torch.cat([(torch.view_as_real(g) if g.is_complex() else g).reshape(-1) for g in pieces])


@pytest.mark.parametrize(
    "make", (RIGHT | MORE | COUPLED).values(), ids=(RIGHT | MORE | COUPLED).keys()
)
def test_against_dense_eigenvalues(make, batches):
    """Without the check, too: it is there for what nobody has thought of."""
    net = make()
    risk, exact = Risk.from_module(net, batches, C), dense_eigenvalues(net, batches)
    for check in (False, True):
        found = exact_gauss_newton_spectrum(risk, check=check)
        assert found.shape == (N * C,)
        np.testing.assert_allclose(found, exact[: N * C], rtol=0, atol=1e-11 * exact[0])


def test_plain_layers_need_no_jacobian(batches, monkeypatch):
    monkeypatch.setattr(gram, "gradient_rows", lambda *_: pytest.fail("a Jacobian was formed"))
    for net in (
        RIGHT["plain"](),
        MORE["frozen backbone"](),
        MORE["frozen head"](),
        RIGHT["hooks"](),
    ):
        exact_gauss_newton_spectrum(Risk.from_module(net, batches, C))


def test_a_wrong_gram_matrix_is_noticed_and_made_again(batches, monkeypatch):
    """By the product with a random vector, should the trials of a layer ever be deceived."""
    net = as_many_prototypes_as_examples()
    exact = dense_eigenvalues(net, batches[:1])
    monkeypatch.setattr("hspec.curvature.engine.observed._contradicted", lambda *_: {})
    risk = Risk.from_module(net, batches[:1], C)
    deceived = exact_gauss_newton_spectrum(risk, check=False)
    assert abs(deceived[0] - exact[0]) > 1e-2 * exact[0]
    found = exact_gauss_newton_spectrum(risk)
    np.testing.assert_allclose(found, exact[: len(found)], rtol=0, atol=1e-11 * exact[0])


def test_what_is_wrong_by_either_route_is_refused(batches, monkeypatch):
    rows = gram.gradient_rows
    monkeypatch.setattr(gram, "gradient_rows", lambda *given: (1.001 * r for r in rows(*given)))
    with pytest.raises(
        RuntimeError, match=r"contradicts a product with it: aᵀ K a = .* check=False"
    ):
        exact_gauss_newton_spectrum(Risk.from_module(RIGHT["GRU"](), batches, C))


def test_parameters_that_the_outputs_do_not_depend_on(batches):
    net = Net(lambda m, x: m.b(torch.tanh(torch.no_grad()(m.a)(x))), *linear())
    with pytest.raises(ValueError, match="do not depend on any of the chosen parameters"):
        exact_gauss_newton_spectrum(Risk.from_module(net, batches, C, parameters="a"))
    with pytest.raises(
        ValueError, match=r"gradient is not the derivative of the loss.*torch.no_grad\(\)"
    ):
        exact_gauss_newton_spectrum(Risk.from_module(net, batches, C))


def logistic(f, y):
    return F.binary_cross_entropy_with_logits(f, F.one_hot(y, C).to(f), reduction="none").mean(1)


def wavy(f, y):
    """Not convex: its second derivative has both signs."""
    return torch.sin(3 * f).sum(1)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)),
        nn.CrossEntropyLoss(label_smoothing=0.2),
        nn.CrossEntropyLoss(reduction="sum"),
        logistic,
        wavy,
    ],
    ids=["weighted", "smoothed", "summed", "logistic", "wavy"],
)
@pytest.mark.parametrize("net", ["plain", "GRU"])
def test_other_losses(loss, net, batches):
    risk = Risk.from_module(RIGHT[net](), batches, C, loss=loss)
    exact = torch.linalg.eigvalsh(gauss_newton(risk).to_dense())
    exact = (
        torch.cat([exact, torch.zeros(max(0, N * C - len(exact)))])
        .sort(descending=True)
        .values.numpy()
    )
    found = exact_gauss_newton_spectrum(risk)
    large = [
        np.sort(values[np.abs(values) > 1e-9 * np.abs(exact).max()]) for values in (found, exact)
    ]
    np.testing.assert_allclose(*large, rtol=0, atol=1e-11 * np.abs(exact).max())


def test_squared_error_and_positions(batches):
    """Regression; and a language model's kind, with several rows of logits an example."""
    regression = [(x, torch.randn(len(x), C)) for x, _ in batches]
    tokens = [(x, y[:, None].expand(-1, 2)) for x, y in batches]
    by_token = Net(
        lambda m, x: m.b(torch.tanh(m.a(x.unflatten(1, (2, 2))))), nn.Linear(2, 5), nn.Linear(5, C)
    )
    for net, data, loss in ((RIGHT["plain"](), regression, nn.MSELoss()), (by_token, tokens, None)):
        risk = Risk.from_module(net, data, loss=loss)
        exact = torch.linalg.eigvalsh(gauss_newton(risk).to_dense()).flip(0).numpy()
        found = exact_gauss_newton_spectrum(risk)
        n = min(len(found), len(exact))
        np.testing.assert_allclose(found[:n], exact[:n], rtol=0, atol=1e-11 * exact[0])
        with pytest.raises(ValueError, match="one class index an example"):
            exact_gauss_newton_spectrum(risk, without=("A1",))
