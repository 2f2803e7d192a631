"""Nets of other people's kinds, each small enough for dense references: what a report was about,
in ten lines.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

N, C = 9, 3


class Net(nn.Module):
    """A forward pass given as a function of (module, x); modules as m.a, m.b, …,
    parameters by name.
    """

    def __init__(self, function: Callable, *modules: nn.Module, **parameters: Tensor):
        super().__init__()
        self.function = function
        for name, module in zip("abcde", modules, strict=False):
            setattr(self, name, module)
        for name, tensor in parameters.items():
            setattr(self, name, nn.Parameter(tensor))

    def forward(self, x):
        return self.function(self, x)


class OnceDifferentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx, t):
        ctx.save_for_backward(t)
        return t.tanh()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * (1 - ctx.saved_tensors[0].tanh() ** 2)


class DetachedBackward(OnceDifferentiable):
    @staticmethod
    def backward(ctx, g):
        return g * (1 - ctx.saved_tensors[0].detach().tanh() ** 2)


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, t):
        return (4 * t).round() / 4

    @staticmethod
    def backward(ctx, g):
        return g


class Activation(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, t):
        return self.function(t)


def before_a_zero_head(function: Callable) -> nn.Module:
    """All logits are equal, whatever `function` makes of its inputs:
    at θ nothing of it is to be seen.
    """
    net = Net(lambda m, x: m.b(torch.tanh(m.a(function(x)))), *linear())
    for parameter in net.b.parameters():
        nn.init.zeros_(parameter)
    return net


def mlp(activation: nn.Module | None = None) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), activation or nn.Tanh(), nn.Linear(5, C))


def weight_normed(dim):
    return nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 5), dim=dim), nn.Tanh(), nn.Linear(5, C)
    )


def old_weight_norm():
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, C))


def pruned():
    net = mlp()
    prune.l1_unstructured(net[0], "weight", amount=0.5)
    return net


def with_old_spectral_norm():
    net = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, C))
    net(torch.ones(2, 4))
    return net.eval()


class Keeping(nn.Module):
    """Keeps its output, an attention map, say, for a look: recomputed in every pass."""

    def forward(self, t):
        self.kept = torch.tanh(t)
        return self.kept


def keeping_its_features():
    net = mlp(Keeping())
    net(torch.ones(2, 4))
    return net


class Rotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.v = nn.Linear(2, 4), nn.Linear(2, C)
        t = torch.arange(2.0)[:, None] * torch.tensor([1.0, 0.3])
        self.register_buffer("freqs_cis", torch.polar(torch.ones_like(t), t))

    def forward(self, x):
        s = x.unflatten(1, (2, 2))
        q = torch.view_as_complex(self.q(s).unflatten(-1, (2, 2)))
        q = torch.view_as_real(q * self.freqs_cis).flatten(-2)
        return ((q @ q.mT).softmax(-1) @ self.v(s)).mean(1)


def fourier(m, x):
    return m.a(torch.fft.irfft(torch.fft.rfft(x) * m.filter, n=4))


def autocast_inside(m, x):
    with torch.autocast("cpu", torch.bfloat16):
        return m.b(torch.tanh(m.a(x))).to(x.dtype)


def saved_on_the_cpu(m, x):
    with torch.autograd.graph.save_on_cpu():
        return m.b(torch.tanh(m.a(x)))


def gradient_inside(m, x):
    """Per example, so that examples stay apart."""
    slope = torch.func.grad(lambda t: torch.tanh(m.a(t)).sum())
    return m.b(torch.func.vmap(slope)(x))


def autograd_inside(m, x):
    x = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(torch.tanh(m.a(x)).sum(), x, create_graph=True)
    return m.b(slope)


def recurrent(kind, **options):
    width = 3 * (2 if options.get("bidirectional") else 1)
    return Net(
        lambda m, x: m.b(m.a(x.unflatten(1, (2, 2)))[0][:, -1]),
        kind(2, 3, batch_first=True, **options),
        nn.Linear(width, C),
    )


def transformer():
    layer = nn.TransformerEncoderLayer(2, 1, 4, batch_first=True)
    return nn.Sequential(nn.Unflatten(1, (2, 2)), layer, nn.Flatten(), nn.Linear(4, C)).eval()


def hooked():
    net = mlp()
    net[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    net[2].register_full_backward_hook(lambda *_: None)
    return net


def compiled_inside():
    return nn.Sequential(
        torch.compile(nn.Linear(4, 5), backend="eager"), nn.Tanh(), nn.Linear(5, C)
    )


def zero_head():
    net = mlp()
    nn.init.zeros_(net[2].weight)
    nn.init.zeros_(net[2].bias)
    return net


def tied(m, x):
    return F.linear(torch.tanh(F.linear(torch.tanh(m.a(x)), m.a.weight.T)), m.p)


def reused_head(m, x):
    h = torch.tanh(m.a(x))
    return m.b(torch.tanh(m.b(h) @ m.b.weight)) + m.b(h)


def batch_first_false():
    """An attention that is fed (N, T, D) and reads it as (T, N, D):
    examples attend to each other.
    """
    return Net(
        lambda m, x: m.b(m.a(*3 * (x.unflatten(1, (2, 2)),))[0].mean(1)),
        nn.MultiheadAttention(2, 1),
        nn.Linear(2, C),
    )


def branch_on_the_batch(m, x):
    h = m.a(x)
    return m.b(torch.tanh(h)) if h.mean() > -0.05 else m.b(torch.sin(3 * h))


def normalised_by_function(m, x):
    return m.b(torch.tanh(F.batch_norm(m.a(x), None, None, training=True)))


def routed(m, x):
    """A mixture: the sign of a feature decides which expert sees an example."""
    left = (x[:, :1] > 0).to(x.dtype)
    return m.c(torch.tanh(left * m.a(x) + (1 - left) * m.b(x)))


def unused_head():
    return Net(
        lambda m, x: m.b(torch.tanh(m.a(x))), nn.Linear(4, 5), nn.Linear(5, C), nn.Linear(5, 2)
    )


def embedded(layer):
    def forward(m, x):
        h = torch.tanh(m.a((x.abs() * 3).long() % 7))
        return m.b(h.mean(1) if h.dim() == 3 else h)

    return Net(forward, layer, nn.Linear(4, C))


def convolutional():
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)),
        nn.Conv2d(1, 3, 2, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3, C),
    ).eval()


def linear(width=5):
    return nn.Linear(4, width), nn.Linear(width, C)


# Nets whose matrices are right, with a note in the risk's repr where PyTorch's own layers are used.
RIGHT = {
    "plain": lambda: mlp(),
    "convolution": convolutional,
    "weight_norm": lambda: weight_normed(0),
    "weight_norm over columns": lambda: weight_normed(1),
    "weight_norm over everything": lambda: weight_normed(None),
    "weight_norm by hooks": old_weight_norm,
    "spectral_norm by hooks": with_old_spectral_norm,
    "spectral_norm": lambda: nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, C)
    ).eval(),
    "orthogonal": lambda: nn.Sequential(
        nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, C)
    ).eval(),
    "pruned": pruned,
    "kept features": keeping_its_features,
    "complex buffer": Rotary,
    "complex parameter": lambda: Net(
        fourier, nn.Linear(4, C), filter=torch.randn(3, dtype=torch.complex128)
    ),
    "complex layer": lambda: Net(
        lambda m, x: F.linear(torch.complex(x, x.flip(1)), m.w).abs(),
        w=torch.randn(C, 4, dtype=torch.complex128),
    ),
    "checkpoint": lambda: Net(
        lambda m, x: m.b(checkpoint(lambda t: torch.tanh(m.a(t)), x, use_reentrant=False)),
        *linear(),
    ),
    "saved on the CPU": lambda: Net(saved_on_the_cpu, *linear()),
    "ensemble by vmap": lambda: Net(
        lambda m, x: torch.func.vmap(lambda w: F.linear(x, w))(m.w).tanh().mean(0),
        w=torch.randn(5, C, 4),
    ),
    "gradient inside": lambda: Net(gradient_inside, nn.Linear(4, 5), nn.Linear(4, C)),
    "autograd inside": lambda: Net(autograd_inside, nn.Linear(4, 5), nn.Linear(4, C)),
    "autocast inside": lambda: Net(autocast_inside, *linear()),
    "GRU": lambda: recurrent(nn.GRU),
    "LSTM, dropout of one layer": lambda: recurrent(nn.LSTM, dropout=0.5, bidirectional=True),
    "transformer": transformer,
    "hooks": hooked,
    "compiled inside": compiled_inside,
    "hardswish": lambda: mlp(nn.Hardswish()),
    "PReLU": lambda: mlp(nn.PReLU()),
    "sparse embedding": lambda: embedded(nn.Embedding(7, 4, sparse=True)),
    "bags of words": lambda: embedded(nn.EmbeddingBag(7, 4)),
    "zero head": zero_head,
    "tied by a function": lambda: Net(tied, nn.Linear(4, 5), p=torch.randn(C, 4)),
    "head used twice": lambda: Net(reused_head, *linear()),
    "prototypes": lambda: Net(
        lambda m, x: torch.tanh(m.b(x)) @ torch.tanh(m.a(m.p)).T,
        nn.Linear(4, 5),
        nn.Linear(4, 5),
        p=torch.randn(C, 4),
    ),
    "norm of a weight": lambda: Net(
        lambda m, x: m.b(torch.tanh(m.a(x))) / m.a.weight.norm(), *linear()
    ),
    "scalar parameter": lambda: Net(
        lambda m, x: m.scale * m.b(torch.tanh(m.a(x))), *linear(), scale=torch.tensor(1.5)
    ),
    "mixture of experts": lambda: Net(routed, nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(5, C)),
    "unused head": unused_head,
}

# Nets in which an example's logits depend on the others of its batch.
COUPLED = {
    "attention over the batch": batch_first_false,
    "centred by the batch": lambda: Net(
        lambda m, x: m.b(torch.tanh(m.a(x - x.mean(0)))), *linear()
    ),
    "branch on the batch": lambda: Net(branch_on_the_batch, *linear()),
    "normalised by a function": lambda: Net(normalised_by_function, *linear()),
    "scaled by the batch": lambda: Net(
        lambda m, x: m.b(torch.tanh(m.a(x))) / m.a(x).norm(), *linear()
    ),
    "centred by the batch, zero head": lambda: before_a_zero_head(lambda x: x - x.mean(0)),
    "cumulative over the batch": lambda: Net(
        lambda m, x: m.b(torch.tanh(m.a(x).cumsum(0))), *linear()
    ),
    "similarity to the batch": lambda: Net(
        lambda m, x: m.b((m.a(x) @ m.a(x).T).softmax(1) @ m.a(x)), *linear()
    ),
}

# Nets that are refused, with what the refusal must say.
REFUSED = {
    "random, zero head": (
        lambda: before_a_zero_head(lambda x: x + torch.randn_like(x)),
        r"layer 'a' \(Linear\) gives another output each time",
    ),
    "once_differentiable": (
        lambda: mlp(Activation(OnceDifferentiable.apply)),
        r"second derivative is wrong in layer '1' \(Activation\).* differentiates twice",
    ),
    "detached backward": (
        lambda: mlp(Activation(DetachedBackward.apply)),
        r"second derivative is wrong in layer '1' \(Activation\)",
    ),
    "straight-through": (
        lambda: mlp(Activation(StraightThrough.apply)),
        r"gradient is not the derivative of the loss in layer '1' \(Activation\).*check=False",
    ),
    "reentrant checkpoint": (
        lambda: Net(
            lambda m, x: m.b(
                checkpoint(
                    lambda t: torch.tanh(m.a(t)), x.clone().requires_grad_(True), use_reentrant=True
                )
            ),
            *linear(),
        ),
        "gradient is not the derivative of the loss.*reentrant checkpoint",
    ),
    "body under no_grad": (
        lambda: Net(lambda m, x: m.b(torch.tanh(torch.no_grad()(m.a)(x))), *linear()),
        r"gradient is not the derivative of the loss.*torch.no_grad\(\)",
    ),
    "stop-gradient": (
        lambda: Net(lambda m, x: m.b(torch.tanh(m.a(x)).detach() + m.a(x)), *linear()),
        r"gradient is not the derivative of the loss.*\.detach\(\)",
    ),
    "other outputs under no_grad": (
        lambda: Net(
            lambda m, x: m.b(torch.tanh(m.a(x))) * (2 - torch.is_grad_enabled()), *linear()
        ),
        r"other outputs when gradients are recorded than under torch.no_grad\(\)",
    ),
    "bags by maximum": (
        lambda: embedded(nn.EmbeddingBag(7, 4, mode="max")),
        r"second derivative cannot be computed in layer 'a' \(EmbeddingBag\)",
    ),
    "outputs without parameters": (
        lambda: Net(lambda m, x: m.b(torch.tanh(m.a(x))).detach(), *linear()),
        "outputs do not depend on any of the chosen parameters",
    ),
}
