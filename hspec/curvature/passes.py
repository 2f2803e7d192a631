"""Passes over the sample before anything is differentiated: what is there, and whether it repeats
itself.
"""

import contextlib

import torch
from torch import Tensor

from hspec.curvature import refusals
from hspec.curvature.data import Batch, changed
from hspec.curvature.engine.batch_graph import Objective
from hspec.curvature.engine.blame import where_passes_differ
from hspec.curvature.engine.caches import find_caches
from hspec.curvature.engine.copying import refuse_computed_tensors_in_use
from hspec.curvature.engine.memory import is_out_of_memory
from hspec.curvature.engine.precision import numerics
from hspec.curvature.loss import CustomLoss, Terms
from hspec.curvature.loss.means import Means
from hspec.curvature.survey import Survey
from hspec.distributed import Alone


def repeated_pass(objective: Objective, precision: str, ranks: Alone) -> Survey:
    """What the first of two passes found; `objective.data` knows its rows from then on.

    Raises ValueError, naming the batch, for outputs and targets that do not fit; and, naming the
    layer, where the second pass finds something else.
    """
    network, data = objective.network, objective.data
    with numerics(network.device, precision):
        first = _pass(objective, ranks)
        data.ends, data.sketch, data.counted = first.ends, first.sketch, first.counted
        second = _pass(objective, ranks)
        repeats = first.repeats(second)
        if ranks.in_step:  # to look for the layer they need each other
            repeats = all(ranks.gather(repeats))
        if not repeats:
            with data.without_graph():
                raise changed(where_passes_differ(network, data, next(iter(data))))
        if not first.has_the_loss_of(second):
            raise ValueError(
                f"two passes over the data gave the same outputs, but {first.total:.6g} and then "
                f"{second.total:.6g} as the sum of losses: the loss draws at random, keeps "
                "something from call to call, or its targets are made anew each time. Fix one "
                "draw of them, or switch that off"
            )
    return first


def _pass(objective: Objective, ranks: Alone) -> Survey:
    survey = Survey(_means(objective, ranks))
    for batch in objective.data:
        lent = objective.data.lent(batch)
        survey.add(batch, *_evaluated(objective, lent, ranks, survey.means))
        objective.data.look_for_writes(batch, lent)
        if batch.index == 0 and not objective.data.ends:
            objective.data.caches = find_caches(objective)
            if objective.network.computed:
                _check_computed(objective, batch)
    return survey.finished()


def _means(objective: Objective, ranks: Alone) -> Means | None:
    """Of a loss that gives the means of several batches, in the first pass."""
    several = objective.data.num_read > 1 or ranks.size > 1
    loss = objective.loss
    if several and not objective.data.ends and isinstance(loss, CustomLoss):
        return Means(loss.function) if loss.reduction == "mean" else None
    return None


def _evaluated(
    objective: Objective, batch: Batch, ranks: Alone, means: Means | None
) -> tuple[int, Tensor, Terms]:
    """(examples, f, the loss's terms) of a batch, checked."""
    try:
        outputs, targets = _outputs_of(objective, batch)
    except Exception as error:
        known = is_out_of_memory(error) or isinstance(error, ConnectionError)
        if known or str(error).startswith(batch.where):
            raise
        raise refusals.failed(batch.where, batch.content, error) from error
    with ranks.step(), objective.data.without_graph():
        refusals.check_outputs(batch.where, outputs)
        if means is not None:
            means.add(outputs, targets, batch.where)
        f, terms = objective.loss.at(outputs, targets, batch.where)
    return len(outputs) if outputs.dim() else 1, f.detach(), terms


def _outputs_of(objective: Objective, batch: Batch) -> tuple[Tensor, object]:
    """The outputs, without a graph unless the module cannot be evaluated without:
    it differentiates inside.
    """
    module, data = objective.network.module, objective.data
    try:
        with data.without_graph():
            return data.evaluate(module, batch)
    except RuntimeError as error:
        if data.needs_grad or is_out_of_memory(error):
            raise
        with torch.enable_grad(), contextlib.suppress(RuntimeError):
            found = data.evaluate(module, batch)
            data.needs_grad = True
            return found
        raise


def _check_computed(objective: Objective, batch: Batch) -> None:
    computed = objective.network.computed
    with torch.enable_grad():
        for t in computed.values():
            t.requires_grad_(True)
        outputs, _ = objective.data.evaluate(objective.network.module, batch)
        if outputs.requires_grad:
            refuse_computed_tensors_in_use(outputs, computed)
    for t in computed.values():
        t.requires_grad_(False)
