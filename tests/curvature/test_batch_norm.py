"""The three meanings of batch normalisation, each against a dense reference of the same
definition.
"""

import copy

import pytest
import torch
from torch import nn

from hspec.curvature import A1, A2, B1, B2, Risk, class_means, gauss_newton, hessian, residual


def dense(loss, net):
    parameters = dict(net.named_parameters())
    shapes = [q.shape for q in parameters.values()]

    def flat_loss(t):
        pieces = [
            piece.view(s)
            for piece, s in zip(t.split([s.numel() for s in shapes]), shapes, strict=True)
        ]
        return loss(dict(zip(parameters, pieces, strict=True)))

    return torch.func.hessian(flat_loss)(
        torch.cat([q.detach().reshape(-1) for q in parameters.values()])
    )


class Normalised(nn.Module):
    """Batch normalisation by its formula: torch.func gets torch's own wrong (by 7 to 45 %)
    in training mode.
    """

    def __init__(self, layer):
        super().__init__()
        self.weight, self.bias, self.eps = layer.weight, layer.bias, layer.eps

    def forward(self, x):
        mean, variance = (
            x.mean((0, 2, 3), keepdim=True),
            x.var((0, 2, 3), correction=0, keepdim=True),
        )
        scaled = (x - mean) / (variance + self.eps).sqrt()
        return scaled * self.weight[:, None, None] + self.bias[:, None, None]


def by_formula(net):
    """A copy of `net` that normalises by the batch it sees."""
    net = copy.deepcopy(net)
    for i, layer in enumerate(net):
        if isinstance(layer, nn.BatchNorm2d):
            net[i] = Normalised(layer)
    return net


@pytest.mark.parametrize("training", [True, False])
def test_batch_mode_differentiates_through_each_batchs_statistics(case, rel, training):
    net = by_formula(case.net)

    def loss(q):
        return sum(
            nn.functional.cross_entropy(
                torch.func.functional_call(net, q, (x,)), y, reduction="sum"
            )
            for x, y in case.batches
        ) / len(case.y)

    user_net = copy.deepcopy(case.net).train(training)
    risk = Risk.from_module(user_net, case.batches, case.C, batch_norm="batch")
    H = hessian(risk).to_dense()
    assert rel(H, dense(loss, net)) < 1e-12
    assert rel(H, H.T) < 1e-13
    assert rel((gauss_newton(risk) + residual(risk)).to_dense(), H) < 1e-12
    assert torch.equal(user_net[1].running_mean, case.net[1].running_mean)


def test_decomposition_holds_in_batch_mode(case, rel):
    """Class means respect the partition: the batches are not sorted by class."""
    for budget in (None, 0):
        risk = Risk.from_module(
            case.net, case.batches, case.C, batch_norm="batch", memory_budget=budget
        )
        means = class_means(risk)
        total = A1(means) + A2(means) + B1(means) + B2(risk, means)
        assert rel(total.to_dense(), gauss_newton(risk).to_dense()) < 1e-12


def test_population_mode_is_eval_mode_with_the_samples_own_statistics(case, rel):
    """One pass of the whole sample as a single batch gives those statistics;
    they are constants."""
    risk = Risk.from_module(case.net, case.batches, case.C, batch_norm="population")
    whole = by_formula(case.net)
    assert rel(risk.logits(), whole(case.x)) < 1e-13

    fixed = copy.deepcopy(case.net).train()
    fixed[1].momentum = fixed[5].momentum = 1.0
    fixed(case.x)
    for index, count in (
        (1, 35 * 36),
        (5, 35),
    ):  # values a channel: torch keeps the unbiased variance, uses the biased
        fixed[index].running_var *= (count - 1) / count
    reference = Risk.from_module(fixed.eval(), case.batches, case.C)
    assert rel(hessian(risk).to_dense(), hessian(reference).to_dense()) < 1e-12
    assert rel(hessian(risk).to_dense(), case.Hess) > 0.1


def test_population_statistics_do_not_depend_on_the_partition(case, rel):
    coarse = Risk.from_module(case.net, [(case.x, case.y)], case.C, batch_norm="population")
    fine = Risk.from_module(case.net, case.batches, case.C, batch_norm="population")
    assert rel(fine.logits(), coarse.logits()) < 1e-13


def test_layers_without_running_statistics(case, rel):
    bare = copy.deepcopy(case.net)
    for layer in bare.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
            layer.track_running_stats = False
    with pytest.raises(ValueError, match="'1' keeps no running statistics"):
        Risk.from_module(bare, case.batches, case.C)
    for mode in ("batch", "population"):
        of_bare, of_full = (
            Risk.from_module(n, case.batches, case.C, batch_norm=mode) for n in (bare, case.net)
        )
        assert rel(of_bare.logits(), of_full.logits()) < 1e-14


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(3), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.norm(torch.tanh(self.norm(x))))


def test_a_layer_used_twice_has_no_population_statistics():
    with pytest.raises(ValueError, match="'norm' is used more than once"):
        Risk.from_module(
            Shared().eval(), [(torch.randn(4, 3), torch.arange(4) % 2)], 2, batch_norm="population"
        )
