"""Eigenvalues of averages beside those of G, angles between subspaces, curvature and price."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hspec.chapters.averaging.verdict import (
    NAMES,
    advantage_in_seconds,
    eigenvalue_ratios,
    overlap,
    steps_for,
)
from hspec.experiments import Record
from hspec.experiments.scale import net_name
from hspec.figures.densities import density_floor, density_line
from hspec.figures.style import COLOURS, panels
from hspec.figures.tables import tabulated
from hspec.linalg import KERNEL_WIDTHS

# space: name, colour and marker
SPACES = {
    "delta": ("δ_c", "G1", "D"),
    "weighted": ("g_c", "A1", "s"),
    "cross": ("top C of G1+2", "G1+2", "^"),
}
DOTS = {"G0": ("G0", "o"), "G1": ("G1", "D"), "G2": ("G2", "v"), "G12": ("G1+2", "^")}
# of λ_1(G): an eigenvalue of a part below it is a zero to the rounding of float32 gradients
ZERO = 1e-6


def net_and_sample(record: Record) -> str:
    """ "VGG11 at 1/16 of the width, MNIST, 50 per class"."""
    sample = f"{record.setting.dataset}, {record.num_examples // record.num_classes} per class"
    return f"{net_name(record)}, {sample}"


def scree_plots(records: Sequence[Record], columns: int = 2) -> Figure:
    """The top eigenvalues of G by rank, beside those of G1+2 and G1 and of A1.

    One panel a net, as P19's figure 7.
    """
    rows = -(-len(records) // columns)
    figure, axes = panels(rows, min(columns, len(records)), width=4.6, height=3.0)
    for axis, record in zip(axes, records, strict=False):
        draw_scree(axis, record)
    for axis in axes[len(records) :]:
        axis.remove()
    axes[0].legend(ncols=2)
    return figure


def draw_scree(axis: Axes, record: Record) -> None:
    shown = len(record["G_top"])
    curves = {"G": ("G_top", "o"), "G1+2": ("G12", "^"), "G1": ("G1", "D"), "A1": ("A1", "s")}
    for name, (key, marker) in curves.items():
        values = record[key][:shown]
        values = values[values > ZERO * record["G_top"][0]]
        rank = np.arange(1, len(values) + 1)
        axis.semilogy(
            rank, values, marker + "-", color=COLOURS[name], markersize=4, linewidth=0.8, label=name
        )
    axis.axvline(record.num_classes + 0.5, color=COLOURS["neutral"], linewidth=1, linestyle="--")
    axis.set_title(net_and_sample(record))
    axis.set_xlabel("rank k (dashed: C)")
    axis.set_ylabel(r"eigenvalue $\lambda_k$")


def density_and_dots(record: Record, preset: str = "P20") -> Figure:
    """The density of G, and under it the eigenvalues of G0, G1, G2 and G1+2 as dots.

    P19's figure 6 and its colours.
    """
    figure, (axis,) = panels(width=8.5, height=4.0)
    measure = record.spectrum("g_")
    width = KERNEL_WIDTHS[preset](measure, record.options["num_steps"])
    density_line(axis, measure, width, COLOURS["G"], "G")
    one = density_floor(axis, record.num_parameters, width)
    for i, (key, (name, marker)) in enumerate(DOTS.items()):
        values = record[key][record[key] > ZERO * record["G_top"][0]]
        heights = np.full(len(values), one / 4 * 0.4**i)
        axis.plot(
            values,
            heights,
            marker,
            color=COLOURS[name],
            markersize=5,
            label=name,
            markeredgewidth=0,
        )
    axis.set_xlabel("eigenvalue λ")
    axis.set_ylabel("density")
    axis.legend(ncols=5, loc="upper right")
    return figure


def principal_angles(records: Sequence[Record]) -> Figure:
    """Cosines of the principal angles to the top C eigenspaces, of G and of Hess;
    a line a net."""
    figure, axes = panels(1, 2, width=4.6, height=3.4, sharey=True)
    for axis, matrix in zip(axes, ("G", "Hess"), strict=True):
        for space, (name, colour, marker) in SPACES.items():
            label = name
            for record in records:
                if f"{space}_{matrix}_cosines" not in record:
                    continue
                cosines = record[f"{space}_{matrix}_cosines"]
                ranks = np.arange(1, len(cosines) + 1)
                style = {
                    "color": COLOURS[colour],
                    "markersize": 3.5,
                    "linewidth": 0.9,
                    "alpha": 0.8,
                }
                axis.plot(ranks, cosines, marker + "-", label=label, **style)
                label = None
        axis.set_title(f"against the top C of {matrix}")
        axis.set_xlabel("principal angle, by rank")
        axis.set_ylim(0, 1.03)
    axes[0].set_ylabel("cosine")
    axes[0].legend(loc="lower left")
    return figure


def curvature_and_price(records: Sequence[Record]) -> Figure:
    """Share of G's top C curvature against its price: Lanczos step by step, and the averages.

    Left in products, counted; right in seconds, measured.
    """
    figure, axes = panels(1, 2, width=4.6, height=3.4, sharey=True)
    for axis, unit in zip(axes, ("products", "seconds"), strict=True):
        for i, record in enumerate(records):
            draw_price(axis, record, unit, labelled=i == 0)
        axis.set_xscale("log")
        axis.set_xlabel(f"price in {unit}" + (" with G" if unit == "products" else ""))
        axis.set_ylim(0, 1.03)
    axes[0].set_ylabel(r"share of $\sum\lambda_i$(G), i ≤ C")
    axes[1].legend(loc="lower right")
    return figure


def draw_price(axis: Axes, record: Record, unit: str, *, labelled: bool) -> None:
    scale = float(record["seconds_per_product"]) if unit == "seconds" else 1.0
    captured = record["lanczos_captured"]
    price = np.arange(1, len(captured) + 1) * scale
    axis.plot(
        price,
        captured,
        "-",
        color=COLOURS["neutral"],
        linewidth=0.9,
        label="Lanczos" if labelled else None,
    )
    for space, (name, colour, marker) in SPACES.items():
        if f"{space}_{unit}" in record:
            point = float(record[f"{space}_{unit}"]), float(record[f"{space}_captured"])
            axis.plot(*point, marker, color=COLOURS[colour], label=name if labelled else None)


def approximation_table(records: Sequence[Record]) -> pd.DataFrame:
    """One row a net: error rate, eigenvalues over G's (i ≤ C), overlaps, captured curvature."""
    return tabulated(
        (approximation_row(record) for record in records),
        {
            "training error": ".1%",
            **{f"{name} / G": "{:.2f} … {:.2f}" for name in NAMES.values()},
            "δ_c, G": ".2f",
            "δ_c, Hess": ".2f",
            "g_c, G": ".2f",
            "captured by δ_c": ".2f",
            "by g_c": ".2f",
            "by G1+2": ".2f",
        },
    )


def approximation_row(record: Record) -> dict[str, object]:
    ratios = {part: eigenvalue_ratios(record, part) for part in NAMES}
    captured = {"captured by δ_c": "delta", "by g_c": "weighted", "by G1+2": "cross"}
    return {
        "net": net_and_sample(record),
        "training error": record.error_rate,
        **{f"{NAMES[part]} / G": (found.min(), found.max()) for part, found in ratios.items()},
        "δ_c, G": overlap(record, "delta", "G"),
        "δ_c, Hess": overlap(record, "delta", "Hess"),
        "g_c, G": overlap(record, "weighted", "G"),
        **{
            name: float(record[f"{space}_captured"]) if f"{space}_captured" in record else np.nan
            for name, space in captured.items()
        },
    }


def price_table(records: Sequence[Record]) -> pd.DataFrame:
    """Row by net: products counted, seconds measured, and the curvature captured; Lanczos steps
    that capture as much, their seconds, and how many times slower they are; an eigensolver's
    products.
    """
    rows = (
        price_row(record, space)
        for record in records
        for space in SPACES
        if f"{space}_products" in record
    )
    return tabulated(
        rows,
        {
            "products": ".2f",
            "seconds": ".2g",
            "captured": ".2f",
            "Lanczos steps": ".0f",
            "their seconds": ".2g",
            "times slower": ".2g",
            "solver": ".0f",
        },
    )


def price_row(record: Record, space: str) -> dict[str, object]:
    captured = float(record[f"{space}_captured"])
    steps = steps_for(record, captured)
    return {
        "net": net_and_sample(record),
        "averages": SPACES[space][0],
        "products": float(record[f"{space}_products"]),
        "seconds": float(record[f"{space}_seconds"]),
        "captured": captured,
        "Lanczos steps": steps,
        "their seconds": steps * float(record["seconds_per_product"]),
        "times slower": advantage_in_seconds(record, space),
        "solver": float(record["solver_products"]),
    }


def eigenvalue_table(record: Record) -> pd.DataFrame:
    """The numbers behind a scree plot: by rank G, Hess, and the parts."""
    count = record.num_classes
    columns = {
        "G": "G_top",
        "Hess": "Hess_top",
        "G1+2": "G12",
        "G1": "G1",
        "G0": "G0",
        "G2": "G2",
        "A1": "A1",
    }
    cells = {name: record[key][:count] for name, key in columns.items()}
    return tabulated({"rank": np.arange(1, count + 1), **cells}, dict.fromkeys(columns, ".3g"))
