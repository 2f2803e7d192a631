"""Axes that the pictures of films share: signed-log eigenvalues, steps, losses."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from hspec.experiments.training_spectrum import Frame
from hspec.figures.style import SERIES
from hspec.linalg import SpectralMeasure

SMOOTHING = 0.12  # of a heat map's kernel, in units of its axis
STATISTICS = {
    "batch": "batch statistics",
    "eval": "running statistics",
    "population": "population statistics",
}
LOOKS = list(zip(SERIES, "osD^v", strict=True))  # of one net after the other


def bent(value: np.ndarray | float, unit: float) -> np.ndarray:
    """u = sign(λ) log10(1 + |λ|/unit)."""
    return np.sign(value) * np.log10(1 + np.abs(value) / unit)


def straight(u: np.ndarray | float, unit: float) -> np.ndarray:
    """The inverse of :func:`bent`."""
    return np.sign(u) * unit * (10 ** np.abs(u) - 1)


def bending(unit: float) -> dict[str, Any]:
    """For ``Axes.set_yscale`` and ``set_xscale``: eigenvalues on the axis u of :func:`bent`."""
    return {
        "value": "function",
        "functions": (partial(bent, unit=unit), partial(straight, unit=unit)),
    }


def column(measure: SpectralMeasure, grid: np.ndarray, unit: float) -> np.ndarray:
    """Expected number of eigenvalues per unit of u:
    the measure is carried to the axis u and smoothed there.
    """
    carried = SpectralMeasure(
        bent(measure.nodes, unit), measure.weights, measure.plain_weights, measure.dimension
    )
    return measure.dimension * carried.density(grid, SMOOTHING)


def column_edges(steps: np.ndarray) -> np.ndarray:
    """Where one frame's column ends and the next begins: halfway between their steps."""
    middles = [(a + b) / 2 for a, b in pairwise(steps)]
    half = 0.5 * (steps[1] - steps[0]) if len(steps) > 1 else 0.5
    last = 0.5 * (steps[-1] - steps[-2]) if len(steps) > 1 else 0.5
    return np.array([steps[0] - half, *middles, steps[-1] + last])


def eigenvalue_ticks(low: float, high: float, unit: float) -> np.ndarray:
    """0, and the powers of ten beyond the linear part that the axis reaches."""
    first = int(np.ceil(np.log10(unit)))
    positive = [10.0**k for k in range(first, 12) if 10.0**k <= high]
    negative = [-(10.0**k) for k in range(first, 12) if 10.0**k <= -low]
    return np.array([*negative[::-1], 0.0, *positive])


def step_axis(axis: Axes, steps: np.ndarray) -> None:
    """Steps on a logarithmic axis after the first frame where the film begins at the start, with
    its last one named, else on a linear one.
    """
    positive = steps[steps > 0]
    if steps[0] == 0 and len(positive):
        axis.set_xscale("symlog", linthresh=int(positive[0]), linscale=0.5)
        ticks = [0, *(10**k for k in range(8) if positive[0] <= 10**k <= steps[-1] / 2)]
        ticks.append(int(steps[-1]))
        axis.set_xticks(ticks, [f"{t:,}" for t in ticks])
    axis.set_xlim(column_edges(steps)[[0, -1]])
    axis.set_xlabel("step")


def falling_loss_axis(axis: Axes, frames: list[Frame]) -> None:
    """The loss as a logarithmic abscissa that falls to the right,
    so that training runs to the right.
    """
    losses = [r.loss for r in frames]
    axis.set_xscale("log")
    axis.set_xlim(1.3 * max(losses), min(losses) / 1.3)
    axis.set_xlabel("loss (falling to the right)")


def plain_log(axis: Axes) -> None:
    """A logarithmic ordinate with plain numbers; :func:`few_labels` between powers of ten, as long
    as there are few of these. Where nothing is drawn above zero, as of values that are not known,
    it stays as it is, since no logarithm has a place for that.
    """
    if not np.isfinite(axis.dataLim.minposy):
        return
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(lambda value, _: few_labels(value, axis.get_ylim()))


def few_labels(value: float, limits: tuple[float, float]) -> str:
    """Between powers of ten, on an axis with these limits, 2 and 5 are named; within one decade 3
    too, within half a one 4, 6 and 8 as well, over more than two none.

    Example:
        >>> [few_labels(value, (0.1, 4)) for value in (0.2, 0.3, 0.5)]
        ['0.2', '', '0.5']
        >>> [few_labels(value, (0.05, 0.15)) for value in (0.06, 0.07, 0.08)]
        ['0.06', '', '0.08']
    """
    decades = abs(np.log10(limits[1] / limits[0])) if min(limits) > 0 else np.inf
    named = {0.5: "234568", 1: "235", 2: "25"}  # up to so many decades
    digits = next((digits for most, digits in named.items() if decades <= most), "")
    return f"{value:g}" if f"{value:e}"[0] in digits else ""
