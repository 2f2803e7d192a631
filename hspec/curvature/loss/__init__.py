"""What is averaged: PyTorch's own losses, or any function, as `Loss` objects."""

from collections.abc import Callable

from torch import nn

from hspec.curvature.loss.base import Loss, Terms
from hspec.curvature.loss.cross_entropy import (
    CrossEntropy,
    NegativeLogLikelihood,
    NotNormalised,
)
from hspec.curvature.loss.custom import CustomLoss, WholeTerms
from hspec.curvature.loss.entrywise import BinaryCrossEntropy, SquaredError

__all__ = [
    "CrossEntropy",
    "CustomLoss",
    "Loss",
    "NotNormalised",
    "Terms",
    "WholeTerms",
    "as_loss",
]


def as_loss(loss: nn.Module | Callable | Loss | None, reduction: str | None = None) -> Loss:
    """A PyTorch loss, or any callable (outputs, targets), as a `Loss`; None is the cross-entropy.

    Raises TypeError for what cannot be called, ValueError for an unknown reduction.
    """
    if reduction not in (None, "mean", "sum"):
        raise ValueError(f'reduction is "mean" or "sum"; got {reduction!r}')
    mean = (reduction or getattr(loss, "reduction", "mean")) != "sum"
    if loss is None:
        return CrossEntropy(mean=mean)
    if isinstance(loss, Loss):
        return loss
    of_losses = reduction is None and getattr(loss, "reduction", None) == "none"
    if _is_a(nn.CrossEntropyLoss, loss):
        smoothing = loss.label_smoothing
        return CrossEntropy(loss.weight, loss.ignore_index, smoothing, mean, of_losses)
    if _is_a(nn.NLLLoss, loss):
        of_logits = CrossEntropy(loss.weight, loss.ignore_index, 0.0, mean, of_losses)
        return NegativeLogLikelihood(of_logits)
    if _is_a(nn.MSELoss, loss):
        return SquaredError(mean)
    if _is_a(nn.BCEWithLogitsLoss, loss):
        return BinaryCrossEntropy(loss.weight, loss.pos_weight, mean)
    if not callable(loss):
        raise TypeError(
            f"loss is a PyTorch loss such as nn.MSELoss(), or a function of (outputs, targets); "
            f"got {type(loss).__name__}"
        )
    if isinstance(loss, type):
        raise TypeError(f"loss is the class {loss.__name__}: pass an instance, {loss.__name__}()")
    if reduction is None and getattr(loss, "reduction", None) in ("mean", "sum"):
        reduction = loss.reduction
    return CustomLoss(loss, reduction)


def _is_a(kind: type[nn.Module], loss: object) -> bool:
    """Also a subclass, if it computes what the class does."""
    return isinstance(loss, kind) and type(loss).forward is kind.forward
