"""The cross-entropy: class indices or distributions, with weights,
smoothing and ignored labels."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hspec.curvature.loss.base import Loss, Terms, refuse_moving_targets
from hspec.curvature.softmax import Softmax


@dataclass(frozen=True)
class CrossEntropyTerms(Terms):
    """ℓ = −Σ_c q_c log p_c, for any weights q of the classes; with s = Σ_c q_c: z = s p − q, M
    = s (diag p − p pᵀ), which is semidefinite where s ≥ 0.

    Either hard labels with a weight s each (q = s e_y), or q itself. An ignored label is −1, and
    its s zero.
    """

    f: Tensor
    softmax: Softmax
    weight: float
    labels: Tensor | None = None
    scale: Tensor | None = None  # s (m, 1); None for 1 everywhere
    q: Tensor | None = None

    @property
    def convex(self) -> bool:
        return self.scale is None or bool((self.scale >= 0).all())

    def value(self) -> Tensor:
        surprise = Softmax.of(self.f.double()).surprise()
        if self.q is not None:
            return (self.q * surprise).sum()
        own = surprise.gather(1, self._own[:, None])
        return (own if self.scale is None else own * self.scale).sum()

    def residual(self) -> Tensor:
        if self.q is not None:
            return self.scale * self.softmax.p - self.q
        z = self.softmax.residual(self._own)
        return z if self.scale is None else self.scale * z

    @property
    def _own(self) -> Tensor:
        """The labels, any class in the place of one that is ignored."""
        return self.labels if self.scale is None else self.labels.clamp(min=0)

    def middle(self, t: Tensor) -> Tensor:
        m = self.softmax.middle(t)
        return m if self.scale is None else self.scale * m


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """nn.CrossEntropyLoss: class indices, or a distribution over classes, for each row of logits.

    Logits (n, C), (n, C, …) as PyTorch has them, or (n, …, C) as language models do; targets of the
    same shape without C, or with it for distributions. The mean's denominator is PyTorch's own: the
    weights w_y of the targets that are not ignored; the number of positions for distributions, and
    of reduction="none".
    """

    class_weights: Tensor | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0
    mean: bool = True
    of_losses: bool = False  # the mean of reduction="none": over positions, whatever their weights
    name = "cross-entropy"

    @property
    def plain(self) -> bool:
        """Whether it is the one of the papers, the mean over examples of one class index each."""
        return self.class_weights is None and not self.label_smoothing and self.mean

    def at(self, outputs: Tensor, targets: object, where: str) -> tuple[Tensor, Terms]:
        if outputs.dim() < 2:
            raise ValueError(
                f"{where}: the module gives {tuple(outputs.shape)}, where a row of logits for each "
                "example is needed. For one logit an example pass loss=nn.BCEWithLogitsLoss(), for "
                "regression loss=nn.MSELoss()"
            )
        if outputs.shape[1:] == (1,):
            raise ValueError(
                f"{where}: the module gives one logit an example, {tuple(outputs.shape)}, of which "
                "the "
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
        counted, (least, most), all_counted = labels != self.ignore_index, _ends(labels), True
        if least <= self.ignore_index <= most:
            seen = labels[counted]
            (least, most), all_counted = _ends(seen), len(seen) == len(labels)
        if least < 0 or most >= num_classes:
            raise ValueError(
                f"{where} has labels out of range: {least} to {most}, "
                f"where 0 to {num_classes - 1} are the classes"
            )
        softmax = Softmax.of(f)
        if self.class_weights is None and not self.label_smoothing and all_counted:
            weight = float(len(labels)) if self.mean else 0.0
            return CrossEntropyTerms(f, softmax, weight, labels, None)
        w, own_class = self._weights(f), labels.where(counted, 0)
        labels = labels.where(counted, -1)
        own = w[own_class].where(counted, 0)
        weight = float(len(own) if self.of_losses else own.double().sum()) if self.mean else 0.0
        if not self.label_smoothing:
            return CrossEntropyTerms(f, softmax, weight, labels, own[:, None])
        q = (self.label_smoothing / num_classes) * w * counted[:, None]
        q = q.scatter_add(1, own_class[:, None], (1 - self.label_smoothing) * own[:, None])
        return CrossEntropyTerms(f, softmax, weight, labels, q.sum(1, keepdim=True), q)

    def _soft(self, outputs: Tensor, targets: Tensor, where: str) -> tuple[Tensor, Terms]:
        if targets.shape != outputs.shape:
            raise ValueError(
                f"{where} has labels of dtype {targets.dtype} and shape {tuple(targets.shape)}: "
                "for "
                "cross-entropy class indices (integers) or a distribution over classes "
                f"{tuple(outputs.shape)} are needed; for regression pass loss=nn.MSELoss(), for "
                "yes or "
                "no loss=nn.BCEWithLogitsLoss()"
            )
        refuse_moving_targets(outputs, targets, where)
        f = outputs.movedim(1, -1).reshape(-1, outputs.shape[1])
        q = targets.to(f.dtype).movedim(1, -1).reshape(-1, outputs.shape[1])
        if self.label_smoothing:
            q = (1 - self.label_smoothing) * q + self.label_smoothing / f.shape[1]
        q = q * self._weights(f)
        weight = float(len(f)) if self.mean else 0.0
        return f, CrossEntropyTerms(f, Softmax.of(f), weight, None, q.sum(1, keepdim=True), q)

    def _weights(self, f: Tensor) -> Tensor:
        if self.class_weights is None:
            return f.new_ones(f.shape[1])
        return self.class_weights.to(f.device, f.dtype)


def _ends(labels: Tensor) -> tuple[int, int]:
    """The least and the largest, asked of the device once: at every graph that is built anew."""
    return tuple(torch.stack(labels.aminmax()).tolist()) if len(labels) else (0, 0)


def _class_rows(outputs: Tensor, targets: Tensor, where: str) -> Tensor:
    """Logits as (m, C), one row for each entry of the targets."""
    if outputs.dim() == 2 and targets.shape == outputs.shape[:1]:
        return outputs
    shape = tuple(targets.shape)
    second = outputs.shape[:1] + outputs.shape[2:] == shape
    last = outputs.shape[:-1] == shape
    if second and last and outputs.dim() > 2:
        raise ValueError(
            f"{where}: logits {tuple(outputs.shape)} for targets {shape} can be read with the "
            "classes in "
            "the second or in the last dimension: flatten both, by "
            "forward=lambda module, batch: (logits.flatten(0, 1), targets.flatten())"
        )
    if not (second or last):
        raise ValueError(
            f"{where} has labels of shape {shape} for logits of shape {tuple(outputs.shape)}: need "
            f"{tuple(outputs.shape[:1] + outputs.shape[2:])}, or {tuple(outputs.shape[:-1])} where "
            "the "
            "classes come last"
        )
    table = outputs.movedim(1, -1) if second else outputs
    return table.reshape(-1, table.shape[-1])


class NotNormalised(ValueError):
    """Outputs that nn.NLLLoss takes for log-probabilities, and that are none."""


@dataclass(frozen=True)
class NegativeLogLikelihood(Loss):
    """nn.NLLLoss of log-probabilities: the cross-entropy of them as logits, whose G is the Fisher
    information.

    The two agree in every value and derivative in θ as long as the outputs are normalised, which is
    checked, at θ and nearby; by itself the loss is linear in its inputs, and would leave all of
    Hess to H.
    """

    of_logits: CrossEntropy
    name = "negative log-likelihood"

    def at(self, outputs: Tensor, targets: object, where: str) -> tuple[Tensor, Terms]:
        f, terms = self.of_logits.at(outputs, targets, where)
        off = float(f.detach().logsumexp(-1).abs().max()) if len(f) else 0.0
        if off > math.sqrt(torch.finfo(f.dtype).eps):
            raise NotNormalised(
                f"{where}: nn.NLLLoss needs log-probabilities, but Σ exp(outputs) is off from 1 by "
                "a "
                f"factor of up to exp({off:.2g}): end the module in log_softmax, or pass "
                "loss=nn.CrossEntropyLoss() for logits"
            )
        return f, terms
