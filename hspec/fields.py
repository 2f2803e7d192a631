"""Values are of the types that were declared for them,
or refused by name when they are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

NUMBERS = {int: Integral, float: Real}  # NumPy's numbers too
LARGEST_SEED = 2**63 - 1  # what both numpy and torch take


def check_fields(instance: Any) -> None:
    """Refuse a dataclass whose values do not have the annotated types; an int is accepted as a
    float.

    Raises:
        TypeError: Naming the field, what was expected and what was given.
    """
    hints = _hints(type(instance))
    for f in fields(instance):
        value = coerced(f.name, getattr(instance, f.name), hints[f.name])
        object.__setattr__(instance, f.name, value)  # frozen: only here, while it is being built


@cache  # evaluates every annotation, and a book holds hundreds of settings against one another
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def unchecked(cls: type, values: Mapping[str, Any]) -> Any:
    """A frozen dataclass of these values as they are, lists as tuples:
    what was valid when it was written down.
    """
    instance = object.__new__(cls)
    for name, value in values.items():
        object.__setattr__(instance, name, tuple(value) if isinstance(value, list) else value)
    return instance


def check_seed(name: str, seed: int) -> None:
    """Refuse a seed that one random generator would take and another would not.

    Raises:
        ValueError: It is negative or above :data:`LARGEST_SEED`.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"{name} must be from 0 to 2**63 - 1, got {seed}")


def coerced(name: str, value: Any, expected: Any) -> Any:
    """``value`` as the type ``expected``; sequences become tuples or lists, an int may stand for a
    float.

    Raises:
        TypeError: Naming the parameter, what was expected and what was given.
    """
    options = get_args(expected) if get_origin(expected) in (Union, UnionType) else (expected,)
    for option in options:
        sequence = get_origin(option)
        if sequence in (tuple, list) and isinstance(value, (list, tuple)):
            element = get_args(option)[0]
            return sequence(coerced(f"{name}[{i}]", v, element) for i, v in enumerate(value))
        plain = NUMBERS.get(option, sequence or option)
        if isinstance(value, plain) and not (isinstance(value, bool) and option is not bool):
            return option(value) if option in NUMBERS else value
    wanted = " or ".join(_spelled(option) for option in options)
    raise TypeError(f"{name} must be {wanted}, got {value!r} ({type(value).__name__})")


def _spelled(option: Any) -> str:
    return str(option) if get_origin(option) else getattr(option, "__name__", str(option))
