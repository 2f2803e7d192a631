"""A measure: the function that an experiment runs,
under a name and a version that count in its key.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from hspec.experiments.records import Record
from hspec.fields import coerced

ZEROS = {"seed", "step", "epoch", "epochs", "exact_limit"}  # whole numbers that may be zero


@dataclass(frozen=True)
class Measure:
    """What :func:`measure` makes of a function ``f(task, *, options) -> {name: array}``; called as
    that.

    Attributes:
        version: Raised when the meaning or the numbers change: older records are then no longer
            found.
        result: The type of its records, whose attributes are what it measured.
    """

    function: Callable[..., Mapping[str, Any]]
    version: int
    result: type[Record] = Record

    def __post_init__(self):
        of = {name: getattr(self.function, name) for name in functools.WRAPPER_ASSIGNMENTS}
        vars(self).update(of, __wrapped__=self.function)  # what help() and inspect look at

    def __call__(self, task, **options) -> Mapping[str, Any]:
        return self.function(task, **options)

    @property
    def name(self) -> str:
        """The function's name, which is part of every key;
        a function is renamed only with its records.
        """
        return self.function.__name__

    def typed(self, record: Record) -> Record:
        """A record of this measure as its own type."""
        return self.result(record.arrays, record.meta)

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options: those given, checked, and the defaults of the others.

        Raises ValueError for an unknown or a missing option and for a count below one, before
        anything is trained; TypeError for one of the wrong type.
        """
        parameters = inspect.signature(self.function).parameters.items()
        known = {name: p for name, p in parameters if p.kind is p.KEYWORD_ONLY}
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(
                f"{self.name} has no option {', '.join(unknown)}: it has "
                f"{', '.join(sorted(known)) or 'none'}"
            )
        missing = [name for name, p in known.items() if p.default is p.empty and name not in given]
        if missing:
            raise ValueError(f"{self.name} needs the option {', '.join(missing)}")
        hints = get_type_hints(self.function)
        options = {
            name: coerced(name, given.get(name, p.default), hints[name])
            for name, p in known.items()
        }
        for name, value in options.items():
            if type(value) is int and value < 1 and name not in ZEROS:
                raise ValueError(f"{name} must be at least 1; got {value}")
        return options


def measure(version: int, result: type[Record] = Record) -> Callable[[Callable], Measure]:
    """Makes a :class:`Measure` of the function that ``@measure(version=1)`` stands before.

    Args:
        version: Counts in the keys of its records.
        result: The type of its records.

    Example:
        >>> @measure(version=1)
        ... def sizes(task, *, split: str = "train"):
        ...     return {"images": len(task.images(split))}
        >>> sizes.name, sizes.complete({})
        ('sizes', {'split': 'train'})
    """
    return lambda function: Measure(function, version, result)
