"""What the command line decides for every task."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

Measurements = Iterator[tuple[str, dict]]  # (key, result), each written as soon as it is there
Measure = Callable[[], dict]


def measured_now(task: str, key: str, name: str, measure: Measure) -> dict:
    """A part of a measurement that is kept nowhere."""
    return measure()


@dataclass(frozen=True)
class Options:
    """nets: keys of SPECS; quick: toy sizes, to try the harness; report:
    where a line of progress goes; part: (task, key, name, how) ↦ a part of a long measurement, kept
    for a rerun in case this run is cut off.
    """

    nets: tuple[str, ...] = ("a", "b", "c", "r")
    quick: bool = False
    device: torch.device = torch.device("cpu")
    report: Callable[[str], None] = print
    part: Callable[[str, str, str, Measure], dict] = measured_now

    def chosen(self, *keys: str) -> list[str]:
        """Those of `keys` that were asked for."""
        return [key for key in keys if key in self.nets]
