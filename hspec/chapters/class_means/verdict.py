"""P18-5: whether G's outliers come from A1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hspec.experiments.claims import Verdict, finding, judge, judge_left
from hspec.experiments.records import Record
from hspec.experiments.scale import net_name, over_training
from hspec.experiments.uncertainty import ONE_NET
from hspec.words import counted, signed

NEAR = 2.0  # factor within which every one of A1's C eigenvalues lies from G's
MOST = 0.5  # of the outliers' sum
SPACE = 0.9  # mean squared cosine between the span of the g_c and G's top C eigenspace
ROUNDING = 1e-3  # relative: the residual to which λ_C is known


def verdict_class_structure(record: Record) -> list[Verdict]:
    """Four numbers: A1's share of the outliers, its eigenvalues beside G's, the two spaces,
    and what A1 leaves.
    """
    classes = record.num_classes
    ratios = record["a1"][:classes] / record["g_top"][:classes]
    share = a1_share(record)
    left, largest = survivors(record)
    # A1 has rank C at most, so that G − A1 has an eigenvalue no smaller than this one (Weyl)
    floor = float(record["g_top"][classes]) / edge(record)
    rows = [
        (
            "A1's share of the sum of G's top C eigenvalues, tr(Qᵀ A1 Q)/tr(Qᵀ G Q)",
            f"{share:.3f}",
            ("residual", ONE_NET),
            f"≥ {MOST:g}, a threshold of ours",
            *judge(share, MOST, above=True, share=True),
        ),
        (
            "eigenvalues of A1 (exact) over those of G, λ_i(A1)/λ_i(G), i ≤ C: smallest and "
            "largest",
            f"{ratios.min():.2f} to {ratios.max():.2f}",
            ("residual", ONE_NET),
            f"all ≥ {1 / NEAR:g}, a threshold of ours (none can exceed 1)",
            *judge(float(ratios.min()), 1 / NEAR, above=True),
        ),
        (
            f"eigenvalues of G − A1 above λ_C(G), where G has {classes - 1}",
            f"{left}; the largest is {largest:.2f} λ_C(G)",
            ("ritz", ONE_NET),
            "none: the outliers are gone; that it counts from λ_C on is ours",
            *judge_left(largest, floor, 1 + ROUNDING),
        ),
    ]
    if "cosines" in record:
        overlap = float(np.mean(record["cosines"] ** 2))
        name = (
            "span of the g_c against G's top C eigenspace (mean squared cosine)",
            f"{overlap:.3f}",
            ("residual", ONE_NET),
            f"≥ {SPACE:g}, a threshold of ours",
        )
        rows.insert(2, (*name, *judge(overlap, SPACE, above=True, share=True)))
    return [Verdict("P18-5", *row) for row in rows]


def a1_share(record: Record) -> float:
    """tr(Qᵀ A1 Q)/tr(Qᵀ G Q), Q the top C eigenvectors of G."""
    return float(made_by(record)[0])


def across_scales(records: Sequence[Record]) -> str:
    """Who makes the outliers in each net, over its training images, and what has grown where A1
    makes less of them.
    """
    records = over_training(records)
    if len(records) < 2:
        return ""
    ordered = sorted(records, key=a1_share, reverse=True)
    made = [made_by(record) for record in ordered]
    told = "; ".join(
        f"{net_name(r)} ({r.setting.dataset}, $N = {r.num_examples:,}$) "
        + ", ".join(f"{share:.2f}" for share in shares)
        for r, shares in zip(ordered, made, strict=True)
    )
    _, _, b1, b2 = made[-1] - made[0]
    return signed(
        "Of the sum of $G$'s top $C$ eigenvalues $A_1$, $A_2$, $B_1$ and $B_2$ make, in this "
        f"order: {told}. From the first of these nets to the last, $B_1$'s share changes by "
        f"{b1:+.2f} and $B_2$'s by {b2:+.2f}. Width, data, sample and training "
        "differ at once, so which of them does it these nets do not tell."
    )


def made_by(record: Record) -> np.ndarray:
    """Of the sum of G's top C eigenvalues, what A1, A2, B1 and B2 give, (4,)."""
    top = record["g_top"][: record.num_classes]
    return top @ record["shares"][: len(top)] / top.sum()


def survivors(record: Record, suffix: str = "_a1") -> tuple[int, float]:
    """How many eigenvalues of G without A1 (or more, by ``suffix``) lie above λ_C(G), and the
    largest over λ_C(G).

    Ritz values of the probe that shows most of them: each is at most the eigenvalue it stands for,
    and at this end of the spectrum they have converged.
    """
    last, nodes = edge(record), np.nan_to_num(record[f"g{suffix}_nodes"])
    return int((nodes > last * (1 + ROUNDING)).sum(axis=1).max()), float(nodes.max() / last)


def edge(record: Record) -> float:
    """λ_C(G), the smallest of the C eigenvalues that the claim calls outliers."""
    return float(record["g_top"][record.num_classes - 1])


def findings(record: Record) -> list[str]:
    """In this run: A1's share of the outliers and its eigenvalues beside them, and what is left
    without it.
    """
    rows = verdict_class_structure(record)
    classes, (left, largest) = record.num_classes, survivors(record)
    ratios = record["a1"][:classes] / record["g_top"][:classes]
    means, _ = survivors(record, "_a1_a2_b1")
    return [
        finding(
            f"The class means' part $A_1$ makes {a1_share(record):.0%} of the sum of $G$'s top "
            f"{classes} eigenvalues; $\\lambda_i(A_1)/\\lambda_i(G)$ is {ratios.min():.2f} to "
            f"{ratios.max():.2f} for $i \\le {classes}$.",
            *rows[:-1],
        ),
        finding(
            f"$G - A_1$ has {counted(left, 'eigenvalue')} above "
            f"$\\lambda_{{{classes}}}(G)$, where $G$ has "
            f"{classes - 1}; the largest is {largest:.2f} times that one. With the cross-class "
            f"means $B_1$ taken away too, {means or 'none'} {'is' if means <= 1 else 'are'} left "
            "above it.",
            rows[-1],
        ),
    ]
