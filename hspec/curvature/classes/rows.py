"""V's rows by backward sweeps: the Jacobian of one example's outputs,
times roots of the loss's second derivative.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hspec.curvature.engine.attempt import raise_if_out_of_memory
from hspec.curvature.engine.batch_graph import pull_back
from hspec.curvature.engine.sizes import MAX_BLOCK
from hspec.curvature.engine.switches import Switches
from hspec.curvature.risk import Risk, has_classes
from hspec.curvature.softmax import Softmax

AGREES = {
    torch.float64: 1e-8,
    torch.float32: 1e-4,
}  # of a block of cotangents with its cotangents one by one


@dataclass(frozen=True)
class Middle:
    """Roots of the middles M_n = Σ_i s_{n,i} r_{n,i} r_{n,i}ᵀ.

    For the cross-entropy r_{n,c'} = √p_{n,c'} (e_{c'} − p_n), s = 1; of other losses eigenvectors.
    """

    columns: Tensor  # r (C, N, C), i first
    signs: Tensor  # s (N·C,), n major

    @classmethod
    def of(cls, risk: Risk) -> "Middle":
        f = risk.logits()
        eye = torch.eye(f.shape[1], dtype=torch.float64, device=f.device)
        if has_classes(risk) and len(risk.labels) == len(f):
            softmax = Softmax.of(f.double())
            columns = softmax.spread(eye[:, None, :] * softmax.p.sqrt())
            signs = torch.ones(f.numel(), dtype=torch.float64, device=f.device)
            return cls(columns.to(f), signs)
        every = eye[:, None].to(f)
        M = torch.cat(
            risk.graphs.each(lambda graph: graph.middle(every.expand(-1, len(graph.outputs), -1))),
            1,
        )
        M = M.transpose(0, 1)  # (N, C, C), symmetric
        values, vectors = torch.linalg.eigh(M.double())
        tiny = M.shape[1] * torch.finfo(f.dtype).eps * values.abs().amax(1, keepdim=True)
        values = torch.where(values.abs() <= tiny, 0.0, values)
        columns = (vectors * values.abs().sqrt()[:, None]).permute(2, 0, 1)
        return cls(columns.to(f), values.sign().reshape(-1))


def gradient_rows(risk: Risk, block: list[Tensor], U: Tensor) -> Iterator[Tensor]:
    """Rows (n, c'): J_nᵀ r_{n,c'}, on the parameters of `block`, an example at a time."""
    sweep = 0
    for f, switches, first in _graphs(risk):
        for i in range(len(f)):
            u = U[:, first + i]
            cotangents = u.new_zeros(len(u), *f.shape)
            cotangents[:, i] = u
            sweep = sweep or block_size(f, block, cotangents, switches)
            yield torch.cat([pull_back(f, block, c, switches) for c in cotangents.split(sweep)])


def _graphs(risk: Risk) -> Iterator[tuple[Tensor, Switches, int]]:
    """(outputs with their graph, its switches, the first row of the sample that they are).

    Of an example at a time, where they are those that it has in its batch; else of whole batches.
    """
    if risk.independent and risk.keeps_examples_alone:
        for batch in risk.data:
            for i, x in enumerate(batch.content[0].split(1)):
                yield *risk.graphs.forward(x), batch.rows.start + i
    else:
        for graph in risk.graphs:
            yield graph.outputs, graph.switches, graph.rows.start


def block_size(f: Tensor, parameters: list[Tensor], U: Tensor, switches: Switches) -> int:
    """How many cotangents a sweep takes: many, if that is what they give one by one;
    else one."""
    U = U[:MAX_BLOCK]
    alone = torch.cat([pull_back(f, parameters, u, switches) for u in U.split(1)])
    try:
        together = pull_back(f, parameters, U, switches)
    except Exception as error:  # a function that knows no blocks
        raise_if_out_of_memory(error)
        return 1
    off = torch.linalg.vector_norm(together - alone)
    return MAX_BLOCK if off <= AGREES[U.dtype] * torch.linalg.vector_norm(alone) else 1
