"""P18-2: whether the outliers are G's and the bulk is H's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hspec.experiments.claims import Verdict, finding, judge, judge_left
from hspec.experiments.outliers import TOLERANCE
from hspec.experiments.records import Record
from hspec.experiments.scale import by_net, misfit, net_name, over_training
from hspec.experiments.uncertainty import ONE_NET, bounded, marked
from hspec.linalg import SpectralMeasure
from hspec.statistics import interval, ratio_and_error
from hspec.words import counted

SAME_SPACE = 0.9  # mean squared cosine between two eigenspaces that are called the same
FAR_BELOW = (
    0.5  # of λ_C(Hess): a matrix whose largest eigenvalue is smaller has no outlier among Hess's
)
OWNER = 0.5  # share of the bulk's energy that makes H its owner


def verdict_ownership(record: Record) -> list[Verdict]:
    """Four numbers: the overlap of the eigenspaces, the ends of H, the knock-out,
    and the bulk's energy.
    """
    last = edge(record)
    overlap = float(np.mean(record["cosines"] ** 2))
    h_top, h_slack = float(record["h_ends"][0]) / last, TOLERANCE * np.ptp(record["h_ends"]) / last
    knocked, floor = knocked_out_top(record)
    ratio, error = energy_ratio(record.spectrum("h_"), record.spectrum("hess_"))
    probes = record.spectrum("h_").num_probes
    ends = interval(ratio, error, probes)
    tolerance = record["hess_residuals"].max() / last
    return [
        Verdict(
            "P18-2",
            "overlap of the top C eigenspaces of Hess and G (mean squared cosine)",
            f"{overlap:.4f}; residuals ≤ {tolerance:.0e} λ_C",
            ("residual", ONE_NET),
            f"≥ {SAME_SPACE:g}, a threshold of ours",
            *judge(overlap, SAME_SPACE, above=True, share=True),
        ),
        Verdict(
            "P18-2",
            "λ_max(H) / λ_C(Hess)",
            bounded(h_top, h_slack),
            ("residual", ONE_NET),
            f"≤ {FAR_BELOW:g}, a threshold of ours",
            *judge(h_top, FAR_BELOW),
        ),
        Verdict(
            "P18-2",
            "largest eigenvalue of Hess after G's top C is projected out, over λ_C(Hess)",
            f"{_at_least(knocked, floor)}; a perfect knock-out leaves λ_(C+1)/λ_C = {floor:.3f}",
            ("ritz", ONE_NET),
            "< 1: no outlier is left; that it counts from λ_C on is ours",
            *judge_left(max(knocked, floor), floor),
        ),
        Verdict(
            "P18-2",
            "bulk energy that is H's, ‖H‖_F² / ‖Hess − top C‖_F²",
            marked("probe", ratio, *ends),
            (counted(probes, "probe"), ONE_NET),
            f"≥ {OWNER:g}, a threshold of ours",
            *judge(ratio, OWNER, above=True, interval=ends),
        ),
    ]


def classes(record: Record) -> int:
    return record.num_classes


def edge(record: Record) -> float:
    """λ_C(Hess), the smallest of the C eigenvalues that the claim calls outliers."""
    return float(record["hess_top"][classes(record) - 1])


def knocked_out_top(record: Record) -> tuple[float, float]:
    """The largest Ritz value of Hess without G's top C, over λ_C(Hess); and λ_{C+1}/λ_C of Hess,
    below which no projection along C directions gets it.

    Source: Cauchy's interlacing theorem.
    """
    last = edge(record)
    floor = float(record["hess_top"][classes(record)]) / last
    return float(record.spectrum("knocked_").support[1]) / last, floor


def _at_least(ritz: float, floor: float) -> str:
    """The larger of the two; marked where the Ritz value has not come up to what it must exceed."""
    return f"{ritz:.3f}" if ritz >= floor else f"≥ {floor:.3f}"


def energy_ratio(part: SpectralMeasure, whole: SpectralMeasure) -> tuple[float, float]:
    """‖A‖_F² / ‖B‖_F² from the second moments of two quadratures, and its standard error (NaN for
    one probe).

    Both must come from the same probes, one row each: their errors then largely cancel in the ratio
    (delta method).
    """
    if part.num_probes != whole.num_probes:
        raise ValueError(
            f"the probes must be the same: {part.num_probes} of one, {whole.num_probes} of the "
            "other"
        )
    above, below = (m.dimension * np.nansum(m.weights * m.nodes**2, axis=1) for m in (part, whole))
    return ratio_and_error(above, below)


def findings(record: Record) -> list[str]:
    """In this run: whose the outliers are, and whose the bulk."""
    space, reach, left, energy = verdict_ownership(record)
    knocked, floor = knocked_out_top(record)
    last = edge(record)
    ratio, _ = energy_ratio(record.spectrum("h_"), record.spectrum("hess_"))
    overlap = float(np.mean(record["cosines"] ** 2))
    return [
        finding(
            f"The top {record.num_classes} eigenvectors of $G$ and of the Hessian share "
            f"{overlap:.1%} of their spaces (mean squared cosine), and $\\lambda_{{\\max}}(H)$ is "
            f"{record['h_ends'][0] / last:.2f} of the last outlier, "
            f"$\\lambda_{{{record.num_classes}}}(\\mathrm{{Hess}})$ = {last:.3g}. With $G$'s top "
            f"{record.num_classes} taken out, the Hessian's largest eigenvalue is "
            f"{_at_least(knocked, floor)} of it, where its own top {record.num_classes} would "
            f"leave {floor:.3f}.",
            space,
            reach,
            left,
        ),
        finding(f"$\\lVert H \\rVert_F^2$ is {ratio:.2f} of the bulk's energy.", energy),
    ]


def _bulk_share(record: Record) -> float:
    return energy_ratio(record.spectrum("h_"), record.spectrum("hess_"))[0]


def _spread(shares: Sequence[float]) -> str:
    ends = sorted({f"{share:.2f}" for share in shares})
    return " to ".join(dict.fromkeys((ends[0], ends[-1])))


def across_scales(records: Sequence[Record]) -> str:
    """On which side of the threshold H's share of the bulk's energy lies in each net, over its
    training images.
    """
    records = over_training(records)
    nets = [
        (f"{net_name(of[0])} ({of[0].setting.dataset}{note})", [_bulk_share(r) for r in of])
        for same in by_net(records)
        for note in sorted({misfit([r]) for r in same})  # that fits first
        for of in [[r for r in same if misfit([r]) == note]]
    ]
    if len(nets) < 2:
        return ""
    told = ", ".join(f"{_spread(shares)} in {name}" for name, shares in nets)
    shares = [share for _, found in nets for share in found]
    grown = _by_sample(records)
    if len({share >= OWNER for share in shares}) > 1:
        reason = f". {grown}The rest of the reason" if grown else ": the reason"
        return f"$H$ makes {told} of the bulk's energy{reason} is not found."
    side = "at least" if min(shares) >= OWNER else "less than"
    return (
        f"$H$ makes {told} of the bulk's energy, {side} {OWNER:g} in each: the verdicts differ "
        f"where the probes of one net are too few to decide, not because the nets do. {grown}"
    ).rstrip()


def _by_sample(records: Sequence[Record]) -> str:
    """H's share in nets that were trained on samples of several sizes, each by itself, and that fit
    them; "" where it does not grow with the sample in all of them.
    """
    told, grows = [], []
    for same in by_net(r for r in records if not misfit([r])):
        shares = {r.num_examples: _bulk_share(r) for r in same}
        if len(shares) > 1:
            ordered = [shares[size] for size in sorted(shares)]
            grows += [a < b for a, b in pairwise(ordered)]
            numbers = ", ".join(f"{shares[size]:.2f} over {size:,}" for size in sorted(shares))
            told.append(f"{net_name(same[0])} on {same[0].setting.dataset} {numbers}")
    if not grows or not all(grows):
        return ""
    return (
        f"It grows with the sample, where a net was trained on several: {'; '.join(told)} images, "
        "one training each. So small samples are a part of the reason. "
    )
