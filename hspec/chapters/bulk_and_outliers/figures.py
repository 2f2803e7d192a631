"""Bulk and outliers: the density with its spikes, without them, and the largest eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hspec.experiments import Record
from hspec.experiments.scale import misfit, net_name, sample_size
from hspec.figures.densities import density_floor, density_line
from hspec.figures.style import COLOURS, SERIES, panels, rank_axis, spikes
from hspec.linalg import KERNEL_WIDTHS, SpectralMeasure

FEW = 4  # lines in a figure whose legend stands among them


def bulk_beside_outliers(records: list[Record], preset: str = "P20") -> Figure:
    """One row a record: the density with its top C eigenvalues deflated and drawn as spikes, the
    same without deflation, and the bulk close up.

    preset  the published kernel width, a key of :data:`hspec.linalg.KERNEL_WIDTHS`; it follows the
            range of what it smooths, so the deflated bulk can be drawn more sharply than the whole
    """
    figure, axes = panels(len(records), 3, width=3.1, height=2.6)
    for row, record in enumerate(records):
        whole, plainly, close = axes[3 * row : 3 * row + 3]
        bulk, plain = record.spectrum("deflated_"), record.spectrum("plain_")
        sharp, wide = (KERNEL_WIDTHS[preset](m, record.options["num_steps"]) for m in (bulk, plain))
        bulk_with_spikes(whole, bulk, record["outliers"], wide)
        density_line(plainly, plain, wide, COLOURS["Hess"], "Hess", within=plain.support)
        density_line(
            close, plain, wide, COLOURS["pale"], "not deflated", within=bulk.support, linewidth=3.0
        )
        density_line(close, bulk, sharp, COLOURS["Hess"], "deflated", within=bulk.support)
        whole.set(title=f"{row_name(record)}: deflated", ylabel="spectral density")
        plainly.set(title="not deflated", ylim=whole.get_ylim())
        close.set_title("the bulk, close up")
        density_floor(close, plain.dimension, sharp)
        for axis in (whole, plainly, close):
            axis.set_xlabel("eigenvalue λ")
            axis.legend()
    return figure


def bulk_with_spikes(axis: Axes, bulk: SpectralMeasure, outliers: np.ndarray, width: float) -> None:
    """The deflated density, and the removed eigenvalues at the height that one eigenvalue
    has under this kernel.
    """
    density_line(
        axis, bulk, width, COLOURS["Hess"], "bulk", within=(bulk.support[0], outliers.max())
    )
    height = density_floor(axis, bulk.dimension, width)
    spikes(axis, outliers, height, COLOURS["G"], f"top {len(outliers)} eigenvalues")


def row_name(record: Record) -> str:
    """Data set and split, for titles and legends."""
    return f"{record.setting.dataset}, {record.options['split']}"


def net_row(record: Record) -> str:
    """Net, data set and sample, where records are of several nets."""
    found = f"{net_name(record)}, {record.setting.dataset}, {sample_size([record])}"
    return found + misfit([record])


def largest_eigenvalues(records: list[Record], name: Callable[[Record], str] = row_name) -> Figure:
    """The largest eigenvalues that have converged, in order,
    with the place where C outliers would end.
    """
    many = len(records) > FEW  # among so many lines there is no place for the legend
    figure, (axis,) = panels(1, 1, width=6.4, height=3.2 + many * (0.4 + 0.22 * len(records)))
    looks = zip(cycle(SERIES), cycle("osD^vPX"), strict=True)
    for record, (colour, marker) in zip(records, looks, strict=False):
        top, count = record["top"], record.num_classes
        rank = np.arange(1, len(top) + 1)
        axis.semilogy(rank, top, f"{marker}:", color=colour, markersize=4, label=name(record))
    axis.axvline(
        count + 0.5, color=COLOURS["neutral"], linewidth=1, linestyle="--", label=f"C = {count}"
    )
    rank_axis(axis)
    axis.set_ylabel(r"eigenvalue $\lambda_k$ of Hess")
    axis.legend(**(dict(loc="upper center", bbox_to_anchor=(0.5, -0.18)) if many else {}))
    return figure


def outlier_frame(records: list[Record]) -> pd.DataFrame:
    """The numbers behind the picture: every computed eigenvalue with its residual."""
    return pd.concat(
        pd.DataFrame(
            {
                "dataset": record.setting.dataset,
                "split": record.options["split"],
                "rank": np.arange(1, len(record["top"]) + 1),
                "eigenvalue": record["top"],
                "residual": record["top_residuals"],
            }
        )
        for record in records
    )
