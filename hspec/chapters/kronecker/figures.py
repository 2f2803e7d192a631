"""Layer by layer: spectra of G, KFAC and CFAC, and how far approximations are from G."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.chapters.kronecker.verdict import NAMES, SHORT, misses, products_off
from hspec.experiments import Record
from hspec.figures.style import COLOURS, panels, rank_axis
from hspec.figures.tables import tabulated
from hspec.linalg import SpectralMeasure

LOOKS = {
    "g": ("G", "-", "G"),
    "kfac": ("KFAC", "--", "KFAC"),
    "cfac": ("CFAC", "-", "CFAC"),
    "cross": ("cross-class sum", ":", "cross-class sum"),
    "best": ("neutral", "-.", "best single product"),
}
DRAWN = ("g", "kfac", "cfac")  # in pictures of spectra, as in the paper's
POINTS = 400
LEAST = 0.5  # of a count, that is drawn
DECADES = 5  # of eigenvalues, below the largest


def some_layers(record: Record, count: int = 6) -> list[int]:
    """At most so many layers, evenly spaced, the first and the last among them."""
    number = len(record["layers"])
    return sorted({round(k) for k in np.linspace(0, number - 1, min(count, number))})


def layer_spectra(record: Record) -> Figure:
    """How many eigenvalues lie above t, for G, KFAC and CFAC: a panel a layer.

    The smallest node of a quadrature stands for all eigenvalues that are small or zero, many more
    than a layer's G has; so a curve begins at the second one.
    """
    shown = some_layers(record)
    figure, axes = panels(-(-len(shown) // 3), min(3, len(shown)), width=3.5, height=2.8)
    for axis, place in zip(axes, shown, strict=False):
        high = 2 * record["top"][place].max()
        t = np.geomspace(high * 10.0**-DECADES, high, POINTS)
        for key in DRAWN:
            colour, style, label = LOOKS[key]
            measure = record.spectrum(f"l{place}_{key}_")
            above = measure.dimension * (1 - measure.cdf(t))
            told = (above >= LEAST) & (t >= resolved_from(measure))
            axis.loglog(t[told], above[told], style, color=COLOURS[colour], label=label)
        axis.set_ylim(LEAST, 2 * measure.dimension)
        axis.axhline(record.num_classes, color=COLOURS["neutral"], linewidth=0.8, linestyle=":")
        d_out, d_in = record["sizes"][place]
        axis.set_title(f"layer {place + 1}: {d_in} → {d_out}")
        axis.set_xlabel("t")
    axes[0].set_ylabel("eigenvalues above t")
    axes[0].legend()
    for axis in axes[len(shown) :]:
        axis.remove()
    return figure


def resolved_from(measure: SpectralMeasure) -> float:
    """The second node from below, of the probe in which it is largest."""
    nodes = np.sort(measure.nodes, axis=1)  # NaN behind the others
    return float(np.nanmax(nodes[:, min(1, nodes.shape[1] - 1)]))


def misses_by_layer(record: Record) -> Figure:
    """The three measures of error, a line an approximation, from the first layer to the last."""
    figure, axes = panels(1, 3, width=3.7, height=3.2)
    layers = np.arange(1, len(record["layers"]) + 1)
    for axis, (key, values) in zip(axes, misses(record).items(), strict=True):
        for name, column in zip(NAMES, values.T, strict=True):
            colour, style, label = LOOKS[name]
            axis.plot(
                layers,
                column,
                style,
                marker="o",
                markersize=3.5,
                color=COLOURS[colour],
                label=label,
            )
        axis.set_title(SHORT[key], fontsize=9)
        axis.set_ylim(bottom=0)
        rank_axis(axis, "layer")
    axes[0].legend(fontsize=8)
    return figure


def approximation_table(record: Record) -> pd.DataFrame:
    """A row a layer: Frobenius error, overlap and rms log-error of each approximation."""
    found = misses(record)
    columns: dict[str, object] = {"layer": np.arange(1, len(record["layers"]) + 1)}
    for place, name in enumerate(NAMES.values()):
        numbers = (
            found["frobenius"][:, place],
            record["overlap"][:, place],
            found["logarithm"][:, place],
        )
        columns[name] = list(zip(*numbers, strict=True))
    return tabulated(columns, dict.fromkeys(NAMES.values(), "{:.3f} / {:.2f} / {:.2f}"))


def trace_table(record: Record) -> pd.DataFrame:
    """A row a layer: each approximation's trace over G's; how far g_c is from ε_c h_cᵀ."""
    traces = dict(zip(NAMES.values(), record["trace"].T, strict=True))
    off = products_off(record)
    columns = {"layer": np.arange(1, len(record["layers"]) + 1)}
    columns |= {f"trace / tr G, {name}": values for name, values in traces.items()}
    columns["‖g_c − ε_c h_cᵀ‖ / ‖g_c‖"] = off["products"]
    columns["the same, h weighted by 1 − p"] = off["weighted_products"]
    return tabulated(columns, dict.fromkeys(list(columns)[1:], ".2f"))
