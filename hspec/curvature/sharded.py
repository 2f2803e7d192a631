"""Networks whose weights do not fit on one device: weights, and vectors, cut up between ranks.

Every rank keeps a part of each parameter's rows, as a DTensor, and a part of the batches. A weight
is made whole where a layer uses it, and its derivative is summed over ranks back into rows. First
`shard_weights(net, mesh)`, then `Risk.from_module(net, shard(batches), group=mesh.get_group())`;
from there on all is as without a mesh.

Products are exact, and those of one process to rounding. Vectors are whole on every rank in
`hessian(risk) @ v` and all that is made of it; `hessian_of_shards` takes and gives vectors that are
cut up as the weights are. Needs PyTorch 2.12, whose DTensors can be differentiated twice; imported
from here only, since importing them takes half a second.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.nn.utils.parametrize import register_parametrization

from hspec.curvature.engine.batch_graph import BatchGraph
from hspec.curvature.engine.copying import refuse_foreign_parts
from hspec.curvature.engine.gathered import Gathered, is_sharded
from hspec.curvature.risk import Risk

NEEDED = (2, 12)  # of PyTorch
Pieces = dict[str, Tensor]


def shard_weights(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Cut the weights of a module up between ranks, in place: rank r of W keeps the r-th ⌈d/W⌉ rows
    of each parameter (d, …).

    The module then computes, and trains, as before, each rank on examples of its own: it makes a
    weight whole where it reads it (a parametrisation of torch's), and gradients are sums over
    ranks. All ranks must evaluate it equally often. Tied weights stay tied. What is a DTensor
    already, such as the weights of a checkpoint that was loaded in parts, is cut up anew by rows;
    rank 0's numbers count for all else.

    Args:
        module: whole on each rank, or made of DTensors; changed, and returned.
        mesh: of one dimension: init_device_mesh("cuda", (W,)).

    Raises:
        ValueError: PyTorch is older than 2.12; a mesh of several dimensions; a module that is cut
            up already, by this or by `fully_shard`; layers that keep weights in a list of their own
            (RNN, LSTM, GRU).

    Example:
        >>> import tempfile, torch.distributed as dist
        >>> from torch.distributed.device_mesh import init_device_mesh
        >>> meeting = f"file://{tempfile.mkdtemp()}/meeting"
        >>> dist.init_process_group("gloo", init_method=meeting, rank=0, world_size=1)
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
        >>> mesh = init_device_mesh("cpu", (1,))
        >>> batch = torch.ones(5, 4), torch.tensor([0, 1, 1, 0, 1])
        >>> risk = Risk.from_module(shard_weights(net, mesh), [batch], group=mesh.get_group())
        >>> v = {name: torch.ones_like(q) for name, q in shards(risk).items()}
        >>> hessian_of_shards(risk, v)["2.bias"].shape
        torch.Size([2])
        >>> dist.destroy_process_group()
    """
    _refuse(module, mesh)
    gathered = Gathered((Replicate(),), (Partial("sum"),))
    made: dict[Tensor, nn.Parameter] = {}
    for path, q in list(module.named_parameters(remove_duplicate=False)):
        where, _, name = path.rpartition(".")
        part = module.get_submodule(where)
        if q not in made:
            made[q] = nn.Parameter(_rows_of(q.detach(), mesh), q.requires_grad)
        part.register_parameter(name, made[q])
        register_parametrization(part, name, gathered, unsafe=True)
    return module


def shards(risk: Risk) -> Pieces:
    """θ by parameter, cut up as the weights are; without copies.

    Vectors for `hessian_of_shards` are made like these: {name: torch.randn_like(q), …}, by
    generators of PyTorch's own, which DTensors keep in step. A parameter of one number is not cut
    up.
    """
    names = risk.parameter_slices
    return {name: q.detach() for name, q in zip(names, risk.network.parameters, strict=True)}


def hessian_of_shards(risk: Risk, v: Mapping[str, Tensor]) -> Pieces:
    """Hess v, with v and the result cut up between ranks as the weights are: see `shards`.

    No rank holds a vector of p numbers, where `hessian(risk) @ v` has both on each.

    Args:
        v: a tensor for each parameter of θ.

    Raises:
        ValueError: where v has other names, shapes or placements than `shards(risk)`; what
            `hessian(risk)` raises at its products.

    Source: P20, section 2.
    """
    return _product(risk, v, BatchGraph.hess_pieces)


def gauss_newton_of_shards(risk: Risk, v: Mapping[str, Tensor]) -> Pieces:
    """G v likewise.   Source: P20, section 2."""
    return _product(risk, v, BatchGraph.gauss_newton_pieces)


def _product(
    risk: Risk,
    v: Mapping[str, Tensor],
    product: Callable[[BatchGraph, list[Tensor]], list[Tensor | None]],
) -> Pieces:
    theta = shards(risk)
    _check(v, theta)
    pieces = [v[name].detach() for name in theta]
    found = risk.graphs.sum_pieces(lambda graph: product(graph, pieces))
    return {
        name: _together(risk, torch.zeros_like(q) if t is None else t) / risk.num_terms
        for (name, q), t in zip(theta.items(), found, strict=True)
    }


def _together(risk: Risk, t: Tensor) -> Tensor:
    """A piece summed over ranks: one that is cut up is so already."""
    return t if is_sharded(t) else risk.ranks.sum(t)


def _check(v: Mapping[str, Tensor], theta: Pieces) -> None:
    if v.keys() != theta.keys():
        raise ValueError(f"v needs a tensor for each of {', '.join(theta)}: see shards(risk)")
    for name, q in theta.items():
        t = v[name]
        facts = [(x.shape, x.dtype, getattr(x, "placements", None)) for x in (t, q)]
        if facts[0] != facts[1]:
            raise ValueError(
                f"v[{name!r}] is {_said(*facts[0])}, the parameter {_said(*facts[1])}: make it "
                "like shards(risk)"
            )


def _said(shape: torch.Size, dtype: torch.dtype, placements: tuple | None) -> str:
    return f"{tuple(shape)} of {dtype}, {placements or 'not cut up'}"


def _rows_of(q: Tensor, mesh: DeviceMesh) -> Tensor:
    if isinstance(q, DTensor):
        return q.redistribute(mesh, (Shard(0),)) if q.dim() else q.full_tensor()
    return distribute_tensor(q, mesh, (Shard(0),)) if q.dim() else q


def _refuse(module: nn.Module, mesh: DeviceMesh) -> None:
    if torch.__version__ < NEEDED:
        raise ValueError(
            f"weights that are cut up between ranks need PyTorch 2.12, whose DTensors can be "
            f"differentiated twice; this is {torch.__version__}"
        )
    if mesh.ndim != 1:
        raise ValueError(
            f"the mesh has {mesh.ndim} dimensions: one is needed, init_device_mesh(device, (W,))"
        )
    refuse_foreign_parts(module)
    for name, part in module.named_modules():
        if isinstance(part, Gathered):
            raise ValueError("the module's weights are cut up already")
        if isinstance(part, nn.RNNBase):
            raise ValueError(
                f"layer {name!r} ({type(part).__name__}) keeps its weights in a list of its own, "
                "where they cannot be gathered: write it with nn.LSTMCell or the like"
            )
