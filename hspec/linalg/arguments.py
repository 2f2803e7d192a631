"""What users pass, checked where it comes in: each mistake gets one sentence,
with the fact and the remedy.
"""

import math
import operator
from collections.abc import Collection
from numbers import Real

import torch


def whole_number(value: object, name: str, least: int = 1) -> int:
    """A Python integer from any kind of integer, NumPy's too; ValueError for all else,
    or for less.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise ValueError(f"{name} is a whole number of at least {least}; got {value!r}.")
    return number


def positive_number(value: object, name: str) -> float:
    """A finite positive float; ValueError for anything else."""
    if not isinstance(value, Real) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite; got {value!r}.")
    return float(value)


def finite_number(value: object, name: str) -> float:
    """A finite float; ValueError for anything else."""
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number; got {value!r}.")
    return float(value)


def random_source(generator: object) -> torch.Generator:
    """`generator` itself; TypeError where it is anything but a torch.Generator."""
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            "generator is a torch.Generator, the one source of randomness, such as "
            f"torch.Generator().manual_seed(0); got {generator!r}."
        )
    return generator


def guards_of(check: bool | str | Collection[str], names: tuple[str, ...]) -> frozenset[str]:
    """The guards that are on: all for True, none for False, or those that are named."""
    if isinstance(check, bool):
        return frozenset(names if check else ())
    chosen = frozenset([check] if isinstance(check, str) else check)
    if not chosen <= set(names):
        raise ValueError(
            "check is True, False, or the names of the guards that stay on, out of "
            f"{', '.join(names)}; "
            f"got {check!r}."
        )
    return chosen
