"""Timing that survives a busy machine: contenders take turns,
and figures are ratios within a round.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

MIN_SECONDS = 0.1  # a contender is called again within its turn until so much time has passed


@dataclass(frozen=True)
class Times:
    """Seconds per call of each contender in each round, {name: (rounds,)}."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        return float(np.median(self.seconds[name]))

    def fastest(self, name: str) -> float:
        return min(self.seconds[name])

    def ratio(self, name: str, reference: str) -> float:
        """Median over rounds of name/reference:
        drift of the machine's speed cancels within a round.
        """
        return float(np.median(self._ratios(name, reference)))

    def ratio_spread(self, name: str, reference: str) -> tuple[float, float]:
        """Lower and upper quartile of the ratio over rounds."""
        low, high = np.percentile(self._ratios(name, reference), [25, 75])
        return float(low), float(high)

    def ratio_of_fastest(self, name: str, reference: str) -> float:
        return self.fastest(name) / self.fastest(reference)

    def _ratios(self, name: str, reference: str) -> np.ndarray:
        return np.array(self.seconds[name]) / np.array(self.seconds[reference])


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    device,
    *,
    warm_up=True,
    min_seconds=MIN_SECONDS,
) -> Times:
    """Each round calls every contender in turn, in an order of its own: nobody always follows the
    same neighbour.

    warm_up: call each once before, untimed, so that kept graphs, caches and thread pools are there.
    """
    names = list(contenders)
    if warm_up:
        for name in names:
            contenders[name]()
    seconds = {name: [] for name in names}
    for number in range(rounds):
        for name in np.random.default_rng(number).permutation(names):
            seconds[name].append(_seconds_per_call(contenders[name], device, min_seconds))
    return Times(seconds)


def _seconds_per_call(call: Callable[[], object], device, min_seconds: float) -> float:
    calls, started = 0, _now(device)
    while True:
        call()
        calls += 1
        if (passed := _now(device) - started) >= min_seconds:
            return passed / calls


def _now(device) -> float:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
