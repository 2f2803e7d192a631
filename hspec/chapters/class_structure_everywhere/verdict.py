"""P20-1 and P20-2: what class and cross-class means make of spectra, and what depth does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from hspec.experiments.claims import SIGNIFICANT, Verdict, both, finding, judge, outcome
from hspec.experiments.one_thing import Net, named_by, one_thing_apart
from hspec.experiments.records import Record
from hspec.experiments.trends import OVER, Trend, trend
from hspec.experiments.uncertainty import marked
from hspec.statistics import mean_and_interval
from hspec.words import counted

KINDS = {
    "features": "features",
    "errors": "back-propagated errors",
    "gradients": "gradients (layerwise G)",
    "weights": "weights (singular values)",
}
DEPTH = {
    "class_within": ("class over within trace", +1),
    "ratio": (
        "ratio of the class-mean matrix's eigenvalues (features λ_2/λ_C, errors λ_1/λ_{C−1})",
        -1,
    ),
    "cosines": ("distance of the class means' cosines from −1/(C−1)", -1),
}
CROSSED = ("errors", "gradients")  # what has a label c', and with it cross-class means
BEYOND = 2.0  # times what chance gives: cross-class means that tell labels apart
LEFT = 1.0  # of λ_C before: what a knock-out that takes all outliers leaves at most


def left_over(record: Record, kind: str, which: str = "projected") -> np.ndarray:
    """The largest eigenvalue (singular value) after a knock-out, over the C-th before it, (L,).

    At most 1 where the C largest are gone. A projection out of k dimensions (2k for weights) leaves
    at least λ_{k+1}. NaN for a layer that has no C-th.
    """
    classes, found = record.num_classes, []
    for place in range(len(record["layers"])):
        before = record[f"l{place}_{kind}_all"]
        after = record[f"l{place}_{kind}_{which}"][0]
        edge = before[classes - 1] if len(before) >= classes else np.nan
        found.append(after / edge if edge > 1e-9 * before[0] else np.nan)
    return np.array(found)


def layers_judged(records: list[Record], kind: str, which: str = "projected") -> np.ndarray:
    """:func:`left_over` of every seed, (seeds, L); NaN where class directions are the whole space.

    That is so of errors at the logits, and of one side of the weights there.
    """
    found = np.stack([left_over(record, kind, which) for record in records])
    if kind in ("errors", "weights"):
        found[:, -1] = np.nan
    return found


def verdict_layers(records: list[Record]) -> list[Verdict]:
    """All rows of the chapter: P20-1 of class means, then of cross-class means, and P20-2."""
    return verdict_structure(records) + verdict_cross_classes(records) + verdict_depth(records)


def verdict_of_each(nets: Sequence[Record]) -> list[Verdict]:
    """The rows of every net, on its data, one net after another."""
    return [
        replace(row, quantity=f"{net.setting.dataset}: {row.quantity}")
        for net in nets
        for row in verdict_layers([net])
    ]


def verdict_structure(records: list[Record]) -> list[Verdict]:
    """P20-1: for each kind, what is left of the outliers without class means, median layer.

    Where random directions leave little more than λ_C too, there were no outliers to attribute.
    """
    rows = []
    for kind, name in KINDS.items():
        left, random = (layers_judged(records, kind, which) for which in ("projected", "random"))
        (middle, ends, told), (control, around, _) = map(median_layer, (left, random))
        rows.append(
            Verdict(
                "P20-1",
                f"{name}: the largest outside of the class means' span, over the C-th before, in "
                "the median layer; the same without random directions",
                f"{told}; {control:.2f}",
                (counted(len(records), "seed"),),
                f"≤ {LEFT:g}, where random directions leave more; both are ours",
                *both(
                    judge(middle, LEFT, interval=ends),
                    judge(control, LEFT, above=True, interval=around),
                ),
            )
        )
    return rows


def median_layer(table: np.ndarray) -> tuple[float, tuple[float, float] | None, str]:
    """Of (seeds, L) the median over layers, its mean over seeds, the ends of the 95 % interval
    (None for one seed), and both as text with the range over layers and seeds.
    """
    mean, half = map(float, mean_and_interval(np.nanmedian(table, axis=1)))
    span = f"layers {np.nanmin(table):.2f} to {np.nanmax(table):.2f}"
    told = f"{marked('seed', mean, mean - half, mean + half)}, {span}"
    return mean, (mean - half, mean + half) if np.isfinite(half) else None, told


def verdict_cross_classes(records: list[Record]) -> list[Verdict]:
    """P20-1: whether the wrong labels of a class are told apart, where there are any."""
    rows = []
    for kind in CROSSED:
        middle, ends, told = median_layer(table_of(records, kind, "cross"))
        rows.append(
            Verdict(
                "P20-1",
                f"{KINDS[kind]}: trace of the cross-class part B1, over the same with the wrong "
                "labels of each example shuffled, in the median layer",
                told,
                (counted(len(records), "seed"),),
                f"≥ {BEYOND:g}, a threshold of ours",
                *judge(middle, BEYOND, above=True, interval=ends),
            )
        )
    return rows


def verdict_depth(records: list[Record]) -> list[Verdict]:
    """P20-2: the trends of three numbers with depth, of features and of errors."""
    rows = []
    for kind in ("features", "errors"):
        for key, (name, sign) in DEPTH.items():
            values = table_of(records, kind, key)
            found = trend(values, 1)
            ends = f"{values[:, 0].mean():.3g} → {values[:, -1].mean():.3g}"
            rows.append(
                Verdict(
                    "P20-2",
                    f"{KINDS[kind]}: {name}; first → last layer, and Kendall's τ with depth",
                    f"{ends}; τ = {found.tau:+.2f}, p = {found.p:.2g}, "
                    f"{counted(found.comparisons, 'pair')}",
                    (*OVER, counted(len(records), "seed")),
                    f"τ {'>' if sign > 0 else '<'} 0, p ≤ {SIGNIFICANT:g}",
                    *decided(found, sign),
                )
            )
    return rows


def decided(found: Trend, sign: int) -> tuple[str, str]:
    return outcome(found.tau * sign > 0, decided=found.p <= SIGNIFICANT), f"p = {found.p:.2g}"


def table_of(records: list[Record], kind: str, key: str) -> np.ndarray:
    """One of the numbers of :data:`DEPTH`, (seeds, L)."""
    return np.stack([record[f"{kind}_{key}"] for record in records])


def findings(records: list[Record]) -> list[str]:
    """In this run: what class and cross-class means make, and what depth does."""
    left = {kind: median_layer(layers_judged(records, kind))[0] for kind in KINDS}
    beyond = {kind: median_layer(table_of(records, kind, "cross"))[0] for kind in CROSSED}
    cosine = np.concatenate([record["global_cosine"] for record in records])
    depths = "; ".join(
        f"of {KINDS[kind]} "
        + ", ".join(
            f"{short} {of[:, 0].mean():.3g} → {of[:, -1].mean():.3g}"
            for short, of in zip(
                ("class over within", "eigenvalue ratio", "cosines' distance"),
                (table_of(records, kind, key) for key in DEPTH),
                strict=True,
            )
        )
        for kind in ("features", "errors")
    )
    return [
        finding(
            "Outside of the class means' span the largest eigenvalue (of weights, singular value) "
            f"is, in units of the $C$-th before and in the median layer: {by_kind(left)}. The "
            "cross-class part has this many times the trace that shuffled labels give it: "
            f"{by_kind(beyond)}.",
            *verdict_structure(records),
            *verdict_cross_classes(records),
        ),
        finding(f"From the first layer to the last: {depths}.", *verdict_depth(records)),
        "The first eigenvector of the features' second moment has a cosine of "
        f"{cosine.min():.3f} to {cosine.max():.3f} with their global mean.",
    ]


def by_kind(numbers: dict[str, float]) -> str:
    return ", ".join(f"{kind} {number:.2f}" for kind, number in numbers.items())


def across_scales(records: Sequence[Record]) -> str:
    """What goes with the width alone, and what with the length of training alone, as far as nets
    that differ in nothing else tell.
    """
    told = (
        of_width(one_thing_apart(records, "width")),
        of_training(one_thing_apart(records, "updates")),
    )
    return " ".join(filter(None, told))


def of_width(nets: Sequence[Net]) -> str:
    """P20-2: how far the class means of the errors are from a simplex, at both ends of the nets."""
    if not nets:
        return ""
    first, last = ends_of_cosines(nets)
    crossed = first[0] > last[0] and first[-1] < last[-1]
    reason = (
        "In the narrowest net it is larger in the first layer, in the widest at the logits: the "
        "way back through narrow layers distorts the means, through wide ones hardly, and at the "
        "logits, where the means say which classes are taken for which, there is no way back yet."
        if crossed and all(wider < narrower for narrower, wider in pairwise(first))
        else "The width alone does not decide at which end it is larger."
    )
    return (
        f"Nets that differ in their width alone ({named_by(nets, 'width')}): the distance of the "
        f"cosines of the errors' class means from those of a simplex is {series(first, '.3f')} in "
        f"the first layer and {series(last, '.3f')} at the logits. {reason}"
    )


def of_training(nets: Sequence[Net]) -> str:
    """P20-1 and P20-2: what is left of the outliers, and the cosines."""
    if not nets:
        return ""
    left = "; ".join(
        f"{name} {series([median_left(net, kind) for net in nets], '.2f')}"
        for kind, name in KINDS.items()
    )
    decays = [net[0].setting.recipe.decay(int(net[0].num_examples)) for net in nets]
    first, last = ends_of_cosines(nets)
    return (
        f"Nets that differ in their training alone ({named_by(nets, 'updates')}): weight decay by "
        f"itself leaves {series(decays, '.2f')} of the weights that they began with. Outside of "
        "the class means' span the largest, over the $C$-th before and in the median layer, is of "
        f"{left}. The distance of the errors' cosines is {series(first, '.3f')} in the first layer "
        f"and {series(last, '.3f')} at the logits."
    )


def ends_of_cosines(nets: Sequence[Net]) -> np.ndarray:
    """(2, nets): the number `cosines` of the errors in the first layer and at the logits."""
    every = [table_of(net, "errors", "cosines").mean(0) for net in nets]
    return np.stack([[of[0], of[-1]] for of in every], 1)


def median_left(net: Net, kind: str) -> float:
    """:func:`left_over` in the median layer, mean over seeds."""
    return median_layer(layers_judged(net, kind))[0]


def series(values: Sequence[float], how: str) -> str:
    return ", ".join(f"{value:{how}}" for value in values)
