"""What can be measured. Each measure is a function ``measure(bench, *, options) -> {name: array}``.

Raise a measure's version when its meaning or its numbers change: its old records are then no longer found.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .instrument import instrument
from .spectra import bulk_and_outliers


@dataclass(frozen=True)
class Measure:
    function: Callable
    version: int


MEASURES = {
    "instrument": Measure(instrument, version=1),
    "bulk_and_outliers": Measure(bulk_and_outliers, version=1),
}
