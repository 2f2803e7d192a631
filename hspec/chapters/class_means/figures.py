"""G taken apart: the outliers beside A1's eigenvalues,
and the spectrum as its parts are taken away.
"""

from __future__ import annotations

import operator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.chapters.class_means.measure import KNOCKED_OUT
from hspec.chapters.class_means.verdict import survivors, verdict_class_structure
from hspec.experiments import Record
from hspec.experiments.claims import MARKS
from hspec.figures.densities import density_band, density_floor
from hspec.figures.style import COLOURS, panels, rank_axis
from hspec.figures.tables import named_values, net_columns, tabulated
from hspec.linalg import KERNEL_WIDTHS, SpectralMeasure, kolmogorov_smirnov, wasserstein

GRID_POINTS = 4096
PART_COLOURS = {
    "": "G",
    "_a1": "exact",
    "_a1_a2": "neutral",
    "_a1_a2_b1": "B2",
}  # the last is B2 itself
PARTS = ("A1", "A2", "B1", "B2")
# relative to λ_max: inside lies an atom, which a Kolmogorov-Smirnov distance would only see
NEAR_ZERO = 1e-3
ZERO = 1e-12  # of the largest: an exact eigenvalue below it is a zero to rounding


def knock_out_name(suffix: str) -> str:
    """ "G − A1 − A2" for "_a1_a2"."""
    return " − ".join(["G", *KNOCKED_OUT[suffix]])


def outliers_and_means(record: Record) -> Figure:
    """Left: eigenvalues of G, A1, A2 and B1 in order. Right:
    what each part gives to each of G's top eigenvalues.
    """
    figure, (left, right) = panels(1, 2, width=5.0, height=3.6)
    classes = record.num_classes
    shown = len(record["g_top"])
    for name, values, marker in (
        ("G", record["g_top"], "o"),
        ("A1", record["a1"], "D"),
        ("B1", record["b1"], "^"),
        ("A2", record["a2"], "v"),
    ):
        values = values[:shown][values[:shown] > ZERO * values[0]]
        rank = np.arange(1, len(values) + 1)
        left.semilogy(rank, values, marker, color=COLOURS[name], markersize=4.5, label=name)
    left.axvline(classes + 0.5, color=COLOURS["neutral"], linewidth=1, linestyle="--")
    rank_axis(left)
    left.set_ylabel(r"eigenvalue $\lambda_k$")
    left.legend(ncols=2)
    _stack_shares(right, record["shares"])
    right.set_xlabel("eigenvector of G, by rank")
    right.set_ylabel("share of its eigenvalue")
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(PARTS))
    return figure


def _stack_shares(axis, shares: np.ndarray) -> None:
    rank, bottom = np.arange(1, len(shares) + 1), np.zeros(len(shares))
    for name, share in zip(PARTS, shares.T, strict=True):
        axis.bar(
            rank, share, bottom=bottom, width=0.85, color=COLOURS[name], label=name, linewidth=0
        )
        bottom = bottom + share
    axis.set_ylim(0, 1)
    axis.grid(False)


def knock_outs(record: Record, preset: str = "P20") -> Figure:
    """The density of G, and of G as A1, A2 and B1 are taken away one after another; one axis, one
    row each.

    preset  the published kernel width, a key of :data:`hspec.linalg.KERNEL_WIDTHS`, of the range of
    the last row
    """
    measures = {suffix: record.spectrum(f"g{suffix}_") for suffix in KNOCKED_OUT}
    *_, least = measures.values()
    width = KERNEL_WIDTHS[preset](least, record.options["num_steps"])
    edge = float(record["g_top"][record.num_classes - 1])
    high = measures[""].support[1]
    grid = np.linspace(-0.03 * high, 1.05 * high, GRID_POINTS)
    figure, axes = panels(len(measures), 1, width=8.5, height=1.7, sharex=True, sharey=True)
    for axis, (suffix, measure) in zip(axes, measures.items(), strict=True):
        name = knock_out_name(suffix)
        density_band(axis, measure, grid, width, PART_COLOURS[suffix], label=name, style="-")
        density_floor(axis, record.num_parameters, width)
        axis.axvline(edge, color=COLOURS["neutral"], linewidth=1, linestyle="--")
        axis.set_ylabel("density")
        axis.legend(loc="upper right")
    axes[-1].set_xlabel(r"eigenvalue λ (dashed: $\lambda_C$ of G)")
    return figure


def survivor_table(record: Record) -> pd.DataFrame:
    """How many eigenvalues of each knock-out are still above λ_C(G),
    and how large the largest is.
    """
    rows = {knock_out_name(suffix): survivors(record, suffix) for suffix in KNOCKED_OUT if suffix}
    counts, largest = zip(*rows.values(), strict=True)
    return tabulated(
        {"matrix": rows.keys(), "eigenvalues above λ_C(G)": counts, "largest / λ_C(G)": largest},
        {"largest / λ_C(G)": ".2f"},
    )


def every_net(records: list[Record]) -> pd.DataFrame:
    """A row a net, the best evidence first: the claim's numbers, each with its verdict."""
    ordered = sorted(records, key=operator.attrgetter("evidence"), reverse=True)
    return pd.DataFrame(_row(record) for record in ordered).fillna("–")


def _row(record: Record) -> dict[str, str]:
    told = [f"{MARKS[v.outcome]} {v.value}" for v in verdict_class_structure(record)]
    columns = ["A1's share", "λ_i(A1)/λ_i(G)", "cos² of the spans", "G − A1 above λ_C(G)"]
    if "cosines" not in record:
        columns.remove("cos² of the spans")
    return net_columns(record) | dict(zip(columns, told, strict=True))


def exact_knock_outs(record: Record) -> Figure:
    """Left: exact eigenvalues of G and of G without its parts, by rank. Right:
    exact G beside the quadrature of G.
    """
    figure, (left, right) = panels(1, 2, width=5.0, height=3.6)
    classes, top = record.num_classes, record["exact"][0]
    for suffix in KNOCKED_OUT:
        values = record[f"exact{suffix}"]
        values = values[values > NEAR_ZERO * 1e-2 * top]
        rank = np.arange(1, len(values) + 1)
        style = (
            "--" if suffix == "_a1_a2" else "-"
        )  # A2 is so small that it would hide the line before
        left.loglog(
            rank, values, style, color=COLOURS[PART_COLOURS[suffix]], label=knock_out_name(suffix)
        )
    left.axvline(classes, color=COLOURS["neutral"], linewidth=1, linestyle="--")
    left.set_xlabel("rank k (dashed: C)")
    left.set_ylabel(r"exact eigenvalue $\lambda_k$")
    left.legend()
    exact, quadrature = exact_measure(record), record.spectrum("g_")
    t = np.geomspace(1e-4 * top, 1.2 * top, 800)
    for measure, colour, style, label in (
        (exact, "exact", "-", "exact"),
        (quadrature, "G", "--", "quadrature"),
    ):
        right.loglog(
            t, measure.dimension * (1 - measure.cdf(t)), style, color=COLOURS[colour], label=label
        )
    right.set_ylim(0.5, 2 * record["exact"].size)
    right.set_xlabel("t")
    right.set_ylabel("eigenvalues of G above t")
    right.legend()
    return figure


def exact_measure(record: Record) -> SpectralMeasure:
    """The exact spectrum of G: the Gram route's N·C eigenvalues and the p − N·C zeros that
    go with them.
    """
    p, values = record.num_parameters, record["exact"][: record.num_parameters]
    nodes = np.append(np.sort(values), 0.0) if p > len(values) else np.sort(values)
    weights = np.full(len(nodes), 1 / p)
    if p > len(values):
        weights[-1] = 1 - len(values) / p
    order = np.argsort(nodes)
    exact = np.ones(len(nodes), bool)
    return SpectralMeasure(nodes[order], weights[order], weights[order], p, exact)


def yardstick_table(record: Record) -> pd.DataFrame:
    """How far the quadrature of G is from its exact spectrum;
    how much of each matrix is above λ_C(G).
    """
    exact, quadrature = exact_measure(record), record.spectrum("g_")
    largest, edge = record["exact"][0], record["exact"][record.num_classes - 1]
    distance = kolmogorov_smirnov(exact, quadrature, outside=NEAR_ZERO)
    rows = {
        "Wasserstein-1 distance over λ_max": wasserstein(exact, quadrature) / largest,
        f"Kolmogorov-Smirnov distance outside {NEAR_ZERO:g} λ_max": distance,
        "relative error of λ_max": abs(quadrature.support[1] / largest - 1),
    }
    values = {f"quadrature of G: {name}": (value, ".1e") for name, value in rows.items()}
    for suffix in KNOCKED_OUT:
        left = record[f"exact{suffix}"]
        pair = int((left > edge * (1 - 1e-9)).sum()), left[0] / edge
        name = f"{knock_out_name(suffix)}: eigenvalues ≥ λ_C(G); largest over λ_C(G)"
        values[name] = (pair, "{}; {:.3f}")
    return named_values("exact spectra at the small sample", values)


def collinearity_table(record: Record) -> pd.DataFrame:
    """Class by class: p_c and p_{c,c}, the cosine of g_c and g_{c,c},
    and by how much the identity misses.
    """
    off, own = record["p_off"], record["p_own"]
    miss = "‖p_c g_c + p_cc g_cc‖ / ‖p_c g_c‖"
    return tabulated(
        {
            "class": np.arange(len(off)),
            "p_c / N": off,
            "p_cc / N": own,
            "p_c / p_cc": off / own,
            "1 + cos(g_c, g_cc)": 1 + record["cosine"],
            miss: record["mismatch"],
        },
        {
            "p_c / N": ".2e",
            "p_cc / N": ".4f",
            "p_c / p_cc": ".2e",
            "1 + cos(g_c, g_cc)": ".1e",
            miss: ".1e",
        },
    )


def part_table(record: Record) -> pd.DataFrame:
    """The top C eigenvalues of G beside the exact ones of A1, A1 + A2 and A2."""
    classes = record.num_classes
    names = {"G": "g_top", "A1": "a1", "A1 + A2": "a12", "A2": "a2"}
    columns = {name: record[key][:classes] for name, key in names.items()}
    return tabulated(
        {"rank": np.arange(1, classes + 1), **columns, "A1 / G": columns["A1"] / columns["G"]},
        dict.fromkeys(names, ".3g") | {"A1 / G": ".2f"},
    )
