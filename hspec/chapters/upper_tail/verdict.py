"""P18-4: whose the bulk's upper tail is, over the grid of epochs and sample sizes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from hspec.experiments.claims import FACTOR, OUTCOMES, Verdict, finding, judge, odds, outcome
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.records import Record
from hspec.experiments.trends import trend_verdicts
from hspec.experiments.uncertainty import ONE_NET, marked
from hspec.statistics import interval, mean_and_error, ratio_and_error, student_factor
from hspec.words import counted

# training error above which a net has not learnt its sample: no evidence for the claim or against
LEARNT = 0.1
SAME_LOSS = 1.25  # a factor within which two training losses are called the same


def verdict_upper_tail(
    grid: Grid, records: Mapping[Cell, Record | None], tail: float
) -> list[Verdict]:
    """The two ends of the grid against one half, and the trends along its axes."""
    return [
        corner_verdict(grid, records, tail, "fewest epochs, smallest sample", 0, above=True),
        corner_verdict(grid, records, tail, "most epochs, largest sample", -1, above=False),
        *trend_verdicts(
            "P18-4",
            "G's share of the upper tail",
            grid.table(
                records, lambda r: tail_share(r["nodes"], r["g_parts"], r["weights"], tail)[0]
            ),
            {"epochs": -1, "sample size": -1},
        ),
    ]


def corner_verdict(
    grid: Grid,
    records: Mapping[Cell, Record | None],
    tail: float,
    where: str,
    end: int,
    *,
    above: bool,
) -> Verdict:
    """One corner: the mean share over repeats, its interval from them where there are several,
    else from probes; no further down than zero, below which no share of G can be.
    """
    cells = [Cell(repeat, grid.per_class[end], grid.epochs[end]) for repeat in grid.repeats]
    found = [records[cell] for cell in cells if records[cell] is not None]
    quantity = f"G's share of the upper {tail:g} of the bulk: {where}"
    criterion = f"{'more' if above else 'less'} than one half, a threshold of ours"
    if not found:
        nothing = outcome(False, decided=False)
        return Verdict("P18-4", quantity, "not measured", ("seed",), criterion, nothing)
    shares = np.array([tail_share(r["nodes"], r["g_parts"], r["weights"], tail) for r in found])
    share, over_repeats = mean_and_error(shares[:, 0])
    kind = "seed" if len(found) > 1 else "probe"
    number = len(found) if kind == "seed" else len(found[0]["nodes"])
    error = over_repeats if kind == "seed" else shares[0, 1]
    ends = tuple(np.maximum(interval(share, error, number), 0.0))  # of NaN, NaN
    judged = judge(float(share), 0.5, above=above, interval=ends, share=True)
    wrong = max(record.error_rate for record in found)
    if wrong > LEARNT:
        judged = OUTCOMES[2], f"a net with {wrong:.0%} training error has not learnt its sample"
    return Verdict(
        "P18-4",
        quantity,
        marked(kind, float(share), *ends),
        (counted(number, kind), *([] if kind == "seed" else [ONE_NET])),
        criterion,
        *judged,
    )


def tail_share(
    nodes: np.ndarray, g_parts: np.ndarray, weights: np.ndarray, tail: float
) -> tuple[float, float]:
    """Share of the bulk's upper tail that is G's, and its standard error over probes (NaN for one
    probe).

    nodes, g_parts, weights   (n_v, r): Ritz values θ of the deflated Hessian in descending order,
                              uᵀ G u of their vectors, and quadrature weights w; padded with NaN
    tail                      the share of the bulk's eigenvalues that counts as its tail

        share = Σ w uᵀ G u / Σ w θ,    over the nodes, from the largest, that hold the mass
        ``tail``, and over probes:

    the part of the tail's sum of eigenvalues, tr(Π Hess Π) with Π the tail's projector, that is
    tr(Π G Π). The rest is H's. G's part is never negative; where H is negative on the tail, G's
    share exceeds one.
    """
    weights = np.nan_to_num(weights)
    before = np.pad(np.cumsum(weights, axis=1), ((0, 0), (1, 0)))[:, :-1]  # mass of larger nodes
    inside = np.where(before < tail, weights, 0.0)
    part = (inside * np.nan_to_num(g_parts)).sum(1)
    whole = (inside * np.nan_to_num(nodes)).sum(1)
    return ratio_and_error(part, whole)


def fit_alone(records: Mapping[Cell, Record | None], tail: float) -> str:
    """Whether cells of one training loss have one share of G, whatever their column: a sentence
    on the two of different sample sizes that differ most among those of nearly the same loss.
    """
    found = [
        (cell, record.loss, *_share_and_half(record, tail))
        for cell, record in records.items()
        if record is not None
    ]
    alike = [
        (one, other)
        for one, other in combinations(found, 2)
        if one[0].per_class != other[0].per_class
        and max(one[1], other[1]) <= SAME_LOSS * min(one[1], other[1])
    ]
    if not alike:
        return (
            f"No two cells of different columns have losses within a factor {SAME_LOSS:g}: these "
            "runs do not tell whether fit alone decides."
        )
    most = max(alike, key=lambda pair: abs(pair[0][2] - pair[1][2]))
    (one, loss, high, error), (other, near, low, slack) = sorted(most, key=lambda of: -of[2])
    shares = (
        marked("probe", share, max(share - half, 0.0), share + half)
        for share, half in ((high, error), (low, slack))
    )
    if odds(high) < FACTOR * odds(low):
        told = "So nothing here speaks against fit deciding whose the tail is."
    elif high - low > np.hypot(error, slack):
        told = "So fit alone does not decide whose the tail is."
    else:
        told = "Their uncertainty over probes leaves open whether fit alone decides."
    return (
        f"Of the cells of different columns whose losses agree within a factor {SAME_LOSS:g} the "
        f"two that differ most are {one.per_class} images a class after "
        f"{counted(one.epoch, 'epoch')} and {other.per_class} after "
        f"{counted(other.epoch, 'epoch')}: with losses of {loss:.2g} and {near:.2g}, $G$'s shares "
        f"are {' and '.join(shares)}. {told}"
    )


def _share_and_half(record: Record, tail: float) -> tuple[float, float]:
    """G's share of the tail, and half of its interval over probes; NaN for one probe."""
    share, error = tail_share(record["nodes"], record["g_parts"], record["weights"], tail)
    return share, float(student_factor(len(record["nodes"])) * error)


def findings(grid: Grid, records: Mapping[Cell, Record | None], tail: float) -> list[str]:
    """In this run: both corners of the grid, and both trends."""
    first, last, epochs, sizes = verdict_upper_tail(grid, records, tail)
    return [
        finding(
            "At the fewest epochs and the smallest sample $G$'s share of the tail is "
            f"{first.value}, at the most epochs and the largest sample {last.value}.",
            first,
            last,
        ),
        finding(
            f"Along the epochs {epochs.value}; along the sample size {sizes.value}.", epochs, sizes
        ),
    ]
