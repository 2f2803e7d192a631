"""How many vectors a sweep takes, and how many bytes a graph: found on a few examples."""

from dataclasses import replace

import torch
from torch import Tensor

from hspec.curvature.data import Batch
from hspec.curvature.engine import differences
from hspec.curvature.engine.attempt import AGREES, raise_if_out_of_memory, relative, weight
from hspec.curvature.engine.batch_graph import BatchGraph, Objective, Rung
from hspec.curvature.engine.network import flat

MAX_BLOCK = 16  # vectors in one sweep: bounds the memory of a sweep to this many times that of one
# Positions of a batch times parameters up to which a block of vectors was faster than its vectors
# one by one: measured on a CPU (2 to 10 times below a million, even at 4 to 8 million); a guess on
# GPUs.
WORK = {"cpu": 4_000_000, "cuda": 1_000_000_000}
# Of matrices on a CPU, inputs to outputs from which on a block pays at any size: products with one
# vector then read the layers' inputs from memory for a few columns each, and a block of MAX_BLOCK
# takes no more memory than they do. Measured: 1.2 to 2.3 times faster from 15 on, slower at 8.
NARROWING = 16


def block_size(objective: Objective, rung: Rung) -> int:
    """Vectors a sweep, by a rule: a block where one vector leaves the machine idle.

    That is where the largest batch times p is small, or layers have far fewer outputs than inputs;
    convolutions on a CPU have matrix products large enough for one vector (docs/decisions/0008).
    """
    network = objective.network
    on_cpu = network.device.type == "cpu"
    work = objective.data.largest_batch * network.num_parameters
    small = work <= WORK.get(network.device.type, WORK["cuda"])
    if not (small or (on_cpu and _is_narrowing(network.parameters))):
        return 1
    if on_cpu and any(q.dim() > 2 for q in network.parameters):
        return 1
    graph = _graph_of_few(objective, rung)
    if not graph.terms.blocks or graph.z is None:
        return 1
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    V = torch.stack([flat(differences.direction(network.parameters, g)) for g in generators])
    U = torch.stack([t.expand_as(graph.outputs) for t in V[:, :1]])
    products = ((graph.hess, V), (graph.gauss_newton, V), (graph.jacobian_transpose, U))
    try:
        for product, rows in products:
            alone = torch.cat([product(one) for one in rows.split(1)])
            if relative({"": product(rows)}, {"": alone}) > AGREES[network.dtype]:
                return 1
    except Exception as error:  # a function that knows no blocks: one vector at a time is right
        raise_if_out_of_memory(error)
        return 1
    return MAX_BLOCK


def _graph_of_few(objective: Objective, rung: Rung) -> BatchGraph:
    """Of two examples, or of the first batch where the net takes no fewer."""
    *few, first = objective.data.first_few(2)
    for batch in few:
        try:
            return BatchGraph.build(objective, batch, rung)
        except Exception as error:
            raise_if_out_of_memory(error)
    return BatchGraph.build(objective, first, rung)


def _is_narrowing(parameters: list[Tensor]) -> bool:
    """Whether the matrices among them have far fewer rows, outputs, than columns, inputs."""
    shapes = [q.shape for q in parameters if q.dim() == 2]
    return sum(d for _, d in shapes) >= NARROWING * sum(k for k, _ in shapes)


def graph_bytes(
    objective: Objective, batch: Batch, rung: Rung, whole: float
) -> tuple[float, float]:
    """(bytes of a graph whatever the batch, bytes by entry of the batch); that of this batch holds
    `whole`.
    """
    if objective.data.is_paired and len(batch.content[1]) > 1:
        x, y = batch.content
        half = replace(batch, content=(x[: len(y) // 2], y[: len(y) // 2]))
        try:
            less = weight(objective, half, rung)
        except Exception as error:  # it takes batches of one size only
            raise_if_out_of_memory(error)
        else:
            slope = max(0.0, (whole - less) / (batch.num_numbers - half.num_numbers))
            return max(0.0, whole - slope * batch.num_numbers), slope
    return 0.0, whole / max(1, batch.num_numbers)
