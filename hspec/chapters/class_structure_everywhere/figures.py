"""Spectra before and after knock-outs, layer by layer, and what depth does to class means."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.chapters.class_structure_everywhere.verdict import (
    CROSSED,
    DEPTH,
    KINDS,
    layers_judged,
    median_left,
    table_of,
)
from hspec.experiments import Record
from hspec.experiments.one_thing import Net, nets_of, updates_of, width_of
from hspec.experiments.scale import net_name
from hspec.figures.film_axes import plain_log
from hspec.figures.style import COLOURS, SERIES, panels, rank_axis
from hspec.figures.tables import tabulated

LOOKS = {
    "random": ("neutral", "o", "random span projected out"),
    "all": ("exact", "o", "all"),
    "subtracted": ("H", "^", "class part subtracted"),
    "within": ("B2", "v", "class and cross-class parts subtracted"),
    "cross": ("B1", "x", "the cross-class part alone"),
    "projected": ("A1", "D", "class span projected out"),
}
RING = {
    "ms": 6,
    "mfc": "none",
    "mew": 0.8,
}  # the control: around the dots that it leaves as they are
SMALLEST = 1e-6  # of the largest, that is drawn
DEPTH_NAMES = ("class / within trace", "eigenvalue ratio", "cosines' distance")


def spectra_before_and_after(record: Record) -> Figure:
    """By rank: a row for features, errors, gradients and weights, a column for three layers."""
    last = len(record["layers"]) - 1
    places = sorted({0, last // 2, max(0, last - 1)})
    figure, axes = panels(len(KINDS), len(places), width=3.6, height=2.4)
    grid = np.array(axes).reshape(len(KINDS), len(places))
    for row, (kind, name) in zip(grid, KINDS.items(), strict=True):
        for axis, place in zip(row, places, strict=True):
            _by_rank(axis, record, place, kind)
            axis.set_title(f"{name.split(' (')[0]}, layer {place + 1}", fontsize=9)
        row[0].set_ylabel("singular value" if kind == "weights" else "eigenvalue")
    for axis in grid[-1]:
        axis.set_xlabel("rank")
    _one_legend(figure)
    return figure


def _one_legend(figure: Figure) -> None:
    """Of all panels together: features have no cross-class part, weights have neither part."""
    named = {}
    for axis in figure.axes:
        named |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    shown = {label: named[label] for _, _, label in LOOKS.values() if label in named}
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=3, fontsize=8)


def _by_rank(axis, record: Record, place: int, kind: str) -> None:
    largest = record[f"l{place}_{kind}_all"][0]
    for which, (colour, marker, label) in LOOKS.items():
        if f"l{place}_{kind}_{which}" not in record:
            continue
        values = record[f"l{place}_{kind}_{which}"]
        values = values[values > SMALLEST * largest]
        ranks = record["ranks"][: len(values)]
        size = RING if which == "random" else {"ms": 3}
        axis.loglog(ranks, values, marker, **size, color=COLOURS[colour], label=label)
    axis.axvline(record.num_classes + 0.5, color=COLOURS["neutral"], linewidth=0.8, linestyle="--")


def left_by_layer(records: list[Record]) -> Figure:
    """The largest after each knock-out over the C-th before, a panel a kind; mean over seeds."""
    figure, axes = panels(1, len(KINDS), width=3.1, height=3.0, sharey=True)
    for axis, (kind, name) in zip(axes, KINDS.items(), strict=True):
        for which, (colour, marker, label) in LOOKS.items():
            if which in ("all", "cross") or f"l0_{kind}_{which}" not in records[0]:
                continue
            left = layers_judged(records, kind, which).mean(0)
            layers = np.arange(1, len(left) + 1)
            axis.plot(layers, left, f"{marker}-", ms=3.5, color=COLOURS[colour], label=label)
        plain_log(axis)
        axis.axhline(1, color=COLOURS["neutral"], linewidth=1, linestyle="--")
        axis.set_title(name.split(" (")[0], fontsize=9)
        rank_axis(axis, "layer")
    axes[0].set_ylabel("largest after / C-th before")
    _one_legend(figure)
    return figure


def with_depth(records: list[Record]) -> Figure:
    """Three numbers of the class means by layer, a line a seed: features above, errors below."""
    figure, axes = panels(2, len(DEPTH), width=3.6, height=2.6)
    for place, kind in enumerate(("features", "errors")):
        row = axes[place * len(DEPTH) : (place + 1) * len(DEPTH)]
        for axis, key, name in zip(row, DEPTH, DEPTH_NAMES, strict=True):
            for seed, values in enumerate(table_of(records, kind, key)):
                layers = np.arange(1, len(values) + 1)
                options = {"ms": 3.5, "lw": 1.2, "color": SERIES[place]}
                axis.plot(layers, values, "o-", **options, label=f"seed {seed}", alpha=0.75)
            plain_log(axis)
            axis.set_title(f"{kind}: {name}", fontsize=9)
            rank_axis(axis, "layer")
    return figure


def left_table(records: list[Record]) -> pd.DataFrame:
    """A row a layer, means over seeds: the largest after projection over the C-th before, and the
    cross-class part's trace over that of shuffled labels.
    """
    columns: dict[str, object] = {"layer": np.arange(1, len(records[0]["layers"]) + 1)}
    columns |= {name: layers_judged(records, kind).mean(0) for kind, name in KINDS.items()}
    columns |= {
        f"{kind}: cross-class part over chance": table_of(records, kind, "cross").mean(0)
        for kind in CROSSED
    }
    return tabulated(columns, dict.fromkeys(list(columns)[1:], ".2f"))


def mean_table(record: Record) -> pd.DataFrame:
    """A row a layer: the features' first eigenvector and their global mean."""
    every = [record[f"l{place}_features_all"] for place in range(len(record["layers"]))]
    return tabulated(
        {
            "layer": np.arange(1, len(every) + 1),
            "cosine of first eigenvector and global mean": record["global_cosine"],
            "λ_1": [values[0] for values in every],
            "λ_2": [values[1] for values in every],
            "λ_1 without the global mean": record["without_global"],
        },
        {
            "cosine of first eigenvector and global mean": ".4f",
            "λ_1": ".3g",
            "λ_2": ".3g",
            "λ_1 without the global mean": ".3g",
        },
    )


def depth_table(records: list[Record]) -> pd.DataFrame:
    """A row a layer: the three numbers of features and of errors; mean over seeds."""
    columns: dict[str, object] = {"layer": np.arange(1, len(records[0]["layers"]) + 1)}
    for kind in ("features", "errors"):
        for key, name in zip(DEPTH, DEPTH_NAMES, strict=True):
            columns[f"{kind}: {name}"] = table_of(records, kind, key).mean(0)
    return tabulated(columns, dict.fromkeys(list(columns)[1:], ".3g"))


def scales_table(records: list[Record]) -> pd.DataFrame:
    """A row a net: how wide, how long trained, how far from its beginning; the cosines of errors at
    both ends; and what is left without class means in the median layer.
    """
    nets = sorted(nets_of(records), key=lambda net: (width_of(net[0]), updates_of(net[0])))
    rows = [scales_row(net) for net in nets]
    numbers = {name: ".2f" if name.startswith("left") else ".3f" for name in list(rows[0])[2:]}
    return tabulated(rows, numbers | {"updates": ",", "test error": ".1%"})


def scales_row(net: Net) -> dict[str, object]:
    record, cosines = net[0], table_of(net, "errors", "cosines").mean(0)
    start = np.median([record["start_cosine"][:-1] for record in net], axis=1).mean()
    return {
        "net": f"{net_name(record)}, {record.setting.dataset}",
        "updates": updates_of(record),
        "weights' cosine with their start": float(start),
        "test error": float(np.mean([record["test_error"] for record in net])),
        "errors' cosines, first layer": float(cosines[0]),
        "at the logits": float(cosines[-1]),
        **{f"left of {kind}": median_left(net, kind) for kind in KINDS},
    }
