"""What a module holds beside its parameters: every place where a pass can leave something for the
next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import cache
from types import FunctionType, MethodType, ModuleType, NoneType

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from hspec.curvature.contents import mapped, moved, tensors

OWN = frozenset(vars(nn.Module())) - {"_buffers"}  # attributes that every module has
CLOSED = (Tensor, nn.Module, type, tuple, ModuleType, FunctionType, MethodType)
# What holds nothing, and is all that a vocabulary of a hundred thousand words consists of.
PLAIN = frozenset((bool, int, float, str, bytes, NoneType, torch.dtype, torch.device))
LISTS = list | deque


@dataclass(frozen=True)
class Place:
    """An attribute or a buffer of a part of the module, or an item of what it holds.

    path: the part's name, and the keys on the way to the holder.
    """

    path: tuple
    key: object

    @property
    def name(self) -> str:
        """As "layer.cache['cpu']"."""
        part, *keys = (key for key in (*self.path, self.key) if key != "_buffers")
        return f"{part}.{keys[0]}{''.join(f'[{key!r}]' for key in keys[1:])}".lstrip(".")

    def get(self, module: nn.Module) -> object:
        """What is there; None where nothing is."""
        holder = found(module, self.path)
        return None if holder is None else items(holder).get(self.key)

    def put(self, module: nn.Module, value: object) -> None:
        """Nothing where the holder is gone."""
        if (holder := found(module, self.path)) is not None:
            put(holder, self.key, value)


def is_holder(value: object) -> bool:
    """Whether it is a list, a mapping or an object with attributes, that can be written into."""
    if type(value) in PLAIN:
        return False
    if isinstance(value, MutableMapping | LISTS):
        return True
    return not isinstance(value, CLOSED) and (
        hasattr(value, "__dict__") or bool(_slots(type(value)))
    )


@cache
def _slots(kind: type) -> tuple[str, ...]:
    of = (vars(base).get("__slots__", ()) for base in kind.__mro__)
    every = ((names,) if isinstance(names, str) else names for names in of)
    return tuple(name for names in every for name in names if name[:2] != "__")


def items(holder: object) -> dict:
    """What it holds, by key, index or attribute."""
    if isinstance(holder, nn.Module):
        return {name: value for name, value in vars(holder).items() if name not in OWN}
    if isinstance(holder, MutableMapping):
        return dict(holder)
    if isinstance(holder, LISTS):
        return dict(enumerate(holder))
    filled = {name: getattr(holder, name) for name in _slots(type(holder)) if hasattr(holder, name)}
    return filled | getattr(holder, "__dict__", {})


def put(holder: object, key: object, value: object) -> None:
    """Put it there, at the end of a list that is shorter."""
    if isinstance(holder, LISTS) and key >= len(holder):
        holder.append(value)
    elif isinstance(holder, MutableMapping | LISTS):
        holder[key] = value
    elif isinstance(holder, nn.Module):
        vars(holder)[key] = value
    else:
        object.__setattr__(holder, key, value)


def remove(holder: object, key: object) -> None:
    """Take it away; of a list all that comes after it, too."""
    if isinstance(holder, LISTS):
        while len(holder) > key:
            holder.pop()
    elif isinstance(holder, MutableMapping):
        holder.pop(key, None)
    elif isinstance(holder, nn.Module):
        vars(holder).pop(key, None)
    elif key in items(holder):
        object.__delattr__(holder, key)


def found(module: nn.Module, path: tuple) -> object | None:
    """The holder there; None where there is none."""
    holder: object = module.get_submodule(path[0])
    for key in path[1:]:
        holder = items(holder).get(key)
        if not is_holder(holder):
            return None
    return holder


def holders(module: nn.Module, only: str | None = None) -> Iterator[tuple[tuple, object]]:
    """(path, holder) of all, or of one part's own, but for layers that normalise by statistics,
    which are known.
    """
    seen: set[int] = set()
    named = module.named_modules() if only is None else [(only, module.get_submodule(only))]
    for name, part in named:
        waiting = [] if isinstance(part, _NormBase) else [((name,), part)]
        while waiting:
            path, holder = waiting.pop()
            if id(holder) in seen:
                continue
            seen.add(id(holder))
            yield path, holder
            inside = items(holder).items()
            waiting.extend(((*path, key), value) for key, value in inside if is_holder(value))


def kept_numbers(module: nn.Module) -> dict[Place, list[Tensor]]:
    """The tensors that a derivative can go through, at every place that has any, parameters
    aside.
    """
    kept = {}
    for path, holder in holders(module):
        for key, value in items(holder).items():
            if type(value) in PLAIN or is_holder(value):
                continue
            if numbers := real_numbers(value):
                kept[Place(path, key)] = numbers
    return kept


def real_numbers(content: object) -> list[Tensor]:
    """Its real and complex tensors; none where one of them is a parameter."""
    inside = [t for t in tensors(content) if is_number(t)]
    return [] if any(isinstance(t, nn.Parameter) for t in inside) else inside


def is_number(t: Tensor) -> bool:
    """Whether a derivative can go through it."""
    return t.layout is torch.strided and (t.is_floating_point() or t.is_complex())


@dataclass(frozen=True)
class Seen:
    """What was at a place: the object, PyTorch's count of writes, the numbers of its tensors."""

    value: object
    writes: tuple
    content: object

    @classmethod
    def of(cls, value: object) -> Seen:
        """What is there now."""
        if type(value) in PLAIN:
            return cls(value, (), value)
        return cls(value, _writes(value), _apart(value, _numbers))

    def is_still(self, now: object) -> bool:
        """Whether this is there now, with the same numbers."""
        if is_holder(self.value) and is_holder(now):
            return True  # their items are looked at themselves
        if type(now) in PLAIN and type(now) is type(self.value):
            return now == self.value
        return now is self.value and _writes(now) == self.writes


def _writes(value: object) -> tuple:
    if is_holder(value):
        return ()
    return tuple(t._version for t in tensors(value) if not t.is_inference())


def _apart(value: object, function: Callable[[Tensor], Tensor]) -> object:
    """What is no holder, with every tensor t that is no parameter replaced by function(t)."""
    inside = [] if is_holder(value) else list(tensors(value))
    if not inside or any(isinstance(t, nn.Parameter) for t in inside):
        return value
    return mapped(value, function)


def _numbers(t: Tensor) -> Tensor:
    return t.detach().clone()


class Snapshot:
    """What all holders of a module, or of one part of it, hold now."""

    def __init__(self, module: nn.Module, only: str | None = None) -> None:
        self._held = {
            path: {key: Seen.of(value) for key, value in items(holder).items()}
            for path, holder in holders(module, only)
        }

    def changes(self, module: nn.Module) -> Changes:
        """Of the holders that were there, where they hold something else by now."""
        keys, values = {}, {}
        for path, before in self._held.items():
            if (holder := found(module, path)) is None:
                continue
            now = items(holder)
            off = {
                key: seen.content
                for key, seen in before.items()
                if key not in now or not seen.is_still(now[key])
            }
            if off or len(now) > len(before):
                keys[path], values[path] = frozenset(before), off
        return Changes(keys, values)

    def restore(self, module: nn.Module) -> None:
        """Put back all of it: the very tensors, but for those that were written into."""
        changes = self.changes(module)
        changes.empty(module)
        for path, values in changes.values.items():
            for key in values:
                seen = self._held[path][key]
                if _writes(seen.value) == seen.writes:
                    put(found(module, path), key, seen.value)


@dataclass(frozen=True)
class Changes:
    """Puts back what had been in these holders, in any copy of the module.

    keys: all that each of them had; values: those that were something else.
    """

    keys: dict[tuple, frozenset]
    values: dict[tuple, dict]

    def of_part(self, name: str) -> Changes:
        """Those in one part of the module."""
        keys = {path: keys for path, keys in self.keys.items() if path[0] == name}
        return Changes(keys, {path: self.values[path] for path in keys})

    def empty(self, module: nn.Module) -> None:
        """So that the next forward pass finds what was there at first."""
        like = next(module.parameters())

        def fresh(t: Tensor) -> Tensor:
            return moved(t, like.device, like.real.dtype, anew=True)

        for path, keys in self.keys.items():
            if (holder := found(module, path)) is None:
                continue
            for key in items(holder).keys() - keys:
                remove(holder, key)
            for key, value in self.values[path].items():
                put(holder, key, _apart(value, fresh))
