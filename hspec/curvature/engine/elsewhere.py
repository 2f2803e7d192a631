"""The network at another θ: what outputs cannot show at θ itself, where a zero head or a zero gain
hides it.

Whether a module draws at random, and whether examples are coupled, is a property of the function,
not of
its weights: at a generic θ, where nothing is zero, the outputs show both.
"""

import torch

from hspec.curvature.data import Batch, changed, same
from hspec.curvature.engine import differences
from hspec.curvature.engine.attempt import raise_if_out_of_memory
from hspec.curvature.engine.batch_graph import Objective
from hspec.curvature.engine.blame import where_examples_couple, where_passes_differ
from hspec.curvature.engine.memory import free_memory

STEP = 1e-2  # of the size of θ, in every parameter
COPY_BYTES = 12  # a parameter's share of the memory of a copy that is moved
RELATIVE = {"least": 0.0}  # two outputs are compared relative to their size, however small


def elsewhere(
    objective: Objective, batch: Batch, other: Objective | None = None
) -> Objective | None:
    """A copy, `other` where there is one already, moved to a θ nearby where no parameter is zero;
    None where the net fails or memory lacks.
    """
    network = objective.network
    if other is None and network.num_parameters * COPY_BYTES > free_memory(network.device):
        return None
    try:
        other = other or objective.in_dtype(network.dtype)
        theta = network.parameters
        v = differences.direction(theta, torch.Generator().manual_seed(2), share=1.0)
        other.network.move_to(theta, v, STEP)
        return other if _outputs(other, batch).isfinite().all() else None
    except Exception as error:  # a net that is defined at θ only: nothing is said
        raise_if_out_of_memory(error)
        return None


def refuse_randomness(objective: Objective, batch: Batch, copy: Objective | None = None) -> None:
    """Raise ValueError where two evaluations of a batch differ elsewhere, whatever they do at θ;
    copy: of the network, which may be moved, where there is one.
    """
    other = elsewhere(objective, batch, copy)
    if other is not None and not same(_outputs(other, batch), _outputs(other, batch), **RELATIVE):
        raise changed(where_passes_differ(other.network, other.data, batch, **RELATIVE))


def coupling(objective: Objective, batch: Batch) -> str | None:
    """The layer whose outputs for an example depend on others in the batch, elsewhere; None where
    none does.

    "" where it cannot be named.
    """
    other = elsewhere(objective, batch)
    if other is None:
        return None
    x, y = batch.content
    half = Batch(batch.index, (x[::2], y[::2]), batch.rows)
    if same(_outputs(other, batch)[::2], _outputs(other, half), **RELATIVE):
        return None
    return where_examples_couple(other.network, other.data, batch, **RELATIVE)


def _outputs(objective: Objective, batch: Batch) -> torch.Tensor:
    with objective.data.without_graph():
        outputs, _ = objective.data.evaluate(objective.network.module, batch)
    return outputs.detach()
