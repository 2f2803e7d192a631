"""Affine layers in the act: their inputs and errors make the weights' gradients;
what does not is told, and why.
"""

import itertools

import pytest
import torch

from hspec.curvature import Risk
from hspec.curvature.engine.observed import _separating_sets, affine_layers, observe
from tests.cases import test_exact_spectra as exact
from tests.cases.nets import RIGHT, C, Net, linear


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def observed(net, dtype=torch.float64):
    x, y = torch.randn(5, 4, dtype=dtype), torch.arange(5) % C
    risk = Risk.from_module(net, [(x, y)], C)
    layers = affine_layers(risk.network.module.named_modules())
    with risk.graphs.numerics:
        return risk, *observe(risk.graphs, x, layers)


@pytest.mark.parametrize(
    "name", ["plain", "convolution", "hooks", "prototypes", "checkpoint", "transformer"]
)
def test_errors_and_inputs_make_every_examples_gradient(name):
    risk, seen, _ = observed(RIGHT[name]())
    assert seen.layers
    e = seen.errors(torch.eye(C)[:, None].expand(-1, 5, -1), 2)
    (batch,) = risk.data
    for layer, module in seen.layers.items():
        for n, c in itertools.product(range(5), range(C)):
            f = risk.network.module(batch.content[0])
            (expected,) = torch.autograd.grad(f[n, c], module.weight)
            mine = torch.einsum("to,ti->oi", e[layer][c, n], seen.inputs[layer][n]).view_as(
                expected
            )
            torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)


def a_weight_used_twice():
    return Net(lambda m, x: m.b(torch.tanh(m.a(x))) + x @ m.b.weight[:, :4].T, *linear())


@pytest.mark.parametrize(
    ("make", "layer", "words"),
    [
        (a_weight_used_twice, "b", "used elsewhere"),
        (RIGHT["norm of a weight"], "a", "used elsewhere"),
        (RIGHT["tied by a function"], "a", "used elsewhere"),
        (RIGHT["head used twice"], "b", "called 3 times"),
        (exact.tied_heads, "b", "used elsewhere"),
        (exact.MORE["bias used twice"], "a", "used elsewhere"),
        (exact.MORE["as many prototypes as examples"], "a", "not the examples"),
        (exact.MORE["another order"], "a", "not the examples"),
        (exact.MORE["two rows exchanged"], "a", "not the examples"),
        (exact.MORE["sequences first"], "a", "is given"),
        (RIGHT["unused head"], "c", "called 0 times"),
        (RIGHT["gradient inside"], "a", "recorded derivative"),
    ],
)
def test_what_does_not_fit_is_told(make, layer, words):
    _, seen, unfit = observed(make())
    assert words in unfit[layer]
    assert layer not in seen.layers


def test_a_layer_in_less_precision_is_told():
    _, _, unfit = observed(RIGHT["autocast inside"]().float(), torch.float32)
    assert unfit == dict.fromkeys("ab", "computes in torch.bfloat16")


@pytest.mark.parametrize("n", [1, 2, 3, 9, 128, 131])
def test_sets_tell_every_pair_apart(n):
    sets = _separating_sets(n).bool()
    apart = (sets[:, :, None] & ~sets[:, None, :]).any(0)
    assert torch.equal(apart, ~torch.eye(n, dtype=torch.bool))
    assert len(sets) <= 11
