"""What would be lost without an error: parameters that derivatives do not see, batches that are not
what they were, means that do not add up. Each gives PyTorch's own numbers, or is refused.
"""

import copy
import functools
import pickle
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.functional import hessian as dense_hessian
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize

from hspec.curvature import (
    Risk,
    class_means,
    empirical_fisher,
    exact_gauss_newton_spectrum,
    gauss_newton,
    hessian,
)
from hspec.curvature.fingerprint import fingerprint
from hspec.yours.spectrum import spectrum_of

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(9, 4, generator=GENERATOR, dtype=torch.float64)
Y = torch.arange(9) % 3
UNEVEN = [(X[:6], Y[:6]), (X[6:8], Y[6:8]), (X[8:], Y[8:])]


def mlp():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def dense(net, value):
    """The Hessian of value(function), function(x) the net's outputs on x, in all its parameters."""
    shapes = {name: q.shape for name, q in net.named_parameters()}
    theta = torch.cat([q.detach().reshape(-1) for q in net.parameters()])

    def of(theta):
        pieces = theta.split([s.numel() for s in shapes.values()])
        own = {n: p.view(s) for (n, s), p in zip(shapes.items(), pieces, strict=True)}
        return value(lambda *x: functional_call(copy.deepcopy(net), own, x), theta)

    return dense_hessian(of, theta)


def cross_entropy(f, _):
    return F.cross_entropy(f(X), Y)


def of_the_net_itself(net):
    return {"forward": lambda module, batch: (net(batch[0]), batch[1])}


def with_a_lambda(net):
    net.body = net[0]
    net.forward = lambda x: net[2](net[1](net[0](x)))
    return {}


def with_a_hook(net):
    net[0].register_forward_hook(lambda module, x, out: out + net[0].weight.sum())
    return {}


def with_weight_decay(net):
    def loss(f, y):
        penalty = sum(q.square().sum() for q in net.parameters())
        return F.cross_entropy(f, y, reduction="none") + 0.1 * penalty

    return {"loss": loss}


@pytest.mark.parametrize(
    "closed", [of_the_net_itself, with_a_lambda, with_a_hook, with_weight_decay]
)
def test_a_function_that_names_the_original_module_is_refused(closed):
    net = mlp()
    risk = Risk.from_module(net, UNEVEN, **closed(net))
    with pytest.raises(ValueError, match=r"the module's own parameters \(0.weight"):
        hessian(risk) @ torch.ones(risk.num_parameters, dtype=torch.float64)
    with pytest.raises(ValueError, match="the module's own parameters"):
        Risk.from_module(net, UNEVEN, check=False, **closed(net)).gradient()


def test_the_remedies_for_it_give_pytorchs_numbers(rel):
    net = mlp()
    risk = Risk.from_module(net, UNEVEN, forward=lambda module, batch: (module(batch[0]), batch[1]))
    assert rel(hessian(risk).to_dense(), dense(net, cross_entropy)) < 1e-12
    decayed = dense(net, lambda f, theta: cross_entropy(f, theta) + 0.1 * theta.square().sum())
    assert rel((hessian(risk) + 0.2).to_dense(), decayed) < 1e-12


def test_a_teachers_parameters_are_constants(rel):
    net, teacher = mlp(), mlp()

    def forward(module, batch):
        return module(batch[0]), teacher(batch[0])

    risk = Risk.from_module(net, UNEVEN, forward=forward, loss=nn.MSELoss())
    expected = dense(net, lambda f, _: F.mse_loss(f(X), teacher(X).detach()))
    assert rel(hessian(risk).to_dense(), expected) < 1e-12


class Compiled(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)
        self.body = torch.compile(self.hidden, backend="aot_eager")

    def hidden(self, x):
        return torch.tanh(self.first(x))

    def forward(self, x):
        return self.last(self.body(x))


def compiled_forward():
    net = mlp()
    net.forward = torch.compile(net.forward, backend="aot_eager")
    return net, mlp()


def compiled_method():
    net = Compiled().double()
    plain = copy.deepcopy(net)
    plain.body = plain.hidden
    return net, plain


@pytest.mark.parametrize("make", [compiled_forward, compiled_method])
def test_methods_that_were_compiled_are_the_copys_own(make, rel):
    net, plain = make()
    plain.load_state_dict(net.state_dict())
    expected = dense(plain, cross_entropy)
    assert rel(hessian(Risk.from_module(net, UNEVEN)).to_dense(), expected) < 1e-12


class Biases(nn.Module):
    """Attention biases gathered once, as vision transformers do in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.query, self.value = nn.Linear(2, 4), nn.Linear(2, 3)
        self.biases, self.cache = nn.Parameter(torch.randn(3)), {}
        self.register_buffer("places", torch.tensor([[0, 1], [2, 0]]))

    def forward(self, x):
        x = x.unflatten(1, (2, 2))
        if "cpu" not in self.cache:
            self.cache["cpu"] = self.biases[self.places]
        q = self.query(x)
        return ((q @ q.mT + self.cache["cpu"]).softmax(-1) @ self.value(x)).mean(1)


class Product(nn.Module):
    """A weight made of two, once."""

    def __init__(self):
        super().__init__()
        self.u, self.v = nn.Parameter(torch.randn(5, 2)), nn.Parameter(torch.randn(2, 4))
        self.last = nn.Linear(5, 3)

    @functools.cached_property
    def weight(self):
        return self.u @ self.v

    def forward(self, x):
        return self.last(torch.tanh(F.linear(x, self.weight)))


class Lazy(Product):
    """The same in an attribute that is None at first."""

    weight = None

    def forward(self, x):
        if self.weight is None:
            self.weight = self.u @ self.v
        return super().forward(x)


class Scaled(nn.Module):
    """A constant tensor of no graph, a table that does not depend on parameters, kept features."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)
        self.scale, self.table, self.features = torch.tensor(2.0).double(), None, None

    def forward(self, x):
        if self.table is None:
            self.table = torch.arange(5).to(x)
        self.features = torch.tanh(self.first(x) + self.table)
        return self.last(self.scale * self.features)


@pytest.mark.parametrize("used_before", [None, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("make", [Biases, Product, Lazy, Scaled])
def test_what_a_module_keeps_of_its_parameters_is_made_anew(make, used_before, rel):
    torch.manual_seed(2)
    net = make().double()
    expected = dense(net, cross_entropy)
    if used_before is not None:
        with used_before():
            net(X)
    before = {name: id(value) for name, value in vars(net).items()}
    for options in ({}, {"memory_budget": 0}):
        risk = Risk.from_module(net, UNEVEN, **options)
        assert rel(hessian(risk).to_dense(), expected) < 1e-12
        assert all("agrees" in said for said in risk.checks.values())
    assert before == {name: id(value) for name, value in vars(net).items()}


def test_a_cache_out_of_date_is_refused():
    torch.manual_seed(2)
    net = Product().double()
    with torch.no_grad():
        net(X)
        net.u.mul_(2.0)
    with pytest.raises(
        ValueError, match="keeps 'weight', computed from parameters that have other"
    ):
        Risk.from_module(net, UNEVEN)


def test_parametrizations_that_are_cached_around(rel):
    torch.manual_seed(2)
    net = nn.Sequential(parametrizations.orthogonal(nn.Linear(4, 4)), nn.Linear(4, 3)).double()
    expected = dense(net, cross_entropy)
    with parametrize.cached():
        risk = Risk.from_module(net, UNEVEN)
        assert rel(hessian(risk).to_dense(), expected) < 1e-12


class Prepared(Product):
    """Computed by eval(), which no forward pass makes again."""

    @torch.no_grad()
    def train(self, mode=True):
        super().train(mode)
        if not mode:
            self.kept = self.u @ self.v
        return self

    def forward(self, x):
        weight = self.u @ self.v if self.training else self.kept
        return self.last(torch.tanh(F.linear(x, weight)))


def test_parameters_that_nothing_depends_on_are_told():
    torch.manual_seed(2)
    with pytest.warns(RuntimeWarning, match="does not depend on 'u', 'v': their rows and columns"):
        hessian(Risk.from_module(Prepared().double().eval(), UNEVEN)).to_dense()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hessian(Risk.from_module(Prepared().double(), UNEVEN)).to_dense()


IGNORED = Y.clone()
IGNORED[::2] = -100


def test_ignored_labels_belong_to_no_class():
    net, kept = mlp(), IGNORED >= 0
    risk = Risk.from_module(net, [(X, IGNORED)])
    clean = Risk.from_module(net, [(X[kept], Y[kept])])
    assert risk.labels.tolist() == torch.where(kept, Y, -1).tolist()
    assert risk.error_rate() == clean.error_rate()
    assert not risk.is_labelled
    with pytest.raises(ValueError, match=r"ignores 5 of its 9 labels: leave those examples out"):
        class_means(risk)
    found, expected = map(exact_gauss_newton_spectrum, (risk, clean))
    assert abs(found[: len(expected)] - expected).max() < 1e-12
    sums = Risk.from_module(
        net, [(X, torch.full((9,), -100))], loss=nn.CrossEntropyLoss(reduction="sum")
    )
    with pytest.raises(ValueError, match="every label is ignored"):
        sums.error_rate()


class Weighted(nn.CrossEntropyLoss):
    """A subclass that changes nothing."""


def test_a_subclass_of_pytorchs_loss_knows_its_weights(rel):
    net, loss = mlp(), Weighted(torch.tensor([1.0, 5.0, 0.2]).double())
    risk = Risk.from_module(net, UNEVEN, loss=loss)
    assert risk.loss() == pytest.approx(float(loss(net(X), Y).detach()), rel=1e-13)
    assert rel(hessian(risk).to_dense(), dense(net, lambda f, _: loss(f(X), Y))) < 1e-12


def some_ignored(f, y):
    return F.cross_entropy(f, y, ignore_index=0)


def contrastive(f, _):
    f = F.normalize(f)
    return F.cross_entropy(f @ f.flip(0).T, torch.arange(len(f)))


@pytest.mark.parametrize(
    ("loss", "forward", "told"),
    [
        (some_ignored, None, "the mean of its two halves|that of its two halves"),
        (contrastive, None, "compared with one another"),
        (
            lambda f, _: f,
            lambda m, b: (F.cross_entropy(m(b[0]), b[1]), b[1]),
            "one number, the mean of nobody knows how many",
        ),
        (
            lambda f, y: F.cross_entropy(f.mean(0), y),
            lambda m, b: (m(b[0]).expand(4, -1, -1), b[1]),
            "outputs .* have 4 rows, the targets' first dimension is of other things",
        ),
    ],
)
def test_means_of_batches_that_are_no_mean_of_the_sample(loss, forward, told):
    options = {"loss": loss, "forward": forward, "reduction": "mean"}
    with pytest.raises(ValueError, match=told):
        Risk.from_module(mlp(), UNEVEN, **options)
    one = Risk.from_module(mlp(), [(X, Y)], **options)  # of one batch it is the loss itself
    outputs, targets = forward(mlp(), (X, Y)) if forward else (mlp()(X), Y)
    assert one.loss() == pytest.approx(float(loss(outputs, targets)), rel=1e-13)


def test_means_over_positions_that_targets_have_in_one_row(rel):
    """As language models are trained: logits (B, T, C), labels (B · T,)."""
    net, x = mlp(), torch.randn(5, 3, 4, generator=GENERATOR, dtype=torch.float64)
    y = torch.arange(15) % 3

    def loss(f, y):
        return F.cross_entropy(f.flatten(0, 1), y)

    batches = [(x[:3], y[:9]), (x[3:], y[9:])]
    risk = Risk.from_module(
        net, batches, loss=loss, reduction="mean", forward=lambda m, b: (m(b[0]), b[1])
    )
    assert risk.loss() == pytest.approx(float(loss(net(x), y).detach()), rel=1e-13)
    assert rel(hessian(risk).to_dense(), dense(net, lambda f, _: loss(f(x), y))) < 1e-12


WEIGHTS = torch.tensor([1.0, 5.0, 0.2]).double()


def weighted_mean(f, y):
    return F.cross_entropy(f, y, weight=WEIGHTS)


SORTED = [(X[c == Y], Y[c == Y]) for c in range(3)]
ONE_BY_ONE = [(X[i : i + 1], Y[i : i + 1]) for i in range(9)]


@pytest.mark.parametrize("batches", [SORTED, ONE_BY_ONE])
def test_means_of_batches_with_weights_that_only_other_batches_show(batches, rel):
    net = mlp()
    with pytest.raises(ValueError, match=r"batch 1: the mean of the batch and the one before it"):
        Risk.from_module(net, batches, loss=weighted_mean, reduction="mean")
    expected = dense(net, lambda f, _: weighted_mean(f(X), Y))
    right = Risk.from_module(net, batches, loss=nn.CrossEntropyLoss(WEIGHTS))
    assert rel(hessian(right).to_dense(), expected) < 1e-12
    even = Risk.from_module(net, batches, loss=F.cross_entropy, reduction="mean")
    assert rel(hessian(even).to_dense(), dense(net, cross_entropy)) < 1e-12


@pytest.mark.parametrize("size", [2, 1])
def test_means_over_the_labels_of_padded_lines(size, rel):
    """Lines sorted by length, (B, T, C) for (B, T), those of a batch of one length."""
    net, x = mlp(), torch.randn(4, 5, 4, generator=GENERATOR, dtype=torch.float64)
    y = torch.arange(20).view(4, 5) % 3
    y[:2, 2:] = -100

    def loss(f, y):
        return F.cross_entropy(f.flatten(0, 1), y.flatten())

    batches = list(zip(x.split(size), y.split(size), strict=True))
    with pytest.raises(ValueError, match=r"of the batch and the one before it .* are ignored"):
        Risk.from_module(net, batches, loss=loss, reduction="mean")
    right = Risk.from_module(net, batches)
    assert rel(hessian(right).to_dense(), dense(net, lambda f, _: loss(f(x), y))) < 1e-12


def test_means_with_targets_that_are_no_examples_own(rel):
    """Weights of the outputs beside the labels, as many as there are, in every batch."""
    net = mlp()

    def forward(module, batch):
        return module(batch[0]), {"y": batch[1], "of outputs": WEIGHTS}

    def loss(f, targets):
        return F.cross_entropy(f * targets["of outputs"], targets["y"])

    options = {"loss": loss, "reduction": "mean", "forward": forward}
    for batches in (ONE_BY_ONE, UNEVEN):
        found = hessian(Risk.from_module(net, batches, **options)).to_dense()
        expected = dense(net, lambda f, _: F.cross_entropy(f(X) * WEIGHTS, Y))
        assert rel(found, expected) < 1e-12


def test_a_share_of_a_mean_is_seen_that_single_precision_would_hide():
    y = torch.arange(2000) % 3
    y[1990] = -100
    x = torch.randn(2000, 4, generator=GENERATOR, dtype=torch.float64)
    batches = [(x[:1000], y[:1000]), (x[1000:], y[1000:])]
    with pytest.raises(ValueError, match="batch 1: the mean of the batch"):
        Risk.from_module(mlp(), batches, loss=lambda f, y: F.cross_entropy(f, y), reduction="mean")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_that_are_not_reduced_are_averaged_over_all_of_them(smoothing, rel):
    """As loss(outputs, targets).mean(), of the module and of the function."""
    net, loss = (
        mlp(),
        nn.CrossEntropyLoss(WEIGHTS, ignore_index=0, reduction="none", label_smoothing=smoothing),
    )
    expected = dense(net, lambda f, _: loss(f(X), Y).mean())
    for given in (loss, lambda f, y: loss(f, y)):
        risk = Risk.from_module(net, UNEVEN, loss=given)
        assert risk.loss() == pytest.approx(float(loss(net(X), Y).mean().detach()), rel=1e-13)
        assert rel(hessian(risk).to_dense(), expected) < 1e-12
    likelihood = nn.NLLLoss(WEIGHTS, ignore_index=0, reduction="none")
    normal = nn.Sequential(mlp(), nn.LogSoftmax(1))
    expected = dense(normal, lambda f, _: likelihood(f(X), Y).mean())
    found = hessian(Risk.from_module(normal, UNEVEN, loss=likelihood)).to_dense()
    assert rel(found, expected) < 1e-12
    own = Risk.from_module(net, UNEVEN, loss=loss, reduction="mean")  # PyTorch's "mean" of it
    loss.reduction = "mean"
    assert own.loss() == pytest.approx(float(loss(net(X), Y).detach()), rel=1e-13)


class Centred(nn.Module):
    """A loss that remembers what it saw."""

    centre = 0.0

    def forward(self, f, y):
        self.centre = 0.9 * self.centre + f.detach().mean(0)
        return F.cross_entropy(f - self.centre, y, reduction="none")


@pytest.mark.parametrize(
    "options",
    [
        {"loss": lambda f, y: F.cross_entropy(f + torch.randn_like(f), y, reduction="none")},
        {
            "loss": nn.MSELoss(),
            "forward": lambda m, b: (m(b[0]), torch.randn_like(m(b[0]).detach())),
        },
        {"loss": Centred()},
    ],
    ids=["draws", "targets drawn anew", "keeps a centre"],
)
def test_a_loss_that_changes_from_call_to_call(options):
    with pytest.raises(ValueError, match=r"the same outputs, but .* as the sum of losses"):
        Risk.from_module(mlp(), UNEVEN, **options)


SOFT = torch.randn(9, 3, generator=GENERATOR, dtype=torch.float64)
ONES = torch.ones(3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "targets", "is_convex"),
    [
        (nn.CrossEntropyLoss(), Y, True),
        (nn.CrossEntropyLoss(WEIGHTS), Y, True),
        (nn.CrossEntropyLoss(-WEIGHTS, reduction="sum"), Y, False),
        (nn.CrossEntropyLoss(), SOFT.softmax(1), True),
        (nn.CrossEntropyLoss(), SOFT, False),
        (nn.MSELoss(), SOFT, True),
        (nn.BCEWithLogitsLoss(), SOFT.sigmoid(), True),
        (nn.BCEWithLogitsLoss(), 3 * SOFT, True),  # the second derivative knows no targets
        (nn.BCEWithLogitsLoss(pos_weight=4 * ONES), 3 * SOFT, False),
        (nn.BCEWithLogitsLoss(pos_weight=-ONES), SOFT.sigmoid(), False),
        (nn.BCEWithLogitsLoss(-ONES), SOFT.sigmoid(), False),
        (lambda f, y: F.mse_loss(f, y, reduction="none"), SOFT, False),  # not known
    ],
)
def test_gauss_newton_is_semidefinite_only_where_the_loss_is_convex(loss, targets, is_convex):
    batches = [(X[:5], targets[:5]), (X[5:], targets[5:])]
    risk = Risk.from_module(mlp(), batches, loss=loss)
    assert risk.is_convex is is_convex
    least = float(torch.linalg.eigvalsh(gauss_newton(risk).to_dense())[0])
    if isinstance(loss, nn.Module):
        assert (least > -1e-12) is is_convex
    one = spectrum_of(risk, matrices="G", top=2)["G"]
    assert one.is_semidefinite is is_convex
    if is_convex:
        assert one.negative_share == (0.0, 0.0, 0.0)
    elif least < -1e-3:
        assert one.negative_share[0] > 0


def consistent(module, batch):
    return module(batch[0]), module(1.1 * batch[0])


def test_targets_that_move_with_the_parameters(rel):
    net = mlp()
    with pytest.raises(ValueError, match="targets are computed from the net's own parameters"):
        Risk.from_module(net, UNEVEN, loss=nn.MSELoss(), forward=consistent).gradient()
    by_function = Risk.from_module(
        net, UNEVEN, loss=F.mse_loss, reduction="mean", forward=consistent
    )
    expected = dense(net, lambda f, _: F.mse_loss(f(X), f(1.1 * X)))
    assert rel(hessian(by_function).to_dense(), expected) < 1e-12

    def penalised(module, batch):
        return module(batch[0]), (batch[1], sum(q.square().sum() for q in module.parameters()))

    for share in (0.1, 1e-6):  # also where no loss's value shows it
        risk = Risk.from_module(
            net,
            UNEVEN,
            forward=penalised,
            loss=lambda f, t, a=share: F.cross_entropy(f, t[0], reduction="none") + a * t[1],
        )
        expected = dense(
            net, lambda f, theta, a=share: F.cross_entropy(f(X), Y) + a * theta @ theta
        )
        assert float((hessian(risk).to_dense() - expected).norm()) < 1e-12


def test_named_parameters_of_a_part_are_that_parts():
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Sequential(nn.Linear(5, 3))).double()
    risk = Risk.from_module(net, UNEVEN, parameters=net[2].named_parameters())
    assert list(risk.parameter_slices) == ["2.0.weight", "2.0.bias"]
    with pytest.raises(ValueError, match="no parameter of this module"):
        Risk.from_module(net, UNEVEN, parameters=copy.deepcopy(net).named_parameters())


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kept", [True, False])
def test_batches_that_are_written_into_are_refused(which, kept):
    batch = X.clone(), Y.clone()
    risk = Risk.from_module(mlp(), [batch], memory_budget=None if kept else 0)
    A = hessian(risk)
    v = torch.ones(risk.num_parameters, dtype=torch.float64)
    before = A @ v
    for other in (copy.deepcopy(risk), pickle.loads(pickle.dumps(risk))):
        torch.testing.assert_close(hessian(other) @ v, before)
    batch[which][:2] = 0
    for product in (lambda: A @ v, lambda: empirical_fisher(risk) @ v, risk.gradient):
        with pytest.raises(ValueError, match="batch 0 has been written into"):
            product()


class Detached(torch.autograd.Function):
    """tanh, whose second derivative is lost."""

    @staticmethod
    def forward(ctx, t):
        ctx.save_for_backward(t)
        return t.tanh()

    @staticmethod
    def backward(ctx, g):
        return g * (1 - ctx.saved_tensors[0].detach().tanh() ** 2)


class Wrong(nn.Module):
    def forward(self, x):
        return Detached.apply(x)


def padded():
    y = Y.clone()
    y[:4] = -100
    return {"batches": [(X, y)]}


def empty_at_first():
    return {
        "batches": [(X[:0], Y[:0]), (X, Y)],
        "forward": lambda module, batch: (module(batch[0]), batch[1]),
    }


@pytest.mark.parametrize("sample", [padded, empty_at_first])
def test_derivatives_are_compared_where_there_is_something_to_compare(sample):
    net = nn.Sequential(nn.Linear(4, 5), Wrong(), nn.Linear(5, 3)).double()
    with pytest.raises(ValueError, match="second derivative is wrong"):
        hessian(Risk.from_module(net, **sample())).to_dense()


class Graph(nn.Module):
    def __init__(self, adjacency=None):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)
        if adjacency is not None:
            self.register_buffer("adjacency", adjacency)

    def forward(self, x, adjacency=None):
        A = self.adjacency if adjacency is None else adjacency
        return torch.sparse.mm(A, self.last(torch.tanh(torch.sparse.mm(A, self.first(x)))))


def through_the_graph(module, batch):
    return module(*batch[:-1]), batch[-1]


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.parametrize("in_the_batch", [True, False])
def test_sparse_matrices_in_nets_and_batches(layout, in_the_batch, rel):
    torch.manual_seed(2)
    A = (torch.rand(9, 9) > 0.5).double()
    dense_net = Graph(A).double()
    expected = dense(dense_net, lambda f, _: F.cross_entropy(f(X), Y))
    sparse = A.to_sparse(layout=layout)
    net = Graph(None if in_the_batch else sparse).double()
    for name in ("first", "last"):
        getattr(net, name).load_state_dict(getattr(dense_net, name).state_dict())
    batch = (X, sparse, Y) if in_the_batch else (X, Y)
    risk = Risk.from_module(net, [batch], forward=through_the_graph)
    assert rel(hessian(risk).to_dense(), expected) < 1e-12
    assert len(fingerprint(risk)) == 16


def test_inputs_that_are_targets_stay_one_tensor(rel):
    """u' + u = 1 on collocation points: the loss differentiates the outputs in its targets."""
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    t = X[:, :1].clone().requires_grad_(True)

    def equation(u, t):
        (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
        return (slope + u - 1).square()[:, 0]

    risk = Risk.from_module(net, [(t, t)], loss=equation)
    assert risk.loss() == pytest.approx(float(equation(net(t), t).mean()), rel=1e-13)
    theta = [q for q in net.parameters()]
    g = torch.autograd.grad(equation(net(t), t).mean(), theta, create_graph=True)
    flat = torch.cat([piece.reshape(-1) for piece in g])
    rows = [torch.autograd.grad(one, theta, retain_graph=True, allow_unused=True) for one in flat]
    expected = torch.stack(
        [
            torch.cat(
                [
                    (torch.zeros_like(q) if r is None else r).reshape(-1)
                    for r, q in zip(row, theta, strict=True)
                ]
            )
            for row in rows
        ]
    )
    assert rel(hessian(risk).to_dense(), expected) < 1e-12


class Modulus(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, dtype=torch.complex64))

    def forward(self, z):
        return F.linear(z, self.weight).abs()


def test_complex_inputs_are_converted_like_real_ones():
    torch.manual_seed(2)
    net, z = Modulus(), torch.complex(X, X.flip(0)).to(torch.complex64)
    single, double = (Risk.from_module(net, [(z, Y)], dtype=d) for d in ("float32", "float64"))
    assert double.loss() == pytest.approx(single.loss(), rel=1e-5)
    with pytest.raises(ValueError, match=r"complex128, the module torch.float32: .*float64"):
        Risk.from_module(net, [(z.to(torch.complex128), Y)])
    with pytest.raises(
        ValueError, match=r"float16, the module torch.float64: .*dtype=torch.float32"
    ):
        Risk.from_module(mlp(), [(X.half(), Y)])


class Spectral(nn.Module):
    """A filter of Fourier coefficients, real pairs that are seen as complex, behind so many
    shifts.
    """

    def __init__(self, shifts, seen):
        super().__init__()
        self.shift, self.w = nn.Parameter(torch.zeros(shifts)), nn.Parameter(torch.randn(3, 2))
        self.last, self.seen = nn.Linear(4, 3), seen

    def forward(self, x):
        y = torch.fft.irfft(torch.fft.rfft(x) * self.seen(self.w), n=4)
        return self.last(torch.tanh(y) + self.shift.sum())


@pytest.mark.parametrize("shifts", [1, 2])
@pytest.mark.parametrize("complex_itself", [True, False])
def test_pairs_of_coordinates_are_complex_wherever_they_begin(rel, shifts, complex_itself):
    """PyTorch sees them so at even places alone; the last block of columns is a single one."""
    torch.manual_seed(3)
    net = Spectral(shifts, lambda w: torch.complex(w[:, 0], w[:, 1])).double()
    expected = dense(net, lambda f, _: F.cross_entropy(f(X), Y))
    net.seen = torch.view_as_complex
    if complex_itself:
        net.w, net.seen = nn.Parameter(torch.view_as_complex(net.w.detach())), lambda w: w
    found = hessian(Risk.from_module(net, [(X, Y)])).to_dense(block_size=len(expected) - 1)
    assert rel(found, expected) < 1e-12


class Tempered(nn.Module):
    """Log-probabilities at the temperature that it begins with, and at no other."""

    def __init__(self):
        super().__init__()
        self.layer, self.temperature = nn.Linear(4, 3), nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.layer(x).log_softmax(1) / self.temperature


def test_outputs_that_are_normalised_by_chance_are_told_from_log_probabilities(rel):
    """Of nn.NLLLoss the derivatives in θ are those of a cross-entropy only where they are so for
    every θ.
    """
    torch.manual_seed(4)
    net = Tempered().double()
    with pytest.raises(ValueError, match=r"at these parameters alone.*loss=torch.nn.functional"):
        Risk.from_module(net, [(X, Y)], loss=nn.NLLLoss()).gradient()
    risk = Risk.from_module(net, [(X, Y)], loss=F.nll_loss, reduction="mean")
    expected = dense(net, lambda f, _: F.nll_loss(f(X), Y))
    assert rel(hessian(risk).to_dense(), expected) < 1e-12
