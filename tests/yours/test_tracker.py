"""Tracker: its numbers are those of the dense Hessian, and training does not notice it."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from hspec.yours import Tracker


def trained(net, batches, tracker=None, steps=12):
    net = copy.deepcopy(net).train()
    optimiser, numbers = torch.optim.SGD(net.parameters(), lr=0.1), []
    torch.manual_seed(5)
    for step in range(steps):
        x, y = batches[step % len(batches)]
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x + 0.1 * torch.randn_like(x)), y).backward()
        optimiser.step()
        if tracker is not None:
            numbers.append(tracker(step, net))
    return net, numbers


def test_numbers_are_the_dense_ones(net, batches, dense):
    tracker = Tracker(batches, every=3, top=2, probes=200, tol=1e-6)
    numbers = tracker(0, net)
    assert [numbers["lambda_1"], numbers["lambda_2"]] == pytest.approx(
        dense["Hess"][::-1][:2], rel=1e-8
    )
    assert abs(numbers["trace"] - dense["Hess"].sum()) < 4 * numbers["trace_error"]
    assert all(isinstance(value, int | float) for value in numbers.values())
    x, y = (torch.cat(column) for column in zip(*batches, strict=True))
    theirs = copy.deepcopy(net)
    loss = nn.functional.cross_entropy(theirs(x), y)
    gradient = torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, list(theirs.parameters()))]
    )
    assert numbers["loss"] == pytest.approx(loss.item(), rel=1e-12)
    assert numbers["gradient_norm"] == pytest.approx(float(gradient.norm()), rel=1e-10)
    share = float((tracker._vectors.T @ gradient).square().sum() / gradient.square().sum())
    assert numbers["gradient_share"] == pytest.approx(share, rel=1e-9)


def test_training_is_the_same_with_and_without(net, batches):
    noisy = nn.Sequential(copy.deepcopy(net), nn.Dropout(0.3))
    alone, _ = trained(noisy, batches)
    tracked, numbers = trained(noisy, batches, Tracker(batches, every=4, top=1, probes=2))
    assert all(
        torch.equal(a, b) for a, b in zip(alone.parameters(), tracked.parameters(), strict=True)
    )
    assert tracked.training and tracked[1].training
    assert [n is not None for n in numbers] == [step % 4 == 0 for step in range(12)]


def test_a_warm_start_takes_fewer_products(net, batches):
    tracker = Tracker(batches, every=1, top=1, probes=0)
    _, numbers = trained(net, batches, tracker, steps=4)
    assert max(n["products"] for n in numbers[1:]) <= numbers[0]["products"] / 2
    columns = tracker.arrays()
    assert columns["lambda_1"].shape == (4,) and np.isfinite(columns["gradient_share"]).all()


def test_a_step_is_measured_once(net, batches):
    """Accumulating gradients, Lightning calls back after every batch, at the same global step."""
    tracker = Tracker(batches, every=2, top=0, probes=0)
    found = [tracker(step, net) for step in (1, 1, 2, 2, 2, 3, 4)]
    assert [n and n["step"] for n in found] == [None, None, 2, None, None, None, 4]


def test_a_mode_is_given_back_after_an_error(net, batches):
    broken = copy.deepcopy(net).train()
    with torch.no_grad():
        broken[0].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="non-finite"):
        Tracker(batches, every=1)(0, broken)
    assert broken.training and broken[0].training


def test_layers_may_be_frozen_between_two_measurements(net, batches):
    net, tracker = copy.deepcopy(net), Tracker(batches, every=1, top=1, probes=0)
    tracker(0, net)
    net[0].requires_grad_(False)
    numbers = tracker(1, net)
    fresh = Tracker(batches, every=1, top=1, probes=0, tol=1e-6)(1, net)
    assert numbers["lambda_1"] == pytest.approx(fresh["lambda_1"], rel=1e-2)


class Prepared(nn.Module):
    """Two layers that eval() prepares something for, which train() takes away."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

    def train(self, mode=True):
        super().train(mode)
        self.shift = None if mode else torch.zeros(3)
        return self

    def forward(self, x):
        y = self.last(self.first(x))
        return y if self.shift is None else y + self.shift


def test_a_mode_that_brings_something_with_it_is_entered_as_its_module_does():
    torch.manual_seed(0)
    net, x = Prepared().train(), torch.randn(12, 4)
    numbers = Tracker([(x, torch.arange(12) % 3)], every=1, top=1, probes=0)(0, net)
    loss = nn.functional.cross_entropy(net(x), torch.arange(12) % 3)
    assert numbers["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
    assert net.training and net.shift is None


@pytest.mark.parametrize(
    ("options", "message"),
    [({"every": 0}, "every is a whole "
                    "number"), ({"every": 1, "matrix": "F"}, "choose one of Hess, G, H"),
     ({"every": 1, "top": -1}, "top is a whole number")],
)  # fmt: skip
def test_wrong_settings_are_refused(batches, options, message):
    with pytest.raises(ValueError, match=message):
        Tracker(batches, **options)


class Rounding(nn.Module):
    """A net whose features are rounded from some step on, with gradients as if they were not."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.rounds = nn.Linear(4, 5), nn.Linear(5, 3), False

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.last(h + ((4 * h).round() / 4 - h).detach() if self.rounds else h)


def test_derivatives_are_compared_at_every_measurement():
    """What is right at the first step need not be so at the next."""
    torch.manual_seed(0)
    net, x = Rounding(), torch.randn(12, 4)
    tracker = Tracker([(x, torch.arange(12) % 3)], every=1, top=1)
    tracker(0, net)
    net.rounds = True
    with pytest.raises(ValueError, match="is not the derivative"):
        tracker(1, net)
    assert len(tracker.history) == 1
