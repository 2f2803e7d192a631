"""Silhouettes and shares of the variance over epochs, and maps of the means early and late."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hspec.chapters.logit_then_class.verdict import METRICS, Records, effect_table, silhouette_table
from hspec.experiments import Grid, Record
from hspec.figures.maps import draw_map
from hspec.figures.style import COLOURS, SERIES, panels
from hspec.figures.tables import tabulated
from hspec.statistics import mean_and_interval

LABELS = {"logit": ("label c', the logit", SERIES[1]), "class": ("label c, the class", SERIES[0])}
EFFECTS = {1: ("logit c'", SERIES[1]), 0: ("class c", SERIES[0]), 2: ("both", COLOURS["neutral"])}


def silhouettes_over_epochs(grid: Grid, records: Records) -> Figure:
    """Mean silhouettes under both labels against the epoch, in both metrics;
    bands over repeats."""
    figure, axes = panels(1, 2, width=4.6, height=3.4, sharey=True)
    for axis, (metric, title) in zip(axes, METRICS.items(), strict=True):
        for label, (name, colour) in LABELS.items():
            draw_band(
                axis, grid.epochs, silhouette_table(grid, records, label, metric), colour, name
            )
        axis.axhline(0, color=COLOURS["neutral"], linewidth=1, linestyle="--")
        axis.set_title(title)
    axes[0].set_ylabel(r"mean silhouette of the $\delta_{c,c'}$")
    axes[0].legend()
    return figure


def variance_over_epochs(grid: Grid, records: Records) -> Figure:
    """Shares of the variance of the means (left) and of their directions (right).

    Dotted, what no effect would give.
    """
    figure, axes = panels(1, 2, width=4.6, height=3.4, sharey=True)
    classes = next(record for record in records.values() if record is not None).num_classes
    for axis, metric in zip(axes, METRICS, strict=True):
        for effect, (name, colour) in EFFECTS.items():
            draw_band(axis, grid.epochs, effect_table(grid, records, effect, metric), colour, name)
        axis.axhline(
            no_effect(classes),
            color=COLOURS["neutral"],
            linewidth=1,
            linestyle=":",
            label="both, no effect",
        )
        axis.set_ylim(0, 1)
    axes[0].set_title("the means")
    axes[1].set_title("their directions")
    axes[0].set_ylabel("share of the variance")
    axes[0].legend()
    return figure


def no_effect(classes: int) -> float:
    """What two labels explain on average of vectors that know neither.

    2(C − 1)/(n − 1), n = C(C − 1).
    """
    return 2 * (classes - 1) / (classes * (classes - 1) - 1)


def draw_band(axis: Axes, epochs: Iterable[int], table: np.ndarray, colour: str, name: str) -> None:
    """Mean over repeats, and its 95 % interval; no band for one repeat."""
    mean, half = mean_and_interval(table)
    axis.plot(epochs, mean, "o-", color=colour, markersize=3.5, label=name)
    if np.isfinite(half).all():
        axis.fill_between(epochs, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)
    axis.set_xscale("log")
    axis.set_xticks(list(epochs), [str(epoch) for epoch in epochs])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("epoch")


def early_and_late(first: Record, last: Record) -> Figure:
    """t-SNE of the δ_c and δ_{c,c'} after two epochs: a figure names c', its colour c."""
    figure, axes = panels(1, 2, width=4.9, height=4.7)
    for axis, record in zip(axes, (first, last), strict=True):
        draw_map(axis, record, record["map"])
        axis.set_title(f"after epoch {record.options['epoch']}")
    return figure


def order_table(grid: Grid, records: Records) -> pd.DataFrame:
    """Epoch by epoch, means over repeats.

    Error rate, silhouettes in both metrics, shares of the variance.
    """
    errors = grid.table(records, lambda record: record.error_rate)[:, :, -1]
    columns = {"epoch": grid.epochs, "training error": errors.mean(0)}
    for metric, title in METRICS.items():
        for label in LABELS:
            columns[f"by {label}, {title.split()[0]}"] = silhouette_table(
                grid, records, label, metric
            ).mean(0)
    for effect, (name, _) in EFFECTS.items():
        columns[f"variance: {name}"] = effect_table(grid, records, effect).mean(0)
    formats = {name: ".0%" if "variance" in name else ".2f" for name in columns}
    return tabulated(columns, formats | {"epoch": "", "training error": ".1%"})
