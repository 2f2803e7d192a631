"""What a product with a Hessian costs, beside a gradient and beside the whole matrix."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from hspec.curvature import Risk, hessian
from hspec.plotting import COLOURS, panels

CLASSES, FEATURES = 10, 32
REPEATS = 3  # of which the quickest counts


@dataclass(frozen=True)
class Cost:
    """Seconds of one forward pass, one gradient and one product with the Hessian of a net
    of p parameters.
    """

    parameters: int
    forward: float
    gradient: float
    product: float

    @property
    def matrix(self) -> float:
        """Seconds of all p columns of the Hessian, one product each."""
        return self.parameters * self.product


def random_net(width: int, num_examples: int, seed: int) -> tuple[torch.nn.Module, list]:
    """A net with two hidden layers and one batch of random examples."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [
            *(torch.nn.Linear(FEATURES, width), torch.nn.ReLU()),
            *(torch.nn.Linear(width, width), torch.nn.ReLU()),
            torch.nn.Linear(width, CLASSES),
        ]
        images = torch.randn(num_examples, FEATURES)
        labels = torch.randint(CLASSES, (num_examples,))
    return torch.nn.Sequential(*layers).eval(), [(images, labels)]


def costs(widths: Iterable[int], num_examples: int, seed: int = 0) -> list[Cost]:
    """The costs of a net of each width."""
    return [_cost(*random_net(width, num_examples, seed)) for width in widths]


def _cost(model: torch.nn.Module, batches: list) -> Cost:
    ((images, labels),) = batches
    operator = hessian(Risk.from_module(model, batches, num_classes=CLASSES))
    v = torch.ones(operator.shape[0])

    def gradient() -> None:
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        torch.autograd.grad(loss, list(model.parameters()))

    return Cost(
        parameters=operator.shape[0],
        forward=_quickest(lambda: model(images)),
        gradient=_quickest(gradient),
        product=_quickest(lambda: operator @ v),
    )


def _quickest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def difference_errors(width: int, num_examples: int, seed: int = 0) -> list[tuple[float, float]]:
    """(ε, relative error) of the product against (∇L(θ + ε v) − ∇L(θ − ε v)) / 2ε,
    in double precision.
    """
    model, batches = random_net(width, num_examples, seed)
    model = model.double()
    ((images, labels),) = batches
    batches = [(images.double(), labels)]
    operator = hessian(Risk.from_module(model, batches, num_classes=CLASSES))
    v = torch.randn(
        operator.shape[0], dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    v /= v.norm()
    exact = operator @ v
    parameters = list(model.parameters())
    theta = torch.nn.utils.parameters_to_vector(parameters).detach().clone()

    def gradient_at(point: torch.Tensor) -> torch.Tensor:
        torch.nn.utils.vector_to_parameters(point, parameters)
        loss = torch.nn.functional.cross_entropy(model(batches[0][0]), labels)
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])

    found = []
    for step in (10.0**-k for k in range(1, 11)):
        difference = (gradient_at(theta + step * v) - gradient_at(theta - step * v)) / (2 * step)
        found.append((step, float((difference - exact).norm() / exact.norm())))
    return found


def draw_costs(found: list[Cost]) -> Figure:
    """Seconds against the number of parameters (left),
    and the product in units of a gradient (right).
    """
    figure, (left, right) = panels(1, 2, width=4.8)
    p = [cost.parameters for cost in found]
    for name, label, colour in (
        ("forward", "forward pass", "neutral"),
        ("gradient", "gradient", "G"),
        ("product", "Hessian-vector product", "Hess"),
        ("matrix", "the whole Hessian, p products", "exact"),
    ):
        seconds = [getattr(cost, name) for cost in found]
        left.loglog(p, seconds, "o-", color=COLOURS[colour], label=label)
    left.set(xlabel="parameters p", ylabel="seconds")
    left.legend()
    ratios = [cost.product / cost.gradient for cost in found]
    right.semilogx(p, ratios, "o-", color=COLOURS["Hess"])
    right.set(xlabel="parameters p", ylabel="product / gradient", ylim=(0, 1.2 * max(ratios)))
    return figure


def draw_differences(errors: list[tuple[float, float]]) -> Figure:
    """How well differences of gradients agree with the product,
    over the step of the difference."""
    figure, (axes,) = panels(1, 1, width=6.0)
    axes.loglog(*zip(*errors, strict=True), "o-", color=COLOURS["Hess"])
    axes.set(xlabel="step ε of the difference", ylabel="relative error")
    axes.invert_xaxis()
    return figure
