"""What a module computes of its parameters once and keeps: a constant to every graph after the
first.

`self._cache = {}` filled in forward, `functools.cached_property`: under torch.no_grad(), or since
an earlier call, the kept tensor has no graph, and the parameters' share in the derivatives is lost
without an error. Such a tensor is found out by taking it away: the module makes it anew, the same
from whatever examples, with a graph. It is taken away before every evaluation from then on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hspec.curvature.contents import mapped, tensors
from hspec.curvature.engine.attempt import raise_if_out_of_memory
from hspec.curvature.engine.batch_graph import Objective

OWN = frozenset(vars(nn.Module()))  # attributes that every module has
AGREES = 1e-4  # of the largest entry: a cache made twice


@dataclass(frozen=True)
class Place:
    """An attribute of a part of the module, or one item of a dict there."""

    part: str
    attribute: str
    key: tuple = ()  # of the item; empty for the attribute itself

    @property
    def name(self) -> str:
        """As "layer.cache['cpu']"."""
        item = "".join(f"[{key!r}]" for key in self.key)
        return f"{self.part}.{self.attribute}{item}".lstrip(".")

    def _holder(self, module: nn.Module) -> tuple[dict, object]:
        own = vars(module.get_submodule(self.part))
        if not self.key:
            return own, self.attribute
        return own.setdefault(self.attribute, {}), self.key[0]

    def get(self, module: nn.Module) -> object:
        """What is there; None where nothing is."""
        holder, key = self._holder(module)
        return holder.get(key)

    def put(self, module: nn.Module, value: object) -> None:
        holder, key = self._holder(module)
        holder[key] = value

    def empty(self, module: nn.Module, to_none: bool) -> None:
        """Take away what is there, or put None in its place."""
        holder, key = self._holder(module)
        holder.pop(key, None)
        if to_none:
            holder[key] = None


@dataclass(frozen=True)
class Cache:
    """A place whose content is a function of the parameters, and how it is emptied."""

    place: Place
    to_none: bool

    def empty(self, module: nn.Module) -> None:
        """So that the next forward pass computes it."""
        self.place.empty(module, self.to_none)


def find_caches(objective: Objective) -> tuple[Cache, ...]:
    """The caches of the network's module, which has been evaluated once; none is left in it.

    Raises ValueError for one that is out of date.
    """
    module, found = objective.network.module, []
    if objective.network.gather is not None or not _kept(module):
        return ()
    for place in _in_use(objective):
        before = place.get(module)
        for to_none in (False, True):
            made = _made_anew(objective, place, to_none)
            if made is None:
                continue
            if not _agree(_values(before), made):
                raise ValueError(
                    f"the module keeps {place.name!r}, computed from parameters that have other "
                    "values now: its outputs are not those of its parameters. Empty it, or "
                    "evaluate the module anew"
                )
            found.append(Cache(place, to_none))
            break
        else:
            place.put(module, before)
    for cache in found:
        cache.empty(module)
    return tuple(found)


def _kept(module: nn.Module) -> dict[Place, list[Tensor]]:
    """Floating tensors in attributes of the module, other than parameters and buffers."""
    found = {}
    for path, part in module.named_modules():
        for attribute, value in vars(part).items():
            if attribute not in OWN:
                for place, content in _places(path, attribute, value):
                    floating = [t for t in tensors(content) if t.is_floating_point()]
                    if floating and not any(isinstance(t, nn.Parameter) for t in floating):
                        found[place] = floating
    return found


def _places(path: str, attribute: str, value: object) -> Iterator[tuple[Place, object]]:
    if type(value) is dict:
        yield from ((Place(path, attribute, (key,)), content) for key, content in value.items())
    else:
        yield Place(path, attribute), value


def _in_use(objective: Objective) -> list[Place]:
    """Those of them that another evaluation uses as they are."""
    network, kept = objective.network, _kept(objective.network.module)
    for place in kept:  # a graph of their own ends here
        place.put(network.module, _detached(place.get(network.module)))
        kept[place] = [t for t in tensors(place.get(network.module)) if t.is_floating_point()]
    every = [t.requires_grad_(True) for content in kept.values() for t in content]
    try:
        outputs = _outputs(objective, 0)
        found = torch.autograd.grad(outputs.sum(), every, allow_unused=True)
    except Exception as error:  # it takes no few examples, or has no derivative
        raise_if_out_of_memory(error)
        return []
    finally:
        for t in every:
            t.requires_grad_(False)
    used = {id(t) for t, g in zip(every, found, strict=True) if g is not None}
    places = [place for place, content in kept.items() if any(id(t) in used for t in content)]
    for place in kept:
        place.put(network.module, _detached(place.get(network.module)))
    return places


def _made_anew(objective: Objective, place: Place, to_none: bool) -> list[Tensor] | None:
    """The values that come into the emptied place, if they have a graph, and are the same from
    other examples; else None.
    """
    module, made = objective.network.module, []
    for which in (0, 1):
        place.empty(module, to_none)
        try:
            _outputs(objective, which)
        except Exception as error:  # it was no cache: the module cannot do without
            raise_if_out_of_memory(error)
            return None
        new = [t for t in tensors(place.get(module)) if t.is_floating_point()]
        if not any(t.requires_grad for t in new):
            return None
        made.append([t.detach() for t in new])
        place.put(module, _detached(place.get(module)))
    return made[0] if _agree(*made) else None


def _outputs(objective: Objective, which: int) -> Tensor:
    """With a graph, of one of two samples of a few examples."""
    batches = list(objective.data.two_samples())
    with torch.enable_grad():
        return objective.data.evaluate(objective.network.module, batches[which % len(batches)])[0]


def _values(content: object) -> list[Tensor]:
    return [t.detach() for t in tensors(content) if t.is_floating_point()]


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
