"""What a published net is: settings, what is measured of them,
and the numbers that were printed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hspec.experiments.experiment import Experiment
from hspec.experiments.records import Record
from hspec.experiments.store import Store


@dataclass(frozen=True)
class Number:
    """A number that was published, and where a record has its like:
    ``measured(record)`` of ``experiment``.
    """

    quantity: str
    value: float
    experiment: str
    measured: Callable[[Record], float]


@dataclass(frozen=True)
class PublishedNet:
    """A net of the papers at one sample size.

    title        net, data, sample, moment
    cost         of all experiments, in floating-point operations, reasoned: two cores do 1e15 in 2
    to 6 hours
    experiments  what is measured of it, by name
    numbers      what was printed for it; source  where
    """

    title: str
    cost: float
    experiments: Mapping[str, Experiment]
    numbers: tuple[Number, ...] = ()
    source: str = ""

    def records(self, store: Store | None = None) -> dict[str, Record | None]:
        """What is stored of it; None for what is still to be measured."""
        store = store or Store()
        return {name: store.get(e.measure, e.key) for name, e in self.experiments.items()}


def ranked(name: str, values: tuple[float, ...], experiment: str, array: str) -> tuple[Number, ...]:
    """One number for each of the leading entries of ``array``: λ_1(name), λ_2(name), …"""
    return tuple(
        Number(f"λ_{k + 1}({name})", value, experiment, lambda record, k=k: record[array][k])
        for k, value in enumerate(values)
    )


def edge(prefix: str, end: Callable) -> Callable[[Record], float]:
    """The outermost node of the quadrature whose arrays begin with ``prefix``; end:
    np.nanmin or np.nanmax.
    """
    return lambda record: end(record[f"{prefix}nodes"])
