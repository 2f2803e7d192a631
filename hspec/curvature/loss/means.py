"""Means of batches, of a function that gives one number for each: whether they make the mean of the
sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from hspec.curvature.contents import mapped, tensors

LEAST = 1e-3  # of a batch's mean: what two batches' means may be off by, however coarse the numbers
REMEDY = (
    "Give one loss an example (reduction='none' of PyTorch's own), one batch, or "
    'reduction="sum" and a function that gives sums, of which matrices can be divided by '
    "what you count"
)


@dataclass(frozen=True)
class Rows:
    """Outputs and targets of some examples."""

    outputs: Tensor
    targets: object

    def __len__(self) -> int:
        return len(self.outputs)

    def _of(self, t: Tensor) -> int:
        """How many rows of a target each example has; 0 where they are of other things."""
        return len(t) // len(self) if t.dim() and len(t) % len(self) == 0 else 0

    @property
    def of_targets(self) -> list[int]:
        """The same of every target that has rows."""
        return [self._of(t) for t in tensors(self.targets) if t.dim()]

    def part(self, first: int, last: int) -> Rows:
        """Some of them."""

        def cut(t: Tensor) -> Tensor:
            of = self._of(t)
            return t[first * of : last * of] if of else t

        return Rows(self.outputs[first:last], mapped(self.targets, cut))

    def to(self, device: torch.device) -> Rows:
        """The same elsewhere."""
        targets = mapped(self.targets, lambda t: t.detach().to(device))
        return Rows(self.outputs.detach().to(device), targets)

    def with_others(self, others: Rows, most: float) -> Rows:
        """These and others after them; targets of more than `most` rows an example are no
        examples' own, and are taken as they are.
        """
        pairs = zip(tensors(self.targets), tensors(others.targets), strict=True)
        theirs = {id(t): other for t, other in pairs}

        def joined(t: Tensor) -> Tensor:
            return torch.cat([t, theirs[id(t)]]) if 0 < self._of(t) <= most else t

        outputs = torch.cat([self.outputs, others.outputs])
        return Rows(outputs, mapped(self.targets, joined))


class Means:
    """What a function gives for batches, one after another, as means.

    The mean of a batch must be that of its halves, and the mean of a batch and the one before it
    that of both.
    """

    def __init__(self, function: Callable) -> None:
        self.function = function
        self.before: Rows | None = None
        self.example: Rows | None = None  # the first one, for other ranks

    def add(self, outputs: Tensor, targets: object, where: str) -> None:
        """Raise ValueError where the mean of a larger batch would not be that of its parts."""
        if not outputs.dim():
            raise ValueError(
                f"{where}: the output is one number, the mean of nobody knows how many examples, "
                f"so that several batches have no mean. {REMEDY}"
            )
        if not len(outputs):
            return
        rows = Rows(outputs, targets)
        self._of_halves(rows, where)
        if self.before is None:
            self.example = rows.part(0, 1).to(torch.device("cpu"))
        else:
            self._of_both(self.before, rows, where, "the batch and the one before it")
        self.before = rows

    def refuse_between_ranks(self, examples: list[Rows | None]) -> None:
        """Raise ValueError likewise for the first examples of two ranks' shares, where they have
        any.
        """
        if self.before is None:
            return
        device = self.before.outputs.device
        found = [(rank, rows.to(device)) for rank, rows in enumerate(examples) if rows is not None]
        for (first, one), (second, other) in pairwise(found):
            where = f"ranks {first} and {second}"
            self._of_both(one, other, where, "their first examples together")

    def _of_halves(self, rows: Rows, where: str) -> None:
        n, of_targets = len(rows), rows.of_targets
        unknown = ValueError(
            f"{where}: outputs {tuple(rows.outputs.shape)} have {n} rows, the targets' first "
            "dimension is of other things, so that it is not known how many examples the batch's "
            f"mean is of. Put the examples first in both. {REMEDY}"
        )
        if of_targets and not any(of_targets):
            raise unknown
        half = n // 2
        try:
            whole = self._mean(rows)
            first, last = (self._mean(rows.part(*ends)) for ends in ((0, half), (half, n)))
        except Exception:  # it takes no fewer, or gives no tensor, which is said elsewhere
            if of_targets and 1 not in of_targets:
                raise unknown from None
            return
        if half:
            halves = (half * first + (n - half) * last) / n
            _refuse(where, "the mean of the batch", whole, "its two halves", halves)

    def _of_both(self, before: Rows, rows: Rows, where: str, pair: str) -> None:
        for most in (math.inf, 1):
            try:
                whole = self._mean(before.with_others(rows, most))
                parts = [self._mean(before), self._mean(rows)]
            except Exception:  # it takes no more
                continue
            n = len(before) + len(rows)
            means = (len(before) * parts[0] + len(rows) * parts[1]) / n
            return _refuse(where, f"the mean of {pair}", whole, "the two", means)

    def _mean(self, rows: Rows) -> Tensor:
        return self.function(rows.outputs, rows.targets).detach()


def _refuse(where: str, name: str, whole: Tensor, of: str, parts: Tensor) -> None:
    rounding = min(LEAST, 3 * torch.finfo(whole.dtype).eps ** 0.5)
    close = {"rtol": rounding, "atol": LEAST * rounding}
    if not whole.dim() and not torch.allclose(parts.double(), whole.double(), **close):
        raise ValueError(
            f"{where}: {name} is {float(whole):.6g}, that of {of} {float(parts):.6g}: examples "
            "have weights, are ignored, or are compared with one another, so that means of batches "
            "do not make the mean of the sample. PyTorch's own nn.CrossEntropyLoss knows its "
            f"weights; for others: {REMEDY}"
        )
