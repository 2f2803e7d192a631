"""Any function (outputs, targets), by autograd in output space;
and losses that see more than the outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hspec.curvature.engine.leaves import leaves
from hspec.curvature.loss.base import Loss, Terms


class _CallableTerms(Terms):
    """By autograd: the derivatives of a function of the outputs."""

    blocks = False
    convex = False  # for all that is known

    def __init__(self, losses: Callable[[Tensor], tuple[Tensor, float]], f: Tensor) -> None:
        with torch.enable_grad():
            self.f = f.detach().requires_grad_(True)
            self.total, self.weight = losses(self.f)
            (self.z,) = torch.autograd.grad(self.total, self.f, create_graph=True)

    def graphs(self) -> list[Tensor]:
        return [self.total]

    def value(self) -> Tensor:
        return self.total.detach().double()

    def residual(self) -> Tensor:
        return self.z.detach()

    def middle(self, t: Tensor) -> Tensor:
        if not self.z.requires_grad:
            return torch.zeros_like(t)  # a loss linear in the outputs
        if t.dim() > self.f.dim():
            return torch.stack([self.middle(one) for one in t])
        found = torch.autograd.grad(self.z, self.f, t, retain_graph=True, allow_unused=True)[0]
        return torch.zeros_like(t) if found is None else found


class WholeTerms(_CallableTerms):
    """A loss that is no function of the outputs alone: it differentiates the net, or uses its
    parameters.

    There is no M, so no G and no H: `total` (with its graph) has a Hessian, and nothing more is
    known.
    """

    def __init__(self, total: Tensor, weight: float) -> None:
        self.total, self.weight = total, weight


@dataclass(frozen=True)
class CustomLoss(Loss):
    """Any callable (outputs, targets): one loss an example, or their mean or sum (`reduction` says
    which).

    One loss an example (n,) is averaged over all of them; a mean of a batch of n counts n times.
    """

    function: Callable
    reduction: str | None
    name = "custom loss"
    needs_graph = True

    def at(self, outputs: Tensor, targets: object, where: str) -> tuple[Tensor, Terms]:
        n = len(outputs) if outputs.dim() else 1
        f = outputs.reshape(n, -1)

        def losses(table: Tensor) -> tuple[Tensor, float]:
            return self._total(self.function(table.view_as(outputs), targets), n, where)

        try:
            terms = _CallableTerms(losses, f)
        except RuntimeError:
            terms = None
            if not outputs.requires_grad:
                raise
        if outputs.requires_grad:  # does it see more of the net than its outputs?
            total, weight = losses(outputs)
            if terms is None or _differ(total, terms.total) or _shares_leaves(terms, outputs):
                return f, WholeTerms(total, weight)
        return f, terms

    def _total(self, value, n: int, where: str) -> tuple[Tensor, float]:
        """(Σ ℓ, its share of W)."""
        if not isinstance(value, Tensor):
            raise ValueError(f"{where}: the loss gives {type(value).__name__}, a tensor is needed")
        if value.dim() == 0:
            if self.reduction == "mean":
                return value * n, float(n)
            if self.reduction == "sum":
                return value, 0.0
            raise ValueError(
                f"{where}: the loss gives one number for {n} examples: say what it is, "
                'reduction="mean" or reduction="sum"'
            )
        return value.sum(), float(value.numel()) if self.reduction != "sum" else 0.0


def _differ(one: Tensor, other: Tensor) -> bool:
    return not torch.allclose(one.detach().double(), other.detach().double(), rtol=1e-6)


def _shares_leaves(terms: _CallableTerms, outputs: Tensor) -> bool:
    """Whether the loss, at fixed outputs, still depends on what the outputs were computed from: by
    targets that the net made, or a penalty on its parameters.
    """
    besides = {id(t) for t in leaves([terms.total]) if t is not terms.f}
    return bool(besides) and not besides.isdisjoint(id(t) for t in leaves([outputs]))
