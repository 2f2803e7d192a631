"""Losses that are sums over the entries of outputs and targets of one shape."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hspec.curvature.loss.base import Loss, Terms, refuse_moving_targets


@dataclass(frozen=True)
class _EntrywiseTerms(Terms):
    """A loss that is a sum over the entries of f, by the three tables of its derivatives."""

    losses: Tensor
    first: Tensor
    second: Tensor
    weight: float

    @property
    def convex(self) -> bool:
        return bool((self.second >= 0).all())

    def value(self) -> Tensor:
        return self.losses.double().sum()

    def residual(self) -> Tensor:
        return self.first

    def middle(self, t: Tensor) -> Tensor:
        return self.second * t


class _Entrywise(Loss):
    """Outputs and targets of one shape; the mean is over all entries."""

    mean: bool

    def at(self, outputs: Tensor, targets: object, where: str) -> tuple[Tensor, Terms]:
        if not isinstance(targets, Tensor) or targets.shape != outputs.shape:
            shape = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
            raise ValueError(
                f"{where} has targets of shape {shape} for outputs of shape "
                f"{tuple(outputs.shape)}: "
                f"{self.name} needs the same shape, y.view_as(outputs) (broadcasting would pair "
                "every "
                "output with every target)"
            )
        refuse_moving_targets(outputs, targets, where)
        f = outputs.reshape(len(outputs), -1)
        y, shape = targets.to(f.dtype).reshape(f.shape), outputs.shape[1:]
        values = self._derivatives(f.detach(), y, shape)
        return f, _EntrywiseTerms(*values, float(f.numel()) if self.mean else 0.0)

    @abstractmethod
    def _derivatives(self, f: Tensor, y: Tensor, shape) -> tuple[Tensor, Tensor, Tensor]:
        """ℓ, ∂ℓ/∂f, ∂²ℓ/∂f² by entry."""


@dataclass(frozen=True)
class SquaredError(_Entrywise):
    """nn.MSELoss: (f − y)² averaged over all entries (not half of it)."""

    mean: bool = True
    name = "squared error"

    def _derivatives(self, f, y, shape):
        return (f - y).square(), 2 * (f - y), torch.full_like(f, 2.0)


@dataclass(frozen=True)
class BinaryCrossEntropy(_Entrywise):
    """nn.BCEWithLogitsLoss: −w (a y log σ(f) + (1 − y) log σ(−f)), a = pos_weight,
    w = weight."""

    weight: Tensor | None = None
    pos_weight: Tensor | None = None
    mean: bool = True
    name = "binary cross-entropy"

    def _derivatives(self, f, y, shape):
        w, a = (self._spread(t, f, shape) for t in (self.weight, self.pos_weight))
        losses = -w * (a * y * F.logsigmoid(f) + (1 - y) * F.logsigmoid(-f))
        up, down = torch.sigmoid(f), torch.sigmoid(-f)
        return losses, w * ((1 - y) * up - a * y * down), w * (a * y + 1 - y) * up * down

    @staticmethod
    def _spread(t: Tensor | None, f: Tensor, shape) -> Tensor:
        if t is None:
            return f.new_ones(())
        return t.to(f.device, f.dtype).expand(len(f), *shape).reshape(f.shape)
