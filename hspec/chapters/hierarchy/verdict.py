"""P18-6 and P18-7: the clusters of the means, and the two bulks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hspec.experiments.claims import OUTCOMES, Verdict, finding, judge, outcome
from hspec.experiments.records import Record
from hspec.experiments.scale import net_name
from hspec.experiments.separation import READINGS, resolved_from, separation_of
from hspec.experiments.uncertainty import ONE_NET, marked
from hspec.statistics import interval, mean_and_error, normal_factor
from hspec.words import counted

SIGNIFICANT = 0.01  # of the permutation test
FLOORS = (1e-6, 1e-5, 1e-4, 1e-3)  # of the largest eigenvalue: from where on they are counted
# in pooled interquartile ranges: the medians lie outside each other's middle halves, roughly
APART = 1.0


def verdict_clusters(record: Record) -> list[Verdict]:
    """P18-6, in the original distances: silhouette under the true class,
    and nearest class means.
    """
    return [silhouette_verdict(record), nearest_verdict(record)]


def silhouette_summary(record: Record, metric: str) -> dict[str, float]:
    """Mean silhouettes of the g_{c,c'}: by c with its standard error over classes, by c',
    shuffled; p of the first.
    """
    values, labels, permuted = (
        record[name] for name in (f"{metric}_silhouette", "true_class", f"{metric}_permuted")
    )
    _, error = mean_and_error([values[labels == c].mean() for c in np.unique(labels)])
    return {
        "true": float(values.mean()),
        "error": float(error),
        "other": float(record[f"{metric}_other_silhouette"].mean()),
        "permuted": float(permuted.mean()),
        "p": float((1 + (permuted >= values.mean()).sum()) / (1 + len(permuted))),
    }


def silhouette_verdict(record: Record) -> Verdict:
    found = silhouette_summary(record, "euclidean")
    ahead = found["true"] - max(0.0, found["other"])
    ends = interval(found["true"], found["error"], record.num_classes)
    half = ends[1] - found["true"]
    return Verdict(
        "P18-6",
        "silhouette of the g_{c,c'} under label c, Euclidean distance",
        f"{marked('sample', found['true'], *ends)}, p = {found['p']:.2g}; under label c' "
        f"{found['other']:.2f}",
        (f"sample of {counted(record.num_classes, 'class')}", "permutation", ONE_NET),
        f"positive, more than under label c', p ≤ {SIGNIFICANT:g} under shuffled labels",
        outcome(ahead > 0 and found["p"] <= SIGNIFICANT, decided=abs(ahead) > half),
        f"ahead by {ahead:.2f}, {'more' if abs(ahead) > half else 'less'} than the uncertainty",
    )


def nearest_share(record: Record, metric: str) -> float:
    """Share of the g_{c,c'} to which g_c is the nearest of all class means."""
    return float((record[f"{metric}_nearest"] == record["true_class"]).mean())


def nearest_verdict(record: Record) -> Verdict:
    share, count = nearest_share(record, "euclidean"), len(record["true_class"])
    error = np.sqrt(max(share * (1 - share), 1 / count) / count)
    half = normal_factor() * error
    return Verdict(
        "P18-6",
        "share of the g_{c,c'} whose nearest class mean is g_c",
        f"{marked('sample', share, share - half, min(1.0, share + half))}, by chance "
        f"{1 / record.num_classes:.2f}",
        (f"sample of {counted(count, 'mean')}", ONE_NET),
        "more than one half, a threshold of ours",
        *judge(share, 0.5, above=True, interval=(share - half, share + half), share=True),
    )


def verdict_bulks(record: Record) -> list[Verdict]:
    """P18-7: whether B1's and B2's eigenvalues make two bulks, whichever of them lies above; by the
    trace they carry, and by their number.
    """
    return [bulks_verdict(record, by) for by in READINGS]


def bulks_verdict(record: Record, by: str) -> Verdict:
    value, error = separation_of(record, "B1", by)
    exact = "exact_B2" in record
    ends = None if exact else interval(value, error, len(record["B2_nodes"]))
    probes = len(record["B2_nodes"])
    far = ends and (max(0.0, ends[0], -ends[1]), max(-ends[0], ends[1]))
    judged = judge(abs(value), APART, above=True, interval=far)
    about = ""
    if by == "count" and exact:
        others = [separation_of(record, "B1", by, floor)[0] for floor in FLOORS]
        # above some floors there is nothing to separate
        others = [other for other in others if np.isfinite(other)]
        if any((abs(other) > APART) != (abs(value) > APART) for other in others):
            judged = OUTCOMES[2], "the answer hangs on the floor from which eigenvalues count"
        if others:
            about = f"; above other floors {', '.join(f'{other:.2f}' for other in others)}"
    elif by == "count":  # under other floors it would show the instrument
        about = f", of eigenvalues above {resolved_from(record):.2g} of the largest"
        judged = OUTCOMES[2], "smaller eigenvalues would count too, and a quadrature merges them"
    return Verdict(
        "P18-7",
        f"how far B1 lies to the right of B2, in units of their spread, {READINGS[by]}",
        (f"{value:.2f}" if exact else marked("probe", value, *ends)) + about,
        ("exact" if exact else counted(probes, "probe"), ONE_NET),
        f"more than {APART:g} either way, a threshold of ours",
        *judged,
    )


def cluster_findings(means: Record) -> list[str]:
    """In this run: how the means cluster."""
    found = silhouette_summary(means, "euclidean")
    return [
        finding(
            f"The $g_{{c,c'}}$ have a mean silhouette of {found['true']:.2f} under the class $c$, "
            f"of {found['other']:.2f} under the label $c'$ and of {found['permuted']:.2f} under "
            "shuffled classes; the nearest class mean is their own $g_c$ for "
            f"{nearest_share(means, 'euclidean'):.0%} of them.",
            *verdict_clusters(means),
        )
    ]


def bulk_findings(levels: Record) -> list[str]:
    """In this run: how far the bulks are apart."""
    trace, count = verdict_bulks(levels)
    return [
        finding(
            f"$B_1$ lies to the right of $B_2$ by {trace.value} of their spread (to its left where "
            f"that is negative), read by trace; by {count.value}, read by number.",
            trace,
            count,
        )
    ]


def across_scales(records: Sequence[Record]) -> str:
    """Whether lengths are why the means of one net cluster and those of another do not."""
    if len({net_name(record) for record in records}) < 2:
        return ""
    by = {
        metric: [silhouette_summary(record, metric)["true"] for record in records]
        for metric in ("euclidean", "cosine")
    }
    told = "; ".join(
        f"{net_name(record)}, {record.setting.dataset}, {near:.2f} by distances and {turned:.2f} "
        f"by angles, with {record.error_rate:.1%} of the images misclassified"
        for record, near, turned in zip(records, by["euclidean"], by["cosine"], strict=True)
    )
    apart = {metric: max(values) - min(values) for metric, values in by.items()}
    lengths = "are not" if apart["cosine"] > apart["euclidean"] / 2 else "are most of"
    return (
        f"The mean silhouette under the class: {told}. Angles know nothing of lengths, so that "
        f"the lengths of the means {lengths} the reason. The nets differ in architecture, images "
        "and training, and these runs do not tell which of them decides: the reason is not found."
    )
