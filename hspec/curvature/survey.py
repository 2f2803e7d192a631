"""What one pass over the sample finds, and whether a second finds the same."""

import torch
from torch import Tensor

from hspec.curvature.data import Batch, same, sketched
from hspec.curvature.loss import Terms


class Survey:
    """What one pass over the sample finds."""

    def __init__(self) -> None:
        self.num_examples, self.weight, self.total, self.width = 0, 0.0, 0.0, None
        self.ends, self.sketches, self.all_labels, self.wrong = [], [], [], 0

    def add(self, batch: Batch, num_examples: int, f: Tensor, terms: Terms) -> None:
        if self.width not in (None, f.shape[1]):
            raise ValueError(
                f"{batch.where} has {f.shape[1]} outputs an example, the batches before it {self.width}"
            )
        self.width = f.shape[1]
        self.num_examples += num_examples
        self.weight += terms.weight
        self.total += float(terms.value())
        self.ends.append((self.ends[-1] if self.ends else 0) + len(f))
        self.sketches.append(sketched(f))
        if terms.labels is not None:
            self.all_labels.append(terms.labels)
            self.wrong += int((f.argmax(1) != terms.labels).sum())

    def finished(self) -> "Survey":
        self.sketch = torch.cat(self.sketches)
        known = len(self.all_labels) == len(self.ends)
        self.labels = torch.cat(self.all_labels) if known else None
        self.errors = self.wrong if known else None
        return self

    def repeats(self, other: "Survey") -> bool:
        """Whether another pass has found the same batches, labels and outputs."""
        labels = (self.labels, other.labels)
        known = [t for t in labels if t is not None]
        return (
            self.ends == other.ends
            and same(self.sketch, other.sketch)
            and (not known or (len(known) == 2 and torch.equal(*known)))
        )
