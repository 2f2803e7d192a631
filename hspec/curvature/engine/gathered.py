"""Weights that are cut up between ranks, whole only while a layer computes with them.

Of a parameter (d, …) rank r of W keeps rows r·⌈d/W⌉ up to (r+1)·⌈d/W⌉, as a DTensor placed
Shard(0). `Gathered` makes it whole where the module reads it: an ordinary tensor, on which every
layer and every derivative is what it always is. Backwards, the ranks' derivatives are summed and
each keeps its rows: twice differentiable since PyTorch 2.12. DTensors are used by their methods
only, since importing them takes half a second; who makes them has (`hspec.curvature.sharded`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.utils.parametrize import is_parametrized

from hspec.curvature.engine.memory import is_out_of_memory
from hspec.distributed import unanswered

REMEDY = "call hspec.curvature.sharded.shard_weights(module, mesh)"


def is_sharded(t: Tensor) -> bool:
    """Whether t is cut up between ranks: a DTensor."""
    return hasattr(t, "device_mesh")


def local(t: Tensor) -> Tensor:
    """What this rank has of t; t itself where it is not cut up."""
    return t.to_local() if is_sharded(t) else t


def whole(t: Tensor) -> Tensor:
    """All of t, on every rank; all of them must ask for it."""
    return t.full_tensor() if is_sharded(t) else t


def named_parameters(module: nn.Module, **options: bool) -> Iterator[tuple[str, nn.Parameter]]:
    """module.named_parameters(), of the names and in the order from before it was cut up."""
    seen = set()
    for path, part in module.named_modules(**options):
        own = {} if _gathers(part) else dict(part._parameters)
        own |= {name: chain.original for name, chain in _chains(part)}
        for name, q in own.items():
            if q is not None and not (options.get("remove_duplicate", True) and q in seen):
                seen.add(q)
                yield f"{path}.{name}".lstrip("."), q


def of(module: nn.Module) -> Gathered | None:
    """What makes the module's weights whole; None where none is cut up.

    Raises ValueError where nothing does, or more than one.
    """
    found = [part for part in {*module.modules()} if isinstance(part, Gathered)]
    read = {
        q
        for _, part in module.named_modules()
        for _, chain in _chains(part)
        for q in chain.parameters()
    }
    for name, t in [*module.named_parameters(), *module.named_buffers()]:
        if is_sharded(t) and t not in read:
            raise ValueError(
                f"{name!r} is a DTensor, and the module computes with it as it is: "
                f"{REMEDY}, which makes weights whole where they are used"
            )
    if len(found) > 1:
        raise ValueError(f"parts of the module were cut up one by one: {REMEDY} on all of it, once")
    return found[0] if found else None


@torch.no_grad()
def make_whole(module: nn.Module) -> None:
    """Undo the cutting, in place; ranks must do so together."""
    made = {}  # the parametrisations stay, since copies share their classes, and pass wholes on
    for part in module.modules():
        for _, chain in _chains(part):
            rows = chain.original
            if rows not in made:
                made[rows] = nn.Parameter(whole(rows), rows.requires_grad)
            chain.original = made[rows]


def _chains(part: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parametrisations of a module's parameters that gather them."""
    if is_parametrized(part):
        yield from ((n, chain) for n, chain in part.parametrizations.items() if _gathers(chain))


def _gathers(chain: nn.Module) -> bool:
    return any(isinstance(one, Gathered) for one in chain.children())


def cut(q: Tensor, piece: Tensor) -> Tensor:
    """piece, of q's shape and the same on all ranks, cut up as the parameter q is."""
    if not is_sharded(q):
        return piece
    mine, options = piece[_rows(q)].contiguous(), {"shape": q.shape, "stride": q.stride()}
    return type(q).from_local(mine, q.device_mesh, q.placements, run_check=False, **options)


def padded(t: Tensor) -> Tensor:
    """The rows that this rank has of t, zeros for those of the others: their sum is t."""
    if not is_sharded(t):
        return t
    mine = t.to_local()
    found = mine.new_zeros(t.shape)
    found[_rows(t)] = mine
    return found


def zeros(q: Tensor, lead: tuple[int, ...]) -> Tensor:
    """(*lead, *shape of q), whole."""
    return local(q).new_zeros((*lead, *q.shape))


def _rows(q: Tensor) -> slice:
    first = _first(len(q), q.device_mesh)
    return slice(first, first + len(q.to_local()))


def _first(d: int, mesh: Any) -> int:
    return min(d, mesh.get_local_rank() * -(-d // mesh.size()))


class Gathered(nn.Module):
    """The parametrisation of all weights of a network that are cut up: rows ↦ the whole.

    Args:
        whole, summed: placements of a DTensor, Replicate() and Partial("sum").
    """

    def __init__(self, whole: tuple, summed: tuple) -> None:
        super().__init__()
        self.whole, self.summed = whole, summed
        self.given: dict[int, tuple[StorageWeakRef, Tensor]] = {}

    def __getstate__(self) -> dict:
        return self.__dict__ | {"given": {}}

    def forward(self, rows: Tensor) -> Tensor:
        """The whole weight, whose derivatives are summed over ranks, each keeping its rows.

        What is not cut up, such as a single number, is given back.
        """
        if not is_sharded(rows):
            return rows
        try:
            found = rows.redistribute(placements=self.whole).to_local(grad_placements=self.summed)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            mesh = rows.device_mesh
            raise unanswered(mesh.get_local_rank(), mesh.size(), error) from None
        return self._remembered(found, rows)

    def keeping_rows(self) -> torch.autograd.graph.saved_tensors_hooks:
        """Context: a graph that is recorded keeps a weight's rows, and gathers them when it is
        differentiated; the whole network is on no rank at any time.
        """
        return torch.autograd.graph.saved_tensors_hooks(self._rows_of, self._whole_of)

    def _remembered(self, found: Tensor, rows: Tensor) -> Tensor:
        self.given = {key: pair for key, pair in self.given.items() if not pair[0].expired()}
        storage = found.untyped_storage()
        self.given[storage._cdata] = StorageWeakRef(storage), rows  # while it lives, none else's
        return found

    def _rows_of(self, t: Tensor) -> Tensor | tuple:
        reference, rows = self.given.get(t.untyped_storage()._cdata, (None, None))
        if reference is None or reference.expired():
            return t
        return rows, t.size(), t.stride(), t.storage_offset()

    def _whole_of(self, kept: Tensor | tuple) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        rows, size, stride, offset = kept
        found = self._remembered(rows.detach().full_tensor().contiguous(), rows)
        return found.as_strided(size, stride, offset)
