"""What a module computes of its parameters once and keeps: a constant to every graph after the
first.

`self._cache = {}` filled in forward, `functools.cached_property`, a buffer with a flag: under
torch.no_grad(), or since an earlier call, the kept tensor has no graph, and the parameters' share
in the derivatives is lost without an error. Such a tensor is found out by putting its place back to
what it was before any pass, or by taking it away: the module makes it anew, the same from whatever
examples, as a function of its parameters. That is done before every evaluation from then on.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from hspec.curvature.contents import mapped, tensors
from hspec.curvature.data import Batch
from hspec.curvature.engine import differences
from hspec.curvature.engine.attempt import NEARBY, raise_if_out_of_memory
from hspec.curvature.engine.batch_graph import Objective
from hspec.curvature.engine.elsewhere import COPY_BYTES
from hspec.curvature.engine.kept import (
    LISTS,
    Changes,
    Place,
    Seen,
    Snapshot,
    found,
    is_number,
    items,
    kept_numbers,
    put,
    real_numbers,
    remove,
)
from hspec.curvature.engine.memory import free_memory
from hspec.curvature.engine.network import Network

AGREES = 1e-4  # of the largest entry: a cache made twice


class Reset(Protocol):
    """What makes the next forward pass compute a cache."""

    def empty(self, module: nn.Module) -> None:
        """Do so in any copy of the module."""


@dataclass(frozen=True)
class Emptied:
    """A place whose content is taken away, or None put there."""

    place: Place
    to_none: bool

    def empty(self, module: nn.Module) -> None:
        """So that the next forward pass computes it."""
        if (holder := found(module, self.place.path)) is not None:
            remove(holder, self.place.key)
            if self.to_none:
                put(holder, self.place.key, None)


@dataclass(frozen=True)
class Cleared:
    """A list or mapping of tensors that is emptied: the keys may be the examples' shapes."""

    path: tuple

    def empty(self, module: nn.Module) -> None:
        """Of all that holds tensors."""
        holder = found(module, self.path)
        for key, value in reversed(items(holder).items() if holder is not None else ()):
            if real_numbers(value):
                remove(holder, key)


@dataclass(frozen=True)
class Flagged:
    """A cache with a flag that says whether it is there."""

    cache: Place
    flag: Place
    value: bool  # where it is not there

    def empty(self, module: nn.Module) -> None:
        """Say that it is not; the tensors there may be written into."""
        self.cache.put(module, mapped(self.cache.get(module), lambda t: t.detach().clone()))
        was = self.flag.get(module)
        now = torch.full_like(was, self.value) if isinstance(was, Tensor) else self.value
        self.flag.put(module, now)


def find_caches(objective: Objective) -> tuple[Reset, ...]:
    """What empties the caches of the network's module, which has been evaluated; none is left in
    it.

    Raises ValueError for one that is out of date, and for one that only train() or eval() fills.
    """
    network, resets, constants = objective.network, [], []
    module, given, network.given = network.module, network.given, None
    if network.gather is not None or given is None or not kept_numbers(module):
        return ()
    filled = given.changes(module)
    search = _Search(objective, _samples(objective))
    places = search.in_use(filled)
    for place in places:
        before = Snapshot(module, place.path[0])
        kept = _values(real_numbers(place.get(module)))
        for reset in _resets(module, place, filled):
            made = search.made_anew(place, reset, kept)
            if made is None:
                before.restore(module)
                continue
            if not _agree(kept, made):
                raise ValueError(
                    f"the module keeps {place.name!r}, computed from parameters that have other "
                    "values now: its outputs are not those of its parameters. Empty it, or "
                    "evaluate the module anew"
                )
            resets.append(reset)
            break
        else:
            constants.append(place)
    if merged := search.made_by_mode(constants):
        raise ValueError(
            f"the module keeps {merged[0].name!r}, which train() or eval() computes from "
            "parameters: its share in the derivatives would be lost. Compute it in forward, give "
            "the module in the mode that does, or leave those parameters out of parameters=…"
        )
    for reset in resets:
        reset.empty(module)
    return tuple(resets)


def _resets(module: nn.Module, place: Place, filled: Changes) -> Iterator[Reset]:
    """What may make the module compute what is there, the likeliest first."""
    if place.path in filled.keys:
        yield filled.of_part(place.path[0])
        yield filled
    if (
        isinstance(found(module, place.path), MutableMapping | LISTS)
        and place.path[-1] != "_buffers"
    ):
        yield Cleared(place.path)
    for to_none in (False, True):
        yield Emptied(place, to_none)
    for path in dict.fromkeys((place.path, place.path[:1], (place.path[0], "_buffers"))):
        for key, value in items(found(module, path)).items():
            if isinstance(value, bool) or (isinstance(value, Tensor) and _is_flag(value)):
                yield Flagged(place, Place(path, key), not value)


def _is_flag(t: Tensor) -> bool:
    return t.dtype == torch.bool and t.numel() == 1


def _samples(objective: Objective) -> list[Batch]:
    """Two of few examples, or whole batches where the module takes no fewer."""
    few = list(objective.data.two_samples())
    try:
        with objective.data.without_graph():
            objective.data.evaluate(objective.network.module, few[0])
    except Exception as error:
        raise_if_out_of_memory(error)
        return list(islice(objective.data, 2))
    return few


@dataclass(frozen=True)
class _Search:
    """Passes over two samples, by which caches are told from constants."""

    objective: Objective
    samples: list[Batch]

    def in_use(self, filled: Changes) -> list[Place]:
        """The places that another evaluation uses as they are; those that were filled since the
        module was given, where it cannot be said.
        """
        module, lent = self.objective.network.module, []
        before = {place: _detached(place.get(module)) for place in kept_numbers(module)}

        def leaf(place: Place, t: Tensor) -> Tensor:
            """A graph of its own ends there; what is given may be written into."""
            if not is_number(t):
                return t
            lent.append((place, t.detach().clone().requires_grad_(True)))
            return lent[-1][1].clone()

        try:
            with torch.enable_grad():
                for place, content in before.items():
                    place.put(module, mapped(content, partial(leaf, place)))
            used = _uses(self.evaluated(0), [t for _, t in lent])
            places = {place for (place, _), is_used in zip(lent, used, strict=True) if is_used}
        except Exception as error:  # it has no derivative in them
            raise_if_out_of_memory(error)
            places = {place for place in before if place.path in filled.keys}
        finally:
            for place, content in before.items():
                place.put(module, content)
        return [place for place in before if place in places]

    def made_anew(self, place: Place, reset: Reset, kept: list[Tensor]) -> list[Tensor] | None:
        """The values that come into the place, if they are functions of the parameters, and are
        the same from other examples; else None.

        Without a graph they may be what the parameters were once, on purpose: a cache is `kept`.
        """
        made = [self._made(place, reset, which) for which in (0, 1)]
        if None in made or not _agree(*map(_values, made)):
            return None
        if not any(t.requires_grad for t in made[0]):
            if not _agree(kept, made[0]):
                return None
            with _moved(self.objective.network):
                moved = self._made(place, reset, 0)
            if moved is None or _agree(_values(made[0]), _values(moved)):
                return None
        return _values(made[0])

    def _made(self, place: Place, reset: Reset, which: int) -> list[Tensor] | None:
        module = self.objective.network.module
        reset.empty(module)
        left = Seen.of(place.get(module))
        try:
            self.evaluated(which)
        except Exception as error:  # it was no cache: the module cannot do without
            raise_if_out_of_memory(error)
            return None
        if left.is_still(now := place.get(module)):
            return None
        place.put(module, _detached(now))
        return real_numbers(now) or None

    def made_by_mode(self, places: list[Place]) -> list[Place]:
        """Those where train() or eval() computes what is there from parameters that have another
        part in the outputs; of those that have none `Graphs` tells.
        """
        network = self.objective.network
        parts = [name for name, part in network.module.named_modules() if _has_modes(part)]
        room = free_memory(network.device)
        if not (places and parts) or network.num_parameters * COPY_BYTES > room:
            return []
        try:
            used = _uses(self.evaluated(0), network.parameters)
            other, made = copy.deepcopy(network), []
            v = differences.direction(other.parameters, torch.Generator().manual_seed(0))
            v = [d if is_used else torch.zeros_like(d) for d, is_used in zip(v, used, strict=True)]
            for step in (0.0, NEARBY):
                other.move_to(network.parameters, v, step)
                for name in parts:
                    part = other.module.get_submodule(name)
                    mode = part.training
                    part.train(not mode)
                    part.train(mode)
                made.append([_values(real_numbers(place.get(other.module))) for place in places])
        except Exception as error:  # it has no other mode: nothing is said
            raise_if_out_of_memory(error)
            return []
        kept = [_values(real_numbers(place.get(network.module))) for place in places]
        return [
            place
            for place, now, same, moved in zip(places, kept, *made, strict=True)
            if _agree(now, same) and not _agree(same, moved)
        ]

    def evaluated(self, which: int) -> list[Tensor]:
        """Outputs and targets of one of the samples, those that have a graph."""
        batch = self.samples[which % len(self.samples)]
        with torch.enable_grad():
            found = self.objective.data.evaluate(self.objective.network.module, batch)
        return [t for t in tensors(found) if t.requires_grad]


def _has_modes(part: nn.Module) -> bool:
    """Whether train() or eval() does more than it does in all modules."""
    kind = type(part)
    return kind.train is not nn.Module.train or kind.eval is not nn.Module.eval


@contextlib.contextmanager
def _moved(network: Network) -> Iterator[None]:
    """The network at a θ nearby, for a while."""
    theta = [q.detach().clone() for q in network.parameters]
    v = differences.direction(theta, torch.Generator().manual_seed(0))
    network.move_to(theta, v, NEARBY)
    try:
        yield
    finally:
        network.move_to(theta)


def _uses(outputs: list[Tensor], every: Sequence[Tensor]) -> list[bool]:
    """Which of these tensors the outputs were computed from."""
    if not (outputs and every):
        return [False] * len(every)
    total = sum((torch.view_as_real(t) if t.is_complex() else t).sum() for t in outputs)
    return [g is not None for g in torch.autograd.grad(total, every, allow_unused=True)]


def _values(made: list[Tensor]) -> list[Tensor]:
    return [t.detach() for t in made]


def _agree(one: list[Tensor], other: list[Tensor]) -> bool:
    if [t.shape for t in one] != [t.shape for t in other]:
        return False
    return all(
        float((a.to(b) - b).abs().max()) <= AGREES * float(b.abs().max()) if b.numel() else True
        for a, b in zip(one, other, strict=True)
    )


def _detached(content: object) -> object:
    """The tensors that have a graph as values; the others as they are."""
    return mapped(content, lambda t: t.detach() if t.requires_grad else t)
