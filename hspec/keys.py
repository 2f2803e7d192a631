"""Keys: a result is named by the hash of everything it depends on, and configurations may grow.

What a key hashes is a configuration's *canonical form*: plain JSON types, one spelling each. A
field or an option that was added later is left out of it while it has the value that means "as it
was before there was this field", so that what was published before keeps its name.

How to add a field to a dataclass, or an option to a function, whose keys are in use::

    weights: Annotated[str | None, Added(None)] = None

The value in :class:`Added` is the behaviour before the field was there. It is written once and
never changed, also when the default on the right changes later: a new default then gives new
keys, and the old value, written out, still gives the old ones. Nothing else has to be done; in
particular no version is raised, and no record is touched. A field without the mark is one of the
first: it is hashed always, and its default may change freely, since each value has its own key.

Two things still change a key on purpose: another name or type of a field, and a raised version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Added:
    """Marks, in ``Annotated``, what came after the first keys were published.

    Args:
        at_birth: The value that means what held before there was this field or option.
    """

    at_birth: Any


def births(owner: Any) -> dict[str, Any]:
    """The marked fields of a dataclass, or arguments of a function,
    with their values at birth."""
    marks = {
        name: [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Added)]
        for name, hint in get_type_hints(owner, include_extras=True).items()
    }
    return {name: mark[0].at_birth for name, mark in marks.items() if mark}


def distinguishing(owner: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` of the fields or arguments of ``owner``,
    without those still as at their birth."""
    later = births(owner)
    return {
        name: value
        for name, value in values.items()
        if name not in later or canonical(value) != canonical(later[name])
    }


def completed(owner: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`distinguishing`: what is left out has its value at birth."""
    return births(owner) | dict(values)


def canonical(value: Any) -> Any:
    """``value`` as plain JSON types with one spelling each,
    so that equal configurations have equal text.
    """
    if is_dataclass(value):
        owner = type(value)
        return canonical(
            distinguishing(owner, {f.name: getattr(value, f.name) for f in fields(owner)})
        )
    if isinstance(value, Mapping):
        return {str(k): canonical(v) for k, v in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    return value


def digest(value: Any) -> str:
    """The sha256, cut to 20 hexadecimal digits, of the JSON of a configuration's canonical form.

    Raises:
        ValueError: A number is infinite or not a number.
    """
    text = json.dumps(canonical(value), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
