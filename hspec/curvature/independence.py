"""Whether an example's outputs depend on that example alone: found out, not assumed."""

from collections.abc import Iterator

import torch
from torch import Tensor

from hspec.curvature.data import same, sketched
from hspec.curvature.engine.batch_graph import Objective
from hspec.curvature.engine.blame import where_examples_couple
from hspec.curvature.engine.elsewhere import coupling
from hspec.curvature.engine.memory import is_out_of_memory


def keeps_examples_apart(objective: Objective, labels: Tensor) -> tuple[bool, str]:
    """(whether examples have the same outputs among others, the layer that couples them if one was
    found).

    The others are half of the first batch, at θ and nearby, and then those of the same class.
    """
    data = objective.data
    with data.without_graph():
        for first in data:
            half = first.content[0][::2]
            if not _keeps(objective, half, first.rows.start + 2 * torch.arange(len(half))):
                return False, where_examples_couple(objective.network, data, first)
            layer = coupling(objective, first)
            if layer is not None:
                return False, layer
            break
        if len({batch.content[0].shape[1:] for batch in data}) > 1:
            # such as sentences, each batch of a length: they cannot be sorted into others
            return False, ""
        return all(_keeps(objective, x, rows) for x, rows in _by_class(objective, labels)), ""


def keeps_examples_alone(objective: Objective) -> bool:
    """Whether every example, given by itself, has the outputs that it has in its batch."""
    with objective.data.without_graph():
        return all(
            _keeps(objective, x, torch.tensor([batch.rows.start + i]))
            for batch in objective.data
            for i, x in enumerate(batch.content[0].split(1))
        )


def _by_class(objective: Objective, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(inputs of one class, where they stand in the sample), class by class."""
    for c in labels.unique().tolist():
        members = (labels == c).nonzero()[:, 0]
        for x in objective.data.of_class(c):
            yield x, members[: len(x)]
            members = members[len(x) :]


def _keeps(objective: Objective, x: Tensor, rows: Tensor) -> bool:
    data = objective.data
    try:
        outputs = objective.network.module(data.given(x))
    except (RuntimeError, ValueError) as error:  # it takes batches of one size only
        if is_out_of_memory(error):
            raise
        return False
    return same(data.sketch[rows.to(data.sketch.device)], sketched(outputs))
