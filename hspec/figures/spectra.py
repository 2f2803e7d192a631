"""Spectral densities: lines over a linear axis, outliers as spikes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hspec.experiments import Record
from hspec.experiments.measures.spectra import stored_measure
from hspec.figures.style import COLOURS, panels, spikes
from hspec.linalg import KERNEL_WIDTHS, SpectralMeasure

GRID_POINTS = 4096
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
    """The density, smoothed by a Gaussian of the given width (units of the eigenvalues), on a logarithmic ordinate.

    within  the ends of the axis; default: those of the measure
    """
    low, high = within or measure.support
    margin = MARGIN * (high - low)
    grid = np.linspace(low - margin, high + margin, GRID_POINTS)
    axis.semilogy(grid, measure.density(grid, width), style, color=colour, label=label, linewidth=linewidth)


def density_floor(axis: Axes, dimension: int, width: float) -> float:
    """Cut the ordinate at a hundredth of one eigenvalue's peak, and above the lines; returns the peak's height."""
    one_eigenvalue = 1 / (dimension * width * np.sqrt(2 * np.pi))
    highest = max(line.get_ydata().max() for line in axis.lines)
    axis.set_ylim(one_eigenvalue / 100, 5 * highest)
    return one_eigenvalue


def bulk_and_outliers(records: list[Record], preset: str = "P20") -> Figure:
    """One row a record: the density with its top C eigenvalues deflated and drawn as spikes, and without deflation.

    preset  the published kernel width, a key of :data:`hspec.linalg.KERNEL_WIDTHS`; it follows the range of what is
            drawn, so the deflated bulk is drawn more sharply
    """
    figure, axes = panels(len(records), 2, width=4.7, height=2.9, sharex="row", sharey="row")
    for record, left, right in zip(records, axes[::2], axes[1::2], strict=True):
        bulk, plain = stored_measure(record, "deflated_"), stored_measure(record, "plain_")
        options = record.meta["options"]
        sharp, wide = (KERNEL_WIDTHS[preset](m, options["num_steps"]) for m in (bulk, plain))
        outliers = record["outliers"]
        everything = (min(plain.support[0], bulk.support[0]), max(plain.support[1], outliers.max()))
        density_line(left, bulk, sharp, COLOURS["Hess"], "bulk", within=everything)
        density_line(right, plain, wide, COLOURS["Hess"], "Hess, nothing deflated", within=everything)
        height = density_floor(left, plain.dimension, sharp)
        spikes(left, outliers, height, COLOURS["G"], f"top {len(outliers)} eigenvalues")
        title = f"{record.meta['setting']['dataset']}, {options['split']}"
        left.set_title(f"{title}: deflated")
        right.set_title(f"{title}: not deflated")
        left.set_ylabel("spectral density")
        for axis in (left, right):
            axis.set_xlabel("eigenvalue λ")
            axis.legend()
    return figure


def largest_eigenvalues(records: list[Record]) -> Figure:
    """The largest eigenvalues that have converged, in order, with the place where C outliers would end."""
    figure, (axis,) = panels(1, 1, width=6.4, height=3.2)
    for record, colour, marker in zip(records, ("Hess", "H", "G", "A1", "A2", "B1"), "osD^vP", strict=False):
        top, count = record["top"], int(record["num_classes"])
        rank = np.arange(1, len(top) + 1)
        label = f"{record.meta['setting']['dataset']}, {record.meta['options']['split']}"
        axis.semilogy(rank, top, marker, color=COLOURS[colour], markersize=4, label=label)
    axis.axvline(count + 0.5, color=COLOURS["neutral"], linewidth=1, linestyle="--", label=f"C = {count}")
    axis.set_xlabel("rank k")
    axis.set_ylabel("eigenvalue λ_k of Hess")
    axis.legend()
    return figure


def outlier_frame(records: list[Record]) -> pd.DataFrame:
    """The numbers behind the picture: every computed eigenvalue with its residual."""
    return pd.concat(
        pd.DataFrame(
            {
                "dataset": record.meta["setting"]["dataset"],
                "split": record.meta["options"]["split"],
                "rank": np.arange(1, len(record["top"]) + 1),
                "eigenvalue": record["top"],
                "residual": record["top_residuals"],
            }
        )
        for record in records
    )
