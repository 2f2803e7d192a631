"""Any loss, outputs of any shape, any batch: L, its gradient, Hess, G and H against dense
references.

L must be PyTorch's own loss(outputs, targets) on the whole sample, however that is cut into
batches.
"""

import copy
from collections import UserDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, jacrev
from torch.func import hessian as dense_hessian

from hspec.curvature import (
    Risk,
    class_means,
    exact_gauss_newton_spectrum,
    gauss_newton,
    hessian,
    residual,
    split_product,
)

N = 7


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classes(*shape, high=4, seed=0):
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


class Tokens(nn.Module):
    """(n, T) words to (n, T, V) logits, embedding and head tied."""

    def __init__(self):
        super().__init__()
        self.words, self.mix = nn.Embedding(4, 3), nn.Linear(3, 3)

    def forward(self, ids):
        return torch.tanh(self.mix(self.words(ids)).cumsum(1)) @ self.words.weight.T


def seeded(make):
    torch.manual_seed(0)
    return make().double()


def vectors(width):
    return lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, width))


PIXELS = lambda: nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Tanh(), nn.Conv2d(2, 4, 1))  # noqa: E731
LOGPROBS = lambda: nn.Sequential(*vectors(4)(), nn.LogSoftmax(1))  # noqa: E731
SOME_IGNORED = classes(N, 5).where(draw(N, 5, seed=2) > -0.5, -100)
WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 0.3], dtype=torch.float64)

# name: (net, inputs, targets, loss, outputs and targets as PyTorch's loss wants them)
CASES = {
    "cross-entropy": (vectors(4), draw(N, 3), classes(N), nn.CrossEntropyLoss(), None),
    "class weights": (vectors(4), draw(N, 3), classes(N), nn.CrossEntropyLoss(WEIGHTS), None),
    "smoothing": (
        vectors(4),
        draw(N, 3),
        classes(N),
        nn.CrossEntropyLoss(label_smoothing=0.2),
        None,
    ),
    "weights, smoothing": (
        vectors(4),
        draw(N, 3),
        classes(N),
        nn.CrossEntropyLoss(WEIGHTS, label_smoothing=0.1),
        None,
    ),
    "ignored labels": (
        vectors(4),
        draw(N, 3),
        torch.tensor([0, 1, 9, 3, 9, 2, 1]),
        nn.CrossEntropyLoss(WEIGHTS, ignore_index=9),
        None,
    ),
    "soft labels": (vectors(4), draw(N, 3), draw(N, 4).softmax(1), nn.CrossEntropyLoss(), None),
    "soft labels, weights, smoothing": (
        vectors(4),
        draw(N, 3),
        draw(N, 4).softmax(1),
        nn.CrossEntropyLoss(WEIGHTS, label_smoothing=0.1),
        None,
    ),
    "sum": (vectors(4), draw(N, 3), classes(N), nn.CrossEntropyLoss(reduction="sum"), None),
    "tokens": (
        Tokens,
        classes(N, 5),
        SOME_IGNORED,
        nn.CrossEntropyLoss(),
        lambda f, y: (f.flatten(0, 1), y.flatten()),
    ),
    "pixels": (PIXELS, draw(N, 1, 3, 2), classes(N, 3, 2), nn.CrossEntropyLoss(WEIGHTS), None),
    "squared error": (vectors(2), draw(N, 3), draw(N, 2, seed=1), nn.MSELoss(), None),
    "squared error, sum": (
        vectors(2),
        draw(N, 3),
        draw(N, 2, seed=1),
        nn.MSELoss(reduction="sum"),
        None,
    ),
    "one output": (
        lambda: nn.Sequential(vectors(1)(), nn.Flatten(0)),
        draw(N, 3),
        draw(N, seed=1),
        nn.MSELoss(),
        None,
    ),
    "images": (
        lambda: nn.Conv2d(1, 2, 3, padding=1),
        draw(N, 1, 3, 2),
        draw(N, 2, 3, 2, seed=1),
        nn.MSELoss(),
        None,
    ),
    "one logit": (
        vectors(1),
        draw(N, 3),
        classes(N, 1, high=2).double(),
        nn.BCEWithLogitsLoss(),
        None,
    ),
    "many labels": (
        vectors(4),
        draw(N, 3),
        classes(N, 4, high=2).double(),
        nn.BCEWithLogitsLoss(weight=WEIGHTS, pos_weight=WEIGHTS.flip(0)),
        None,
    ),
    "log-probabilities": (LOGPROBS, draw(N, 3), classes(N), nn.NLLLoss(WEIGHTS), None),
    "Huber by autograd": (
        vectors(2),
        draw(N, 3),
        draw(N, 2, seed=1),
        nn.HuberLoss(delta=0.5),
        None,
    ),
    "function of each example": (
        vectors(2),
        draw(N, 3),
        draw(N, 2, seed=1),
        lambda f, y: (f - y).pow(4).sum(1),
        None,
    ),
    "L1, linear in the outputs": (vectors(2), draw(N, 3), draw(N, 2, seed=1), nn.L1Loss(), None),
}


@pytest.fixture(params=CASES.items(), ids=CASES.keys())
def trial(request):
    """(risk over ragged batches, dense loss of θ, outputs of θ)."""
    _, (make, x, y, loss, arranged) = request.param
    net = seeded(make)
    batches = list(zip(x.split(3), y.split(3), strict=True))
    risk = Risk.from_module(net, batches, loss=loss)
    shapes = {name: q.shape for name, q in net.named_parameters()}

    def outputs(theta):
        pieces = theta.split([s.numel() for s in shapes.values()])
        parameters = {n: p.view(s) for (n, s), p in zip(shapes.items(), pieces, strict=True)}
        return functional_call(net, parameters, (x,))

    def value(theta):
        f, targets = outputs(theta), y
        f, targets = (f, targets) if arranged is None else arranged(f, targets)
        found = loss(f, targets)
        return found.mean() if found.dim() else found

    return risk, value, outputs


def test_loss_and_gradient_are_pytorchs_on_the_whole_sample(trial, rel):
    risk, value, _ = trial
    assert risk.loss() == pytest.approx(float(value(risk.theta)), rel=1e-13)
    assert rel(risk.gradient(), torch.func.grad(value)(risk.theta)) < 1e-12


def test_hessian_is_dense_and_the_sum_of_its_parts(trial, rel):
    risk, value, _ = trial
    H = dense_hessian(value)(risk.theta)
    assert rel(hessian(risk).to_dense(), H) < 1e-12
    parts = gauss_newton(risk).to_dense() + residual(risk).to_dense()
    assert float((parts - H).norm()) < 1e-12 * float(H.norm())
    X = draw(risk.num_parameters, 2)
    for Y, A in zip(split_product(risk, X), (hessian, gauss_newton, residual), strict=True):
        assert float((Y - A(risk) @ X).norm()) < 1e-12 * float(H.norm() * X.norm())


def test_gauss_newton_is_the_jacobians_sandwich(trial, request):
    """G = Jᵀ M J with M = ∂²L/∂f² in output space, formed densely."""
    risk, _, outputs = trial
    _, (_, _, y, loss, arranged) = request.node.callspec.params["trial"]
    if isinstance(loss, nn.NLLLoss):
        loss = nn.CrossEntropyLoss(
            loss.weight
        )  # of log-probabilities as logits: the Fisher information
    J = jacrev(outputs)(risk.theta).flatten(0, -2)
    f = outputs(risk.theta).detach()

    def of_outputs(flat):
        g, targets = flat.view_as(f), y
        g, targets = (g, targets) if arranged is None else arranged(g, targets)
        found = loss(g, targets)
        return found.mean() if found.dim() else found

    M = dense_hessian(of_outputs)(f.flatten())
    G = J.T @ M @ J
    scale = max(float(G.norm()), float(hessian(risk).to_dense().norm()))
    assert float((gauss_newton(risk).to_dense() - G).norm()) < 1e-12 * scale


def test_float32_agrees(trial, request, rel):
    _, (make, x, y, loss, _) = request.node.callspec.params["trial"]
    net = seeded(make).float()
    single = [t.float() if t.is_floating_point() else t for t in (x, y)]
    risk = Risk.from_module(net, [tuple(single)], loss=copy.deepcopy(loss))
    v = draw(risk.num_parameters)
    # Parameters are rounded to float32, too, so Hess moves by as much.
    assert rel((hessian(risk) @ v.float()).double(), hessian(trial[0]) @ v) < 1e-4


def test_batches_of_any_kind(rel):
    """Dicts, several inputs, structured outputs: by `forward`."""

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = nn.Embedding(5, 3), nn.Linear(3, 4)

        def forward(self, input_ids, attention_mask):
            h = torch.tanh(self.words(input_ids)) * attention_mask[..., None]
            return {"logits": self.head(h.sum(1) / attention_mask.sum(1, keepdim=True))}

    net = seeded(Encoder)
    ids, mask, y = classes(N, 6, high=5), torch.ones(N, 6, dtype=torch.float64), classes(N)
    mask[:, 4:] = 0
    batches = [
        UserDict(input_ids=i, attention_mask=m, labels=t)
        for i, m, t in zip(ids.split(3), mask.split(3), y.split(3), strict=True)
    ]

    def forward(module, batch):
        assert isinstance(batch, UserDict)
        inputs = {k: v for k, v in batch.items() if k != "labels"}
        return module(**inputs)["logits"], batch["labels"]

    risk = Risk.from_module(net, batches, forward=forward)
    assert (risk.num_examples, risk.num_classes, risk.independent) == (N, 4, False)

    def value(theta):
        pieces = theta.split([q.numel() for q in net.parameters()])
        named = zip(net.named_parameters(), pieces, strict=True)
        parameters = {name: piece.view(q.shape) for (name, q), piece in named}
        return F.cross_entropy(functional_call(net, parameters, (ids, mask))["logits"], y)

    assert rel(hessian(risk).to_dense(), dense_hessian(value)(risk.theta)) < 1e-12
    means = class_means(risk)  # by whole batches, as nobody knows how to sort such ones by class
    assert means.class_vectors.shape == (len(means.classes), risk.num_parameters)
    assert exact_gauss_newton_spectrum(risk)[0] == pytest.approx(
        float(torch.linalg.eigvalsh(gauss_newton(risk).to_dense())[-1]), rel=1e-10
    )


def test_a_loss_that_differentiates_the_net_has_a_hessian_only(rel):
    """Physics-informed: the residual of u' = −u at points x."""
    net = seeded(lambda: nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)))
    x = draw(N, 1)

    def forward(module, x):
        x = x.clone().requires_grad_(True)
        return module(x), x

    def equation(u, x):
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        return (slope + u).square().sum(1)

    risk = Risk.from_module(net, list(x.split(3)), loss=equation, forward=forward)

    def value(theta):
        pieces = theta.split([q.numel() for q in net.parameters()])
        named = zip(net.named_parameters(), pieces, strict=True)
        parameters = {name: piece.view(q.shape) for (name, q), piece in named}
        u = lambda t: functional_call(net, parameters, (t[None],))[0, 0]  # noqa: E731
        slopes, values = torch.func.vmap(torch.func.grad_and_value(u))(x)
        return (slopes[:, 0] + values).square().mean()

    assert risk.loss() == pytest.approx(float(value(risk.theta)))
    assert rel(hessian(risk).to_dense(), dense_hessian(value)(risk.theta)) < 1e-12
    assert rel(risk.gradient(), torch.func.grad(value)(risk.theta)) < 1e-12
    for A in (gauss_newton, residual):
        with pytest.raises(
            ValueError, match=r"no function of the outputs alone .*: use hessian\(risk\)"
        ):
            A(risk) @ torch.ones(risk.num_parameters, dtype=torch.float64)


REFUSED = {
    "classes for regression": (vectors(2), draw(N, 2), nn.MSELoss(), "for outputs", 3),
    "a vector for a column": (vectors(1), draw(N), nn.MSELoss(), "needs the same shape", 3),
    "float labels": (vectors(4), draw(N), None, r"for regression pass loss=nn.MSELoss\(\)", 3),
    "one logit": (vectors(1), classes(N, high=2), None, r"pass loss=nn.BCEWithLogitsLoss\(\)", 3),
    "all ignored": (vectors(4), torch.full((N,), -100), None, "every target is ignored", 3),
    "unnormalised": (vectors(4), classes(N), nn.NLLLoss(), "end the module in log_softmax", 3),
    "a number": (
        vectors(2),
        draw(N, 2),
        lambda f, y: (f - y).square().mean(),
        'reduction="mean"',
        3,
    ),
}


@pytest.mark.parametrize(
    ("make", "y", "loss", "words", "width"), REFUSED.values(), ids=REFUSED.keys()
)
def test_targets_that_do_not_fit_are_refused_with_a_remedy(make, y, loss, words, width):
    if words == "for outputs":
        y = y[:, :1]
    with pytest.raises(ValueError, match=words):
        Risk.from_module(seeded(make), [(draw(N, width), y)], loss=loss)


def test_logits_that_can_be_read_two_ways_are_refused():
    net = seeded(lambda: nn.Sequential(nn.Linear(3, 12), nn.Unflatten(1, (4, 3)), nn.Linear(3, 4)))
    with pytest.raises(ValueError, match="second or in the last dimension"):
        Risk.from_module(net, [(draw(N, 3), classes(N, 4))])


def test_losses_that_are_no_losses():
    with pytest.raises(TypeError, match=r"pass an instance, MSELoss\(\)"):
        Risk.from_module(seeded(vectors(2)), [(draw(N, 3), draw(N, 2))], loss=nn.MSELoss)
    with pytest.raises(TypeError, match=r"loss is a PyTorch loss .* got str"):
        Risk.from_module(seeded(vectors(2)), [(draw(N, 3), draw(N, 2))], loss="mse")
    with pytest.raises(ValueError, match='reduction is "mean" or "sum"'):
        Risk.from_module(
            seeded(vectors(2)), [(draw(N, 3), draw(N, 2))], loss=nn.MSELoss(), reduction="none"
        )


def test_class_means_are_of_plain_cross_entropy():
    for loss in (
        nn.MSELoss(),
        nn.CrossEntropyLoss(WEIGHTS),
        nn.CrossEntropyLoss(label_smoothing=0.1),
    ):
        y = draw(N, 4) if isinstance(loss, nn.MSELoss) else classes(N)
        risk = Risk.from_module(seeded(vectors(4)), [(draw(N, 3), y)], loss=loss)
        with pytest.raises(
            ValueError, match="exist for the cross-entropy of one class index an example"
        ):
            class_means(risk)
