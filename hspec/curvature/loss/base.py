"""What is averaged: a loss ℓ(f, y) of the outputs f, by its value, first and second derivative in
f.

    L(θ) = (1/W) Σ ℓ(f, y),    z = ∂ℓ/∂f,    M = ∂²ℓ/∂f²,

the sum over all examples, or positions of them (tokens, pixels, entries), that PyTorch's own loss
averages over, and W its own denominator: L equals `loss(outputs, targets)` on the whole sample.
Then ∇L = (1/W) Σ Jᵀz,  G = (1/W) Σ Jᵀ M J,  H = (1/W) Σ_k z_k ∂²f_k/∂θ²,  Hess = G + H.
"""

from abc import ABC, abstractmethod

from torch import Tensor

from hspec.curvature.engine.leaves import leaves


class Terms(ABC):
    """The loss of one batch at its outputs f, brought to a table (m, C): m positions, C outputs
    each.

    Attributes: weight: this batch's share of W; labels (m,) class indices, where the loss has such,
    −1 for those that it ignores.
    """

    weight: float
    labels: Tensor | None = None
    blocks: bool = True  # whether `middle` may be given a block of vectors under vmap

    @property
    @abstractmethod
    def convex(self) -> bool:
        """Whether M, and so G, has no negative eigenvalue, with these weights and targets."""

    @abstractmethod
    def value(self) -> Tensor:
        """Σ ℓ, float64, without a graph."""

    @abstractmethod
    def residual(self) -> Tensor:
        """z (m, C), without a graph."""

    @abstractmethod
    def middle(self, t: Tensor) -> Tensor:
        """M t, t (..., m, C)."""

    def graphs(self) -> list[Tensor]:
        """What has a graph of its own, beside that of f."""
        return []


def refuse_moving_targets(outputs: Tensor, targets: Tensor, where: str) -> None:
    """Raise ValueError where targets were computed from what the outputs were: they would move with
    θ, which a loss's derivatives in the outputs do not know.
    """
    ends = {id(t) for t in leaves([targets])}
    if ends and not ends.isdisjoint(id(t) for t in leaves([outputs])):
        raise ValueError(
            f"{where}: the targets are computed from the net's own parameters: detach them if "
            "they are meant to stay, or give the loss as a function of (outputs, targets), such as "
            'F.mse_loss with reduction="mean", which is differentiated as a whole'
        )


class Loss(ABC):
    """A loss by its terms at the outputs of a batch."""

    name: str
    plain = False  # the mean cross-entropy over examples with one class index each, the papers' own
    needs_graph = False  # whether it may have to differentiate the net

    @abstractmethod
    def at(self, outputs: Tensor, targets: object, where: str) -> tuple[Tensor, Terms]:
        """(f (m, C) with the outputs' graph, the terms there).

        Raises ValueError, naming the batch (`where`), for targets that do not fit.
        """
