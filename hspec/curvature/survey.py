"""What one pass over the sample finds, and whether a second finds the same;
and what all ranks find together.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hspec.curvature.data import Batch, same, sketched
from hspec.curvature.loss import Terms
from hspec.curvature.loss.means import Means


@dataclass(frozen=True)
class Totals:
    """Of the whole sample: N, W, the sum of losses, C, where examples have labels how many and how
    many wrong, and whether the loss is convex.
    """

    num_examples: int
    num_rows: int  # of the outputs: several an example where there are several positions
    weight: float
    loss: float
    width: int | None  # None where there were no batches
    num_labels: int | None  # that are not ignored
    errors: int | None
    convex: bool  # the loss in the outputs, with all targets

    @classmethod
    def together(cls, parts: list["Totals"]) -> "Totals":
        """The sample whose shares have these totals, by rank.

        Raises ValueError where it is empty, or shares differ in width.
        """
        parts = {rank: part for rank, part in enumerate(parts) if part.width is not None}
        if not parts:
            raise ValueError("there are no batches: the sample is empty")
        (first, width), *others = ((rank, part.width) for rank, part in parts.items())
        for rank, other in others:
            if other != width:
                raise ValueError(
                    f"rank {rank} has {other} outputs an example, rank {first} {width}: give all "
                    "the same network"
                )
        if len(parts) == 1:
            return parts[first]
        known = all(part.num_labels is not None for part in parts.values())
        return cls(
            num_examples=sum(part.num_examples for part in parts.values()),
            num_rows=sum(part.num_rows for part in parts.values()),
            weight=sum(part.weight for part in parts.values()),
            loss=sum(part.loss for part in parts.values()),
            width=width,
            num_labels=sum(part.num_labels for part in parts.values()) if known else None,
            errors=sum(part.errors for part in parts.values()) if known else None,
            convex=all(part.convex for part in parts.values()),
        )


class Survey:
    """What one pass over the sample finds."""

    def __init__(self, means: Means | None = None) -> None:
        self.means = means  # of a loss that gives those of several batches
        self.num_examples, self.weight, self.total, self.width = 0, 0.0, 0.0, None
        self.ends, self.sketches, self.all_labels = [], [], []
        self.num_labels, self.wrong, self.convex = 0, 0, True

    def add(self, batch: Batch, num_examples: int, f: Tensor, terms: Terms) -> None:
        if self.width not in (None, f.shape[1]):
            raise ValueError(
                f"{batch.where} has {f.shape[1]} outputs an example, the batches before it "
                f"{self.width}. Where examples have several lengths, make their positions rows: "
                "forward=lambda module, batch: (module(batch[0]).flatten(0, 1), "
                "batch[1].flatten(0, 1))"
            )
        self.width = f.shape[1]
        self.num_examples += num_examples
        self.weight += terms.weight
        self.total += float(terms.value())
        self.convex = self.convex and terms.convex
        self.ends.append((self.ends[-1] if self.ends else 0) + len(f))
        self.sketches.append(sketched(f))
        if terms.labels is not None:
            self.all_labels.append(terms.labels)
            counted = terms.labels >= 0
            self.num_labels += int(counted.sum())
            self.wrong += int(((f.argmax(1) != terms.labels) & counted).sum())

    def finished(self) -> "Survey":
        known = len(self.all_labels) == len(self.ends)
        nothing = torch.empty(0)
        self.sketch = torch.cat(self.sketches or [nothing])
        self.labels = torch.cat(self.all_labels or [nothing.long()]) if known else None
        ignored = known and bool((self.labels < 0).any())
        self.counted = (self.labels >= 0).cpu() if ignored else None
        return self

    def totals(self) -> Totals:
        """In numbers that can be added to those of other ranks."""
        known = self.labels is not None
        labelled = (self.num_labels, self.wrong) if known else (None, None)
        summands = (self.num_examples, len(self.sketch), self.weight, self.total)
        return Totals(*summands, self.width, *labelled, self.convex)

    def has_the_loss_of(self, other: "Survey") -> bool:
        """Whether another pass has found the same sum of losses, to the root of rounding."""
        tolerance = math.sqrt(torch.finfo(self.sketch.dtype).eps)
        least = 1e-2 * len(self.sketch)
        size = max(abs(self.total), abs(other.total), least)
        return abs(self.total - other.total) <= tolerance * size

    def repeats(self, other: "Survey") -> bool:
        """Whether another pass has found the same batches, labels and outputs."""
        labels = (self.labels, other.labels)
        known = [t for t in labels if t is not None]
        return (
            self.ends == other.ends
            and same(self.sketch, other.sketch)
            and (not known or (len(known) == 2 and torch.equal(*known)))
        )
