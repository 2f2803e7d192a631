"""One small net with everything that is delicate,
and its matrices written out from their definitions.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.func import hessian as dense_hessian


@dataclass
class Case:
    """A network, a sample in batches, and dense references in float64 (loops over examples,
    classes, entries).
    """

    net: nn.Module
    batches: list[tuple[Tensor, Tensor]]
    C: int

    def __post_init__(self):
        self.x, self.y = (torch.cat(column) for column in zip(*self.batches, strict=True))

    @cached_property
    def theta(self) -> Tensor:
        return torch.cat([q.detach().reshape(-1) for q in self.net.parameters()])

    def logits(self, theta: Tensor) -> Tensor:
        parameters, start = {}, 0
        for name, q in self.net.named_parameters():
            parameters[name] = theta[start : start + q.numel()].view_as(q)
            start += q.numel()
        return functional_call(self.net, parameters, (self.x,))

    @cached_property
    def Hess(self) -> Tensor:
        return dense_hessian(lambda t: nn.functional.cross_entropy(self.logits(t), self.y))(
            self.theta
        )

    @cached_property
    def J(self) -> Tensor:  # (N, C, p)
        return jacrev(self.logits)(self.theta)

    @cached_property
    def p(self) -> Tensor:  # (N, C)
        return self.logits(self.theta).softmax(1).detach()

    @cached_property
    def g(self) -> Tensor:  # (N, C, p): J_nᵀ (e_c' − p_n)
        return self.J - torch.einsum("nk,nkp->np", self.p, self.J)[:, None]

    @cached_property
    def G(self) -> Tensor:
        total = 0.0
        for J, p in zip(self.J, self.p, strict=True):
            total = total + J.T @ (torch.diag(p) - torch.outer(p, p)) @ J
        return total / len(self.y)


def relative(A: Tensor, B: Tensor) -> float:
    """‖A − B‖ / ‖B‖."""
    return float((A - B).norm() / B.norm())


@pytest.fixture(scope="session")
def in_blocks_of():
    """in_blocks_of(size, risk): from now on its sweeps take that many vectors at a time."""

    def choose(size, risk):
        risk.graphs.plan = replace(risk.graphs.planned(), block=size)

    return choose


@pytest.fixture(scope="session")
def rel():
    return relative


@pytest.fixture(scope="session")
def case() -> Case:
    """Conv, batch norm (statistics far from 0 and 1), max-pool; classes of 19, 8, 5, 3;
    batches of 10, 10, 10, 5.
    """
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4, 6),
        nn.Tanh(),
        nn.Linear(6, 4),
    ).double()
    for layer in (net[1], net[5]):
        layer.running_mean.normal_(std=0.3, generator=generator)
        layer.running_var.uniform_(0.5, 2.0, generator=generator)
        layer.weight.data.uniform_(0.5, 1.5, generator=generator)
        layer.bias.data.normal_(generator=generator)
    net.eval()
    x = torch.randn(35, 1, 6, 6, generator=generator, dtype=torch.float64)
    y = torch.tensor([0] * 19 + [1] * 8 + [2] * 5 + [3] * 3)[
        torch.randperm(35, generator=generator)
    ]
    return Case(net, list(zip(x.split(10), y.split(10), strict=True)), 4)
