"""What is averaged: a loss ℓ(f, y) of the outputs f, by its value, first and second derivative in f.

    L(θ) = (1/W) Σ ℓ(f, y),    z = ∂ℓ/∂f,    M = ∂²ℓ/∂f²,

the sum over all examples, or positions of them (tokens, pixels, entries), that PyTorch's own loss
averages over, and W its own denominator: L equals `loss(outputs, targets)` on the whole sample. Then
∇L = (1/W) Σ Jᵀz,  G = (1/W) Σ Jᵀ M J,  H = (1/W) Σ_k z_k ∂²f_k/∂θ²,  Hess = G + H.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hspec.curvature.softmax import Softmax


class Terms(ABC):
    """The loss of one batch at its outputs f, brought to a table (m, C): m positions, C outputs each.

    Attributes: weight: this batch's share of W; labels (m,) class indices, where the loss has such.
    """

    weight: float
    labels: Tensor | None = None
    blocks: bool = True  # whether `middle` may be given a block of vectors under vmap

    @abstractmethod
    def value(self) -> Tensor:
        """Σ ℓ, float64, without a graph."""

    @abstractmethod
    def residual(self) -> Tensor:
        """z (m, C), without a graph."""

    @abstractmethod
    def middle(self, t: Tensor) -> Tensor:
        """M t, t (..., m, C)."""


class Loss(ABC):
    """A loss by its terms at the outputs of a batch."""

    name: str
    plain = False  # the mean cross-entropy over examples with one class index each, the papers' own
    needs_graph = False  # whether it may have to differentiate the net

    @abstractmethod
    def at(self, outputs: Tensor, targets, where: str) -> tuple[Tensor, Terms]:
        """(f (m, C) with the outputs' graph, the terms there).

        Raises ValueError, naming the batch (`where`), for targets that do not fit.
        """


@dataclass(frozen=True)
class _CrossEntropyTerms(Terms):
    """ℓ = −Σ_c q_c log p_c, for any weights q ≥ 0 of the classes; with s = Σ_c q_c: z = s p − q, M = s (diag p − p pᵀ).

    Either hard labels with a weight s each (q = s e_y), or q itself.
    """

    f: Tensor
    softmax: Softmax
    weight: float
    labels: Tensor | None = None
    scale: Tensor | None = None  # s (m, 1); None for 1 everywhere
    q: Tensor | None = None

    def value(self) -> Tensor:
        surprise = Softmax.of(self.f.double()).surprise()
        if self.q is not None:
            return (self.q * surprise).sum()
        own = surprise.gather(1, self.labels[:, None])
        return (own if self.scale is None else own * self.scale).sum()

    def residual(self) -> Tensor:
        if self.q is not None:
            return self.scale * self.softmax.p - self.q
        z = self.softmax.residual(self.labels)
        return z if self.scale is None else self.scale * z

    def middle(self, t: Tensor) -> Tensor:
        m = self.softmax.middle(t)
        return m if self.scale is None else self.scale * m


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """nn.CrossEntropyLoss: class indices, or a distribution over classes, for each row of logits.

    Logits (n, C), (n, C, …) as PyTorch has them, or (n, …, C) as language models do; targets of the
    same shape without C, or with it for distributions. The mean's denominator is PyTorch's own: the
    weights w_y of the targets that are not ignored; the number of positions for distributions.
    """

    class_weights: Tensor | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0
    mean: bool = True
    name = "cross-entropy"

    @property
    def plain(self) -> bool:
        """Whether it is the one of the papers: the mean over examples, one class index each."""
        return self.class_weights is None and not self.label_smoothing and self.mean

    def at(self, outputs, targets, where):
        if outputs.dim() < 2:
            raise ValueError(
                f"{where}: the module gives {tuple(outputs.shape)}, where a row of logits for each "
                "example is needed. For one logit an example pass loss=nn.BCEWithLogitsLoss(), for "
                "regression loss=nn.MSELoss()"
            )
        if outputs.shape[1:] == (1,):
            raise ValueError(
                f"{where}: the module gives one logit an example, {tuple(outputs.shape)}, of which the "
                "softmax is 1: pass loss=nn.BCEWithLogitsLoss()"
            )
        if not isinstance(targets, Tensor):
            raise ValueError(f"{where}: targets are {type(targets).__name__}, a tensor is needed")
        if targets.is_floating_point():
            return self._soft(outputs, targets, where)
        if targets.dtype == torch.bool or targets.is_complex():
            raise ValueError(
                f"{where} has labels of dtype {targets.dtype}: class indices are needed, y.long()"
            )
        f, labels = _class_rows(outputs, targets, where), targets.reshape(-1).long()
        return f, self._hard(f, labels, where)

    def _hard(self, f: Tensor, labels: Tensor, where: str) -> Terms:
        num_classes = f.shape[1]
        counted = labels != self.ignore_index
        seen = labels[counted]
        if seen.numel() and not (int(seen.min()) >= 0 and int(seen.max()) < num_classes):
            raise ValueError(
                f"{where} has labels out of range: {int(seen.min())} to {int(seen.max())}, "
                f"where 0 to {num_classes - 1} are the classes"
            )
        softmax, all_counted = Softmax.of(f), bool(counted.all())
        if self.class_weights is None and not self.label_smoothing and all_counted:
            weight = float(len(labels)) if self.mean else 0.0
            return _CrossEntropyTerms(f, softmax, weight, labels, None)
        w = self._weights(f)
        labels = labels.where(counted, 0)
        own = w[labels].where(counted, 0)
        weight = float(own.double().sum()) if self.mean else 0.0
        if not self.label_smoothing:
            return _CrossEntropyTerms(f, softmax, weight, labels, own[:, None])
        q = (self.label_smoothing / num_classes) * w * counted[:, None]
        q = q.scatter_add(1, labels[:, None], (1 - self.label_smoothing) * own[:, None])
        return _CrossEntropyTerms(f, softmax, weight, labels, q.sum(1, keepdim=True), q)

    def _soft(self, outputs: Tensor, targets: Tensor, where: str) -> tuple[Tensor, Terms]:
        if targets.shape != outputs.shape:
            raise ValueError(
                f"{where} has labels of dtype {targets.dtype} and shape {tuple(targets.shape)}: for "
                "cross-entropy class indices (integers) or a distribution over classes "
                f"{tuple(outputs.shape)} are needed; for regression pass loss=nn.MSELoss(), for yes or "
                "no loss=nn.BCEWithLogitsLoss()"
            )
        f = outputs.movedim(1, -1).reshape(-1, outputs.shape[1])
        q = targets.to(f.dtype).movedim(1, -1).reshape(-1, outputs.shape[1])
        if self.label_smoothing:
            q = (1 - self.label_smoothing) * q + self.label_smoothing / f.shape[1]
        q = q * self._weights(f)
        weight = float(len(f)) if self.mean else 0.0
        return f, _CrossEntropyTerms(f, Softmax.of(f), weight, None, q.sum(1, keepdim=True), q)

    def _weights(self, f: Tensor) -> Tensor:
        if self.class_weights is None:
            return f.new_ones(f.shape[1])
        return self.class_weights.to(f.device, f.dtype)


def _class_rows(outputs: Tensor, targets: Tensor, where: str) -> Tensor:
    """Logits as (m, C), one row for each entry of the targets."""
    shape = tuple(targets.shape)
    second = outputs.shape[:1] + outputs.shape[2:] == shape
    last = outputs.shape[:-1] == shape
    if second and last and outputs.dim() > 2:
        raise ValueError(
            f"{where}: logits {tuple(outputs.shape)} for targets {shape} can be read with the classes in "
            "the second or in the last dimension: flatten both, by "
            "forward=lambda module, batch: (logits.flatten(0, 1), targets.flatten())"
        )
    if not (second or last):
        raise ValueError(
            f"{where} has labels of shape {shape} for logits of shape {tuple(outputs.shape)}: need "
            f"{tuple(outputs.shape[:1] + outputs.shape[2:])}, or {tuple(outputs.shape[:-1])} where the "
            "classes come last"
        )
    table = outputs.movedim(1, -1) if second else outputs
    return table.reshape(-1, table.shape[-1])


@dataclass(frozen=True)
class _EntrywiseTerms(Terms):
    """A loss that is a sum over the entries of f, by the three tables of its derivatives."""

    losses: Tensor
    first: Tensor
    second: Tensor
    weight: float

    def value(self) -> Tensor:
        return self.losses.double().sum()

    def residual(self) -> Tensor:
        return self.first

    def middle(self, t: Tensor) -> Tensor:
        return self.second * t


class _Entrywise(Loss):
    """Outputs and targets of one shape; the mean is over all entries."""

    mean: bool

    def at(self, outputs, targets, where):
        if not isinstance(targets, Tensor) or targets.shape != outputs.shape:
            shape = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
            raise ValueError(
                f"{where} has targets of shape {shape} for outputs of shape {tuple(outputs.shape)}: "
                f"{self.name} needs the same shape, y.view_as(outputs) (broadcasting would pair every "
                "output with every target)"
            )
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
    """nn.BCEWithLogitsLoss: −w (a y log σ(f) + (1 − y) log σ(−f)), a = pos_weight, w = weight."""

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


@dataclass(frozen=True)
class NegativeLogLikelihood(Loss):
    """nn.NLLLoss of log-probabilities: the cross-entropy of them as logits, whose G is the Fisher information.

    The two agree in every value and derivative in θ as long as the outputs are normalised, which is
    checked; by itself the loss is linear in its inputs, and would leave all of Hess to H.
    """

    of_logits: CrossEntropy
    name = "negative log-likelihood"

    def at(self, outputs, targets, where):
        f, terms = self.of_logits.at(outputs, targets, where)
        off = float(f.detach().logsumexp(-1).abs().max()) if len(f) else 0.0
        if off > math.sqrt(torch.finfo(f.dtype).eps):
            raise ValueError(
                f"{where}: nn.NLLLoss needs log-probabilities, but Σ exp(outputs) is off from 1 by a "
                f"factor of up to exp({off:.2g}): end the module in log_softmax, or pass "
                "loss=nn.CrossEntropyLoss() for logits"
            )
        return f, terms


class _CallableTerms(Terms):
    """By autograd: the derivatives of a function of the outputs."""

    blocks = False

    def __init__(self, losses: Callable[[Tensor], tuple[Tensor, float]], f: Tensor) -> None:
        with torch.enable_grad():
            self.f = f.detach().requires_grad_(True)
            self.total, self.weight = losses(self.f)
            (self.z,) = torch.autograd.grad(self.total, self.f, create_graph=True)

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
    """A loss that is no function of the outputs alone: it differentiates the net, or uses its parameters.

    There is no M, so no G and no H: `total` (with its graph) has a Hessian, and nothing more is known.
    """

    def __init__(self, total: Tensor, weight: float) -> None:
        self.total, self.weight = total, weight


@dataclass(frozen=True)
class CustomLoss(Loss):
    """Any callable (outputs, targets): one loss an example, or their mean or sum (`reduction` says which).

    One loss an example (n,) is averaged over all of them; a mean of a batch of n counts n times.
    """

    function: Callable
    reduction: str | None
    name = "custom loss"
    needs_graph = True

    def at(self, outputs, targets, where):
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
            if terms is None or not torch.allclose(total.detach().double(), terms.value(), rtol=1e-6):
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


def as_loss(loss, reduction: str | None = None) -> Loss:
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
    if type(loss) is nn.CrossEntropyLoss:
        return CrossEntropy(loss.weight, loss.ignore_index, loss.label_smoothing, mean)
    if type(loss) is nn.NLLLoss:
        return NegativeLogLikelihood(CrossEntropy(loss.weight, loss.ignore_index, 0.0, mean))
    if type(loss) is nn.MSELoss:
        return SquaredError(mean)
    if type(loss) is nn.BCEWithLogitsLoss:
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
