"""P19-1: whether averages approximate the principal subspace.

Whether they are the cheaper way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from hspec.experiments.claims import Verdict, finding, judge
from hspec.experiments.records import Record
from hspec.experiments.scale import by_net, net_name
from hspec.experiments.uncertainty import ONE_NET

NEAR = 0.5  # of G's eigenvalue: each of the C of G1, and of G1+2, is at least so large
CLOSE = 0.9  # of the top C eigenspace, as a mean squared cosine; and of its curvature
EQUAL = 1.0  # the eigensolver's price over that of the averages
NAMES = {"G1": "G1", "G12": "G1+2", "A1": "A1"}


def verdict_averaging(records: Sequence[Record]) -> list[Verdict]:
    """Eigenvalues, subspaces, curvature and price.

    Each is judged on every net, and the worst net decides.
    """
    parts = [
        worst(
            f"eigenvalues of {NAMES[part]} (exact) over those of G, "
            f"λ_i({NAMES[part]})/λ_i(G): the smallest of i ≤ C",
            records,
            lambda record, part=part: eigenvalue_ratios(record, part).min(),
            NEAR,
            f"≥ {NEAR:g} on every net, a threshold of ours (none can exceed 1)",
        )
        for part in ("G1", "G12")
    ]
    spaces = [
        worst(
            f"span of the δ_c against the top C eigenspace of {name}, mean squared cosine",
            records,
            lambda record, name=name: overlap(record, "delta", name),
            CLOSE,
            f"≥ {CLOSE:g} on every net, a threshold of ours",
            share=True,
        )
        for name in ("G", "Hess")
    ]
    captured = worst(
        "curvature in the span of the δ_c, tr(MᵀGM)/Σ_{i≤C} λ_i(G)",
        records,
        lambda record: float(record["delta_captured"]),
        CLOSE,
        f"≥ {CLOSE:g} on every net, a threshold of ours",
        share=True,
    )
    return [*parts, *spaces, captured, *price_verdicts(records)]


def price_verdicts(records: Sequence[Record]) -> list[Verdict]:
    """A Lanczos run that captures as much curvature as the δ_c, over them.

    In products, and in seconds.
    """
    ways = {
        "products (counted)": (advantage_in_products, "exact"),
        "seconds (measured)": (advantage_in_seconds, "timing"),
    }
    return [
        worst(
            f"price of as much curvature by Lanczos steps, over that of the δ_c, in {name}",
            records,
            quantity,
            EQUAL,
            "more than 1 on every net; within a factor 1.5 decides nothing",
            over=over,
        )
        for name, (quantity, over) in ways.items()
    ]


def worst(
    quantity: str,
    records: Sequence[Record],
    value: Callable[[Record], float],
    threshold: float,
    criterion: str,
    *,
    share: bool = False,
    over: str = "residual",
) -> Verdict:
    """The verdict of a quantity that must be large on every one of the nets."""
    values = [float(value(record)) for record in records]
    judged = judge(min(values), threshold, above=True, share=share)
    span = f"{min(values):.2g}" if len(values) == 1 else f"{min(values):.2g} to {max(values):.2g}"
    told = span + over_nets(records)
    return Verdict("P19-1", quantity, told, (over, ONE_NET), criterion, *judged)


def over_nets(records: Sequence[Record]) -> str:
    """What follows a span: " over 4 nets", "" for one."""
    return f" over {len(records)} nets" if len(records) > 1 else ""


def eigenvalue_ratios(record: Record, part: str) -> np.ndarray:
    """λ_i(part)/λ_i(G), i ≤ C (C,)."""
    c = record.num_classes
    return record[part][:c] / record["G_top"][:c]


def overlap(record: Record, space: str, matrix: str) -> float:
    """‖MᵀQ‖_F²/C, the mean squared cosine of the principal angles."""
    return float(np.sum(record[f"{space}_{matrix}_cosines"] ** 2) / record.num_classes)


def steps_for(record: Record, captured: float) -> float:
    """Lanczos steps from a random vector that capture so much of the curvature.

    Infinite where the run was too short.
    """
    enough = np.flatnonzero(record["lanczos_captured"] >= captured)
    return float(enough[0] + 1) if len(enough) else np.inf


def advantage_in_products(record: Record, space: str = "delta") -> float:
    """Lanczos steps for as much curvature, over the price of the averages in products."""
    return steps_for(record, float(record[f"{space}_captured"])) / float(
        record[f"{space}_products"]
    )


def advantage_in_seconds(record: Record, space: str = "delta") -> float:
    """The same in seconds; the steps are charged their products, and no orthogonalisation."""
    steps = steps_for(record, float(record[f"{space}_captured"]))
    return steps * float(record["seconds_per_product"]) / float(record[f"{space}_seconds"])


def findings(records: Sequence[Record]) -> list[str]:
    """In this run: eigenvalues, subspaces and curvature; and the price."""
    rows = verdict_averaging(records)
    nets = over_nets(records)
    of_class, of_means, in_g, in_hess, captured, counted, timed = (
        row.value.removesuffix(nets) for row in rows
    )
    nets = nets and f",{nets}"
    return [
        finding(
            f"The smallest $\\lambda_i(G_1)/\\lambda_i(G)$, $i \\le C$, is {of_class}, of "
            f"$G_{{1+2}}$ {of_means}{nets}. The mean squared cosine between the span of the "
            f"$\\delta_c$ and the top $C$ eigenspace is {in_g} for $G$, {in_hess} for the Hessian; "
            f"the share of the curvature in it is {captured}.",
            *rows[:5],
        ),
        finding(
            f"Lanczos steps that capture as much cost {counted} times the averages in products, "
            f"and {timed} times in seconds{nets}.",
            *rows[5:],
        ),
    ]


def across_scales(records: Sequence[Record]) -> str:
    """What of a difference between small and large nets the size of the sample explains: what it
    does within a net, and how nets of one architecture compare over samples of one size.
    """
    groups = {of[0].setting.width: of for of in by_net(records)}
    if len(groups) < 2:
        return ""
    told, falls, alike = [], [], {}
    for of in by_net(records):
        sizes = {r.num_examples // r.num_classes: eigenvalue_ratios(r, "G12").min() for r in of}
        ratios = [sizes[size] for size in sorted(sizes)]
        falls += [a > b for a, b in pairwise(ratios)]
        numbers = ", ".join(f"{sizes[size]:.2f} over {size}" for size in sorted(sizes))
        net = f"{net_name(of[0])} on {of[0].setting.dataset}"
        told.append(f"{net} {numbers}")
        for size, ratio in sizes.items():
            widths = alike.setdefault((of[0].setting.model, size), {})
            widths.setdefault(of[0].setting.width, []).append(f"{ratio:.2f} in {net}")
    text = (
        "The smallest $\\lambda_i(G_{1+2})/\\lambda_i(G)$, $i \\le C$, by images a class: "
        f"{'; '.join(told)}. "
    )
    if falls and all(falls):
        text += "In a net with several samples it falls as the sample grows. "
    for (_, size), widths in alike.items():
        if len(widths) > 1:  # one architecture, several widths
            text += (
                f"Over samples of one size, {size} a class: {', '.join(sum(widths.values(), []))}. "
            )
    return text + (
        "What else differs, width, images and length of training, these runs do not tell apart."
    )
