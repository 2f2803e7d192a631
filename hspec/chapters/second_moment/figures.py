"""Spectra of G and of its centred versions, one below the other,
and what each centring leaves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.chapters.second_moment.verdict import MEANS, WAYS, outliers_left, survivors
from hspec.experiments import Record
from hspec.figures.densities import density_band, density_floor
from hspec.figures.style import COLOURS, SERIES, panels
from hspec.figures.tables import tabulated
from hspec.linalg import KERNEL_WIDTHS

GRID_POINTS = 4096
ROWS = {
    "": ("G", "G"),
    "global": ("G about one mean", "neutral"),
    "class": ("about the class means", "G1"),
}
ROWS |= {"cross": ("about the cross-class means", "G1+2")}
CONTROL = {"shuffled": ("about random groups' means", SERIES[0])}


def centred_spectra(record: Record, preset: str = "P20") -> Figure:
    """Densities of G and of G centred at each level: subtracted on the left, projected out on the
    right.

    preset: the published kernel width, a key of :data:`hspec.linalg.KERNEL_WIDTHS`, for G's own
    range.
    """
    whole = record.spectrum("g_")
    width = KERNEL_WIDTHS[preset](whole, record.options["num_steps"])
    high = whole.support[1]
    grid = np.linspace(-0.03 * high, 1.05 * high, GRID_POINTS)
    edge = float(record["g_top"][record.num_classes - 1])
    figure, axes = panels(len(ROWS), len(WAYS), width=4.8, height=1.7, sharex=True, sharey=True)
    for row, (level, (name, colour)) in enumerate(ROWS.items()):
        for column, way in enumerate(WAYS):
            axis, prefix = axes[row * len(WAYS) + column], f"{level}_{way}_" if level else "g_"
            if f"{prefix}nodes" not in record:
                axis.remove()
                continue
            label = f"{name}, {WAYS[way]}" if level else name
            density_band(axis, record.spectrum(prefix), grid, width, colour, label=label, style="-")
            density_floor(axis, record.num_parameters, width)
            axis.axvline(edge, color=COLOURS["neutral"], linewidth=1, linestyle="--")
            axis.legend(loc="upper right")
    for axis, way in zip(axes, WAYS.values(), strict=False):
        axis.set_title(f"means {way}")
    for axis in axes[-len(WAYS) :]:
        axis.set_xlabel(r"eigenvalue λ (dashed: $\lambda_C$ of G)")
    for axis in axes[:: len(WAYS)]:
        axis.set_ylabel("density")
    return figure


def top_eigenvalues(record: Record) -> Figure:
    """The largest eigenvalues of G and of each centred version by rank, over λ_C(G).

    Both ways, and random groups.
    """
    figure, axes = panels(1, 2, width=4.8, height=3.4, sharey=True)
    count, edge = len(record["g_top"]), record["g_top"][record.num_classes - 1]
    for axis, way in zip(axes, WAYS, strict=True):
        for level, (name, colour) in {**ROWS, **CONTROL}.items():
            prefix = f"{level}_{way}_" if level else "g_"
            if f"{prefix}nodes" not in record:
                continue
            values = np.sort(np.nan_to_num(record[f"{prefix}nodes"]).max(0))[::-1][:count] / edge
            if not level:
                values = record["g_top"] / edge
            axis.semilogy(
                np.arange(1, count + 1),
                values,
                "o-",
                color=COLOURS.get(colour, colour),
                markersize=3.5,
                label=name,
            )
        axis.axhline(1, color=COLOURS["neutral"], linewidth=1, linestyle="--")
        axis.set_title(f"means {WAYS[way]}")
        axis.set_xlabel("rank k")
    axes[0].set_ylabel(r"eigenvalue over $\lambda_C(G)$")
    axes[0].legend()
    return figure


def centred_table(record: Record) -> pd.DataFrame:
    """Each centring: eigenvalues above λ_C(G), the largest,
    and what is left of the C largest together.
    """
    pairs = [(level, way) for level in MEANS for way in WAYS if f"{level}_{way}_nodes" in record]
    rows = (
        {
            "what is taken from G": MEANS[level],
            "how": WAYS[way],
            "eigenvalues above λ_C(G)": survivors(record, f"{level}_{way}_")[0],
            "largest / λ_C(G)": survivors(record, f"{level}_{way}_")[1],
            "C largest / those of G": outliers_left(record, f"{level}_{way}_"),
        }
        for level, way in pairs
    )
    return tabulated(rows, {"largest / λ_C(G)": ".2f", "C largest / those of G": ".0%"})
