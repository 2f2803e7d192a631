"""Spectral densities: smoothed lines on a logarithmic ordinate, their floor and their bands."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from hspec.figures.kernels import note_kernel
from hspec.figures.style import COLOURS, LINE_STYLES, LINE_WIDTHS
from hspec.linalg import SpectralMeasure
from hspec.plotting.densities import probe_densities
from hspec.statistics import mean_and_interval

GRID_POINTS = 2048
MARGIN = 0.05  # of the range, on both sides: P20's margin


def density_line(
    axis: Axes,
    measure: SpectralMeasure,
    width: float,
    colour: str,
    label: str,
    *,
    style: str = "-",
    within: tuple[float, float] | None = None,
    linewidth: float = 1.6,
) -> None:
    """The density, smoothed by a Gaussian of the given width (units of the eigenvalues), on a
    logarithmic ordinate.

    within  the ends of the axis; default: those of the measure
    """
    note_kernel(axis, width)
    low, high = within or measure.support
    margin = MARGIN * (high - low)
    grid = np.linspace(low - margin, high + margin, GRID_POINTS)
    axis.semilogy(
        grid, measure.density(grid, width), style, color=colour, label=label, linewidth=linewidth
    )


def density_floor(axis: Axes, dimension: int, width: float) -> float:
    """Cut the ordinate at a hundredth of one eigenvalue's peak, and above the lines;
    returns the peak's height.
    """
    one_eigenvalue = 1 / (dimension * width * np.sqrt(2 * np.pi))
    highest = max(line.get_ydata().max() for line in axis.lines)
    axis.set_ylim(one_eigenvalue / 100, 5 * highest)
    return one_eigenvalue


def density_band(
    axis: Axes,
    measure: SpectralMeasure,
    grid: np.ndarray,
    width: float,
    name: str,
    *,
    label: str | None = None,
    style: str | None = None,
) -> None:
    """The smoothed density in the colour of ``name``,
    and the 95 % band over probes (none for a single probe).
    """
    note_kernel(axis, width)
    mean, half = mean_and_interval(probe_densities(measure, grid, width))
    colour = COLOURS[name]
    axis.semilogy(
        grid,
        mean,
        style or LINE_STYLES.get(name, "-"),
        color=colour,
        label=label or name,
        linewidth=LINE_WIDTHS.get(name, 1.6),
    )
    if np.isfinite(half).all():
        lowest = np.finfo(float).tiny
        axis.fill_between(
            grid, np.maximum(mean - half, lowest), mean + half, color=colour, alpha=0.2, linewidth=0
        )
