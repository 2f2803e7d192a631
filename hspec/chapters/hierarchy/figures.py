"""Figures of the three-level hierarchy: the map of the means, silhouettes,
and the log-spectra of G's parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.chapters.hierarchy.verdict import (
    FLOORS,
    nearest_share,
    silhouette_summary,
    verdict_clusters,
)
from hspec.experiments import Record
from hspec.experiments.claims import MARKS
from hspec.experiments.scale import class_names, net_name
from hspec.experiments.separation import ROUNDING, separation_of
from hspec.figures.kernels import note_kernel
from hspec.figures.maps import MOST_LABELS, class_colours, draw_map
from hspec.figures.style import COLOURS, SERIES, panels
from hspec.figures.tables import tabulated
from hspec.linalg import SpectralMeasure

METRICS = {"euclidean": "Euclidean distance", "cosine": "cosine distance"}
DECADES = 400  # grid points of a log-spectrum
KERNEL = 0.12  # decades: narrower than the bulks, wider than the spacing of the outer nodes

CLUSTERS = {
    "silhouette by c": "{:.2f} ± {:.2f}",
    "by c'": ".2f",
    "shuffled": ".2f",
    "p": ".2g",
    "nearest class mean is g_c": ".0%",
}
LEVELS = {
    "A1": "class means g_c",
    "A2": "means g_{c,c}",
    "B1": "cross-class means around g_c",
    "B2": "examples around g_{c,c'}",
}


def map_of_means(record: Record) -> Figure:
    """t-SNE in both metrics: the g_c as large discs with their class,
    the g_{c,c'} as their c' in the colour of c.
    """
    figure, axes = panels(1, len(METRICS), width=4.9, height=4.7)
    for axis, (metric, name) in zip(axes, METRICS.items(), strict=True):
        draw_map(axis, record, record[f"{metric}_map"])
        axis.set_title(f"t-SNE of {name}s")
    spoken = class_names(record)
    names = [f"{c}  {name}" for c, name in enumerate(spoken)]
    if len(names) <= MOST_LABELS and any(str(c) != name for c, name in enumerate(spoken)):
        discs = [axes[0].plot([], [], "o", color=colour)[0] for colour in class_colours(len(names))]
        figure.legend(discs, names, loc="outside right center")
    return figure


def maps_of_nets(records: Sequence[Record]) -> Figure:
    """The map by distances of each net, side by side; which net and data above it.

    Source: P19, figure 3, whose maps are of the δ_c and δ_{c,c'}, by squared distances.
    """
    figure, axes = panels(1, len(records), width=3.6, height=4.0)
    for axis, record in zip(axes, records, strict=True):
        draw_map(axis, record, record["euclidean_map"])
        axis.set_title(f"{net_name(record)}, {record.setting.dataset}")
    return figure


def clusters_of_nets(records: Sequence[Record]) -> pd.DataFrame:
    """One row a net: how many of its images it takes for another class,
    and how its means cluster by distances.
    """
    rows = (
        {
            "net": net_name(record),
            "data": record.setting.dataset,
            "misclassified": record.error_rate,
            **cluster_row(record, "euclidean"),
            "P18-6": " ".join(MARKS[verdict.outcome] for verdict in verdict_clusters(record)),
        }
        for record in records
    )
    return tabulated(rows, {"misclassified": ".1%", **CLUSTERS}).drop(columns="metric")


def map_frame(record: Record) -> pd.DataFrame:
    """One row a mean: its classes, its place in both maps,
    its norm and its silhouettes (of cross-class means).
    """
    count = record.num_classes
    frame = pd.DataFrame(
        {"c": np.r_[np.arange(count), record["true_class"]], "norm": record["norms"]}
    )
    frame["c_prime"] = [*[""] * count, *record["other_class"]]
    for metric in METRICS:
        frame[[f"{metric}_x", f"{metric}_y"]] = record[f"{metric}_map"]
        frame[f"{metric}_silhouette"] = [*[np.nan] * count, *record[f"{metric}_silhouette"]]
    return frame


def silhouettes(record: Record) -> Figure:
    """Left: the silhouettes of each class' means. Right: their mean,
    against label c' and against shuffled labels.
    """
    figure, (left, right) = panels(
        1, 2, width=4.6, height=3.3, gridspec_kw={"width_ratios": [1.3, 1]}
    )
    values, labels = record["euclidean_silhouette"], record["true_class"]
    for c, colour in enumerate(class_colours(record.num_classes)):
        own = np.sort(values[labels == c])
        left.plot(np.linspace(c - 0.3, c + 0.3, len(own)), own, "o", markersize=3.5, color=colour)
    left.axhline(0, color=COLOURS["neutral"], linewidth=1)
    if record.num_classes <= MOST_LABELS:
        left.set_xticks(range(record.num_classes))
    left.set_xlabel("class c")
    left.set_ylabel("silhouette of $g_{c,c'}$ under label c")
    found = silhouette_summary(record, "euclidean")
    right.hist(
        record["euclidean_permuted"],
        bins=20,
        histtype="stepfilled",  # the edges of single bars would hide them
        color=COLOURS["neutral"],
        edgecolor=COLOURS["neutral"],
        label="label c, shuffled",
    )
    right.axvline(found["other"], color=SERIES[1], linestyle="--", label="label c'")
    right.axvline(found["true"], color=SERIES[0], label="label c")
    right.locator_params(axis="x", nbins=5)
    right.set_xlabel("mean silhouette")
    right.set_ylabel("permutations")
    right.legend()
    return figure


def cluster_frame(record: Record) -> pd.DataFrame:
    """The numbers of both metrics side by side; errors over classes."""
    return tabulated((cluster_row(record, metric) for metric in METRICS), CLUSTERS)


def cluster_row(record: Record, metric: str) -> dict[str, object]:
    found = silhouette_summary(record, metric)
    return {
        "metric": METRICS[metric],
        "silhouette by c": (found["true"], found["error"]),
        "by c'": found["other"],
        "shuffled": found["permuted"],
        "p": found["p"],
        "nearest class mean is g_c": nearest_share(record, metric),
    }


def level_densities(record: Record, floor: float = ROUNDING) -> Figure:
    """Eigenvalues per decade of G and B2 (exact where the record has them) and of B1; those of A1,
    A2, B1 as ticks.

    floor  relative to the largest eigenvalue; nothing is drawn below
    """
    figure, (axis,) = panels(width=8.0, height=4.2)
    note_kernel(axis, KERNEL, "decades")
    g, b2 = best_measure(record, "G"), best_measure(record, "B2")
    b1 = SpectralMeasure.from_eigenvalues(record["B1"])
    top = max(g.support[1], record["A1"].max())
    x = np.linspace(np.log10(floor * top), np.log10(top) + 0.3, DECADES)
    for measure, name, style in ((g, "G", "-"), (b2, "B2", "--"), (b1, "B1", "-.")):
        counts = measure.dimension * measure.log_density(x, 1, KERNEL, epsilon=1e-12)
        axis.semilogy(10**x, counts, style, color=COLOURS[name], label=name)
    bottom = 0.3
    axis.set_ylim(bottom=bottom / 4)
    for i, name in enumerate(("A1", "A2", "B1")):
        values = record[name][record[name] > floor * top]
        axis.plot(
            values,
            np.full(len(values), bottom * 0.75**i / 1.2),
            "|",
            color=COLOURS[name],
            markersize=9,
        )
        axis.plot([], [], "|", color=COLOURS[name], markersize=9, label=f"{name}, exact")
    axis.set_xscale("log")
    axis.set_xlim(10 ** x[0], 10 ** x[-1])
    axis.set_xlabel("eigenvalue λ")
    axis.set_ylabel("eigenvalues per decade")
    figure.legend(loc="outside right upper")
    return figure


def best_measure(record: Record, name: str) -> SpectralMeasure:
    """Exact where the record has it, else the quadrature."""
    if f"exact_{name}" in record:
        return SpectralMeasure.from_eigenvalues(record[f"exact_{name}"])
    return record.spectrum(f"{name}_")


def level_frame(record: Record) -> pd.DataFrame:
    """Each part of G: its rank at most, its largest eigenvalue,
    its share of the trace (of B2 with standard error, where there are several probes).
    """
    b2 = record.spectrum("B2_")
    exact = {name: record[name].sum() for name in ("A1", "A2", "B1")}
    within, error = b2.trace()
    whole = sum(exact.values()) + within
    shares = {name: trace / whole for name, trace in exact.items()}
    shares["B2"] = (within / whole, error / whole) if np.isfinite(error) else within / whole
    largest = {name: record[name].max() for name in ("A1", "A2", "B1")} | {"B2": b2.support[1]}
    c, n = record.num_classes, record.num_examples
    ranks = {"A1": c, "A2": c, "B1": c * (c - 2), "B2": n * (c - 1)}
    return tabulated(
        (
            {
                "part": name,
                "level": level,
                "rank at most": ranks[name],
                "largest eigenvalue": largest[name],
                "share of tr G": shares[name],
            }
            for name, level in LEVELS.items()
        ),
        {"rank at most": ",", "largest eigenvalue": ".3g", "share of tr G": "{:.1%} ± {:.1%}"},
    )


def floor_frame(record: Record) -> pd.DataFrame:
    """The separation of B1 from B2 by number under several floors, and by trace:
    exact and by quadrature.
    """
    formats = {"B2 exact": ".2f", "B2 by quadrature": "{:.2f} ± {:.2f}"}
    return tabulated((floor_row(record, floor) for floor in (*FLOORS, None)), formats)


def floor_row(record: Record, floor: float | None) -> dict[str, object]:
    by = "trace" if floor is None else "count"
    name = "every eigenvalue by its trace" if floor is None else f"λ > {floor:.0e} of the largest"
    row = {"what counts": name}
    if "exact_B2" in record:
        row["B2 exact"] = separation_of(record, "B1", by, floor, exact=True)[0]
    return row | {"B2 by quadrature": separation_of(record, "B1", by, floor, exact=False)}
