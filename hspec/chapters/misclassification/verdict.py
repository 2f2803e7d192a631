"""P20-3: whether the ratio of outliers to bulk predicts misclassification."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import spearmanr

from hspec.experiments.claims import Verdict, finding, judge, outcome, typeset
from hspec.experiments.records import Record
from hspec.experiments.trends import Trend, trend
from hspec.experiments.uncertainty import marked
from hspec.words import counted

ROUNDING = 1e-12  # relative to the largest eigenvalue, of a theorem held against a dense solve
CHANCE = 0.05  # of an order of all pairs: with a larger one nothing is decided
STRONG = 0.9  # of a rank correlation with the opposite sign
CASES = {
    "theorem": "theorem 8.1, at the true posterior's α",
    "posterior": "the true posterior",
    "fits": "trained fits",
}


class Correlation(NamedTuple):
    """Spearman's ρ of n pairs, and the ends of its 95 % interval; NaN for three pairs and fewer,
    and where ρ is one in size, of which the interval knows nothing.
    """

    rho: float
    low: float
    high: float
    n: int

    @property
    def same_order(self) -> bool:
        """Whether the pairs are in the same order, or in the opposite one."""
        return abs(self.rho) > 1 - ROUNDING

    @property
    def p(self) -> float:
        """1/n!, the chance of one given order of n pairs that are independent."""
        return 1 / math.factorial(self.n)


def verdict_misclassification(record: Record) -> list[Verdict]:
    """The theorem against a dense solve, and one rank correlation a case."""
    off = theorem_error(record)
    rows = [
        (
            "theorem 8.1 in closed form against the dense eigenvalues of lemma 8.1's matrix, "
            "largest difference over λ_1",
            f"{off:.0e}",
            ("exact",),
            f"≤ {ROUNDING:.0e}, rounding",
            *judge(off, ROUNDING, ours=False),
        )
    ]
    for case, name in CASES.items():
        found = rank_correlation(ratios(record, case).ravel(), errors(record, case).ravel())
        rows.append(
            (
                f"{name}: Spearman correlation of the ratio of outliers to bulk with the error",
                *_told(found),
                f"≤ −{STRONG:g}, a threshold of ours",
                *_judged(found),
            )
        )
    return [Verdict("P20-3", *row) for row in rows]


def _told(found: Correlation) -> tuple[str, tuple[str, ...]]:
    """ρ with its interval, or with the chance of one and the same order; and what that is over."""
    if found.same_order:
        return f"{found.rho:+.3f}, p = {found.p:.2g}", ("permutation",)
    value = marked("sample", found.rho, found.low, found.high, "+.3f")
    return value, (f"sample of {counted(found.n, 'pair')}",)


def _judged(found: Correlation) -> tuple[str, str]:
    if found.same_order:
        margin = f"p = {found.p:.2g}: {counted(found.n, 'pair')} in one order"
        return outcome(found.rho < 0, decided=found.p <= CHANCE), margin
    ends = (-found.high, -found.low)
    return judge(-found.rho, STRONG, above=True, interval=ends, share=True)


def theorem_error(record: Record) -> float:
    """Largest difference of closed form and dense solve,
    over the largest eigenvalue of each t."""
    return float((np.abs(record["theorem"] - record["dense"]) / record["dense"][:, :1]).max())


def ratios(record: Record, case: str, part: int = 0) -> np.ndarray:
    """Mean of the outliers (part 1: of the mini-bulk) over the bulk's: (T,),
    or (T, R) of fits."""
    groups = record[f"groups_{case}"]
    return groups[..., part] / groups[..., 2]


def errors(record: Record, case: str) -> np.ndarray:
    """The misclassification that goes with each ratio: the best possible, or of each fit."""
    return record["fit_error"] if case == "fits" else record["error"]


def rank_correlation(x: np.ndarray, y: np.ndarray) -> Correlation:
    """Spearman's ρ with the interval tanh(artanh ρ ± 1.96 √((1 + ρ²/2)/(n − 3))).

    Source: Bonett and Wright 2000.
    """
    n, rho = len(x), float(spearmanr(x, y).statistic)
    if n <= 3 or not abs(rho) <= 1 - ROUNDING:
        return Correlation(rho, float("nan"), float("nan"), n)
    half = ndtri(0.975) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    return Correlation(rho, *np.tanh(np.arctanh(rho) + np.array([-half, half])).tolist(), n)


def within_signals(record: Record) -> Trend | None:
    """Does the ratio order the fits of one and the same t by error? None where each t has one fit.

    τ over all pairs of fits of the same t, +1 where the larger ratio always has the larger error.
    """
    found, missed = ratios(record, "fits"), record["fit_error"]
    if found.shape[1] < 2:
        return None
    return trend(np.take_along_axis(missed, found.argsort(axis=1), axis=1), 1)


def findings(record: Record) -> list[str]:
    """In this run: the theorem, the rank correlations, and what becomes of them within one t."""
    rows = verdict_misclassification(record)
    found = {
        case: rank_correlation(ratios(record, case).ravel(), errors(record, case).ravel()).rho
        for case in CASES
    }
    spread = ratios(record, "fits").mean(1) / ratios(record, "theorem")
    told = [
        finding(
            "Closed form and dense eigenvalues differ by "
            f"{typeset(theorem_error(record), 0)} of the largest.",
            rows[0],
        ),
        finding(
            f"Ratio and error have the rank correlation {found['theorem']:+.3f} in the theorem, "
            f"{found['posterior']:+.3f} for the true posterior, {found['fits']:+.3f} over trained "
            "fits.",
            *rows[1:],
        ),
        f"The fits' ratio is {spread.min():.2f} to {spread.max():.2f} times the theorem's.",
    ]
    if (within := within_signals(record)) is not None:
        told.append(
            "Among fits of one and the same t, Kendall's τ of ratio and error is "
            f"{within.tau:+.2f} "
            f"(p = {within.p:.2g}, {counted(within.comparisons, 'pair')})."
        )
    return told
