"""What the command line decides for every task."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

Measurements = Iterator[tuple[str, dict]]  # (key, result), each written as soon as it is there


@dataclass(frozen=True)
class Options:
    """nets: keys of SPECS; quick: toy sizes, to try the harness; report:
    where a line of progress goes.
    """

    nets: tuple[str, ...] = ("a", "b", "c", "r")
    quick: bool = False
    device: torch.device = torch.device("cpu")
    report: Callable[[str], None] = print

    def chosen(self, *keys: str) -> list[str]:
        """Those of `keys` that were asked for."""
        return [key for key in keys if key in self.nets]
