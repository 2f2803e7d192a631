"""The papers' claims, and the form in which a chapter says what became of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from operator import itemgetter

from hspec.experiments.uncertainty import kind_of

CLAIMS = {
    "GKX-1": "A degree-90 quadrature reproduces the exact spectral density.",
    "GKX-2": "At initialisation the Hessian has large negative eigenvalues, gone within a few "
    "hundred steps.",
    "GKX-3": "After the first epoch the spectrum stabilises.",
    "GKX-4": "A ten-fold drop of the learning rate lowers the top eigenvalue.",
    "GKX-5": "At the end of training the spectrum is almost non-negative.",
    "GKX-6": "Removing batch normalisation brings outliers; with it they are absent.",
    "GKX-7": "With population statistics, batch normalisation neither removes outliers nor speeds "
    "training.",
    "P18-1": "The spectrum is a bulk plus about C outliers, on training and on test data.",
    "P18-2": "The outliers belong to G, the bulk to H; H has no outliers.",
    "P18-3": "log H follows a power law, not a semicircle.",
    "P18-4": "The bulk's upper tail belongs to G at small samples and few epochs, to H at large.",
    "P18-5": "G's outliers come from A1, the unsubtracted class means.",
    "P18-6": "The g_c and g_{c,c'} form a three-level hierarchy.",
    "P18-7": "G's spectrum shows two bulks, B1's and B2's.",
    "P18-8": "More epochs separate B1 from B2, more samples draw them closer; both separate A1 "
    "from B2.",
    "P19-1": "Averaging approximates the principal subspace, without eigenanalysis.",
    "P19-2": "G is a second moment, not a covariance.",
    "P19-3": "The means cluster first by the logit, later in training by the class.",
    "P20-1": "Class and cross-class structure pervades features, errors, layerwise G and weights.",
    "P20-2": "With depth, class information separates from variability and becomes orthogonal.",
    "P20-3": "The ratio of outliers to bulk in the Fisher spectrum predicts misclassification.",
    "P20-4": "KFAC misses the class structure; CFAC restores it.",
}

OUTCOMES = ("holds", "fails", "inconclusive at this scale")


@dataclass(frozen=True)
class Verdict:
    """What one run says of one claim.

    Attributes:
        claim: Id of :data:`CLAIMS`.
        quantity: What was measured, in words.
        value: The number with its uncertainty and unit, as text.
        over: What that uncertainty is over, each of :data:`~hspec.experiments.uncertainty.KINDS`:
            "5 seeds", "residual".
        criterion: What the number must be for the claim to hold.
        outcome: One of :data:`OUTCOMES`.
        margin: How far from its threshold the number is, or what keeps it from deciding.
        judges: Whether the claim is judged by it; a control, or what this package promises beyond
            the claim, stands beside it.
    """

    claim: str
    quantity: str
    value: str
    over: tuple[str, ...]
    criterion: str
    outcome: str
    margin: str = ""
    judges: bool = True

    def __post_init__(self):
        if self.claim not in CLAIMS:
            raise ValueError(f"unknown claim {self.claim!r}: known are {', '.join(CLAIMS)}")
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {OUTCOMES}, got {self.outcome!r}")
        if not self.kinds:
            raise ValueError(f"{self.quantity}: name what the number is uncertain over")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of `KINDS` of uncertainty that the number has."""
        return tuple(map(kind_of, self.over))


SIDES = {"holds": "For the claim", "fails": "Against the claim"}
MARKS = dict(zip(OUTCOMES, ("✓", "✗", "?"), strict=True))


def finding(sentence: str, *verdicts: Verdict) -> str:
    """A bullet of "In this run": what became of the claim, by how much, and the numbers that say
    so.

    Args:
        sentence: What was measured, with its numbers and no judgement: that is the verdicts'.
        verdicts: The rows of one claim that it is about; none where no claim is.

    Example:
        >>> row = Verdict("P18-1", "it", "0.3", ("exact",), "≤ 0.1", "fails", "by 3")
        >>> finding("It is 0.3.", row)
        '✗ **P18-1.** It is 0.3. *Against the claim, by 3.*'
        >>> other = Verdict("P18-1", "another", "0.1", ("exact",), "≤ 0.2", "holds", "by 2")
        >>> finding("They are 0.3 and 0.1.", row, other)
        '✗ **P18-1.** They are 0.3 and 0.1. *Against the claim, by 3; 1 of 2 numbers is for it.*'
    """
    if not verdicts:
        return sentence
    what, margin = both(*((verdict.outcome, verdict.margin) for verdict in verdicts))
    words = ": ".join(filter(None, ["Undecided", margin])) if what == OUTCOMES[2] else SIDES[what]
    because = f", {margin}" if margin and what != OUTCOMES[2] else ""
    hold = sum(verdict.outcome == OUTCOMES[0] for verdict in verdicts)
    if 0 < hold < len(verdicts):
        numbers = f"{hold} of {len(verdicts)} numbers {'is' if hold == 1 else 'are'} for it"
        because += f"; {numbers}"
    return f"{MARKS[what]} **{verdicts[0].claim}.** {sentence} *{words}{because}.*"


def typeset(number: float, digits: int = 1) -> str:
    """A number as mathematics, with so many digits behind the point of its power.

    Example:
        >>> typeset(5.8e-05), typeset(0.25), typeset(1170, 2)
        ('$5.8 \\\\cdot 10^{-5}$', '$0.25$', '$1170$')
    """
    if number == 0 or 1e-3 <= abs(number) < 1e4:
        return f"${float(f'{number:.{digits}e}'):g}$"
    power, _, exponent = f"{number:.{digits}e}".partition("e")
    return f"${power} \\cdot 10^{{{int(exponent)}}}$"


FACTOR = 1.5  # a number nearer than this to a threshold of ours decides nothing
TOO_NEAR = f"within a factor {FACTOR:g} of the threshold, which is ours"
SIGNIFICANT = 0.05  # the p-value from which on most tests decide nothing


def judge(
    value: float,
    threshold: float,
    *,
    above: bool = False,
    interval: tuple[float, float] | None = None,
    ours: bool = True,
    share: bool = False,
) -> tuple[str, str]:
    """Outcome and margin of "value is at most (``above``: at least) threshold"; both are positive
    numbers.

    It is undecided where the interval holds the threshold or where its ends are not known, and, for
    a threshold that is ours and not the claim's, where the value is within a factor :data:`FACTOR`
    of it.

    Args:
        interval: 95 % uncertainty of the value; None where it is exact.
        ours: Whether the threshold is a choice of this book.
        share: Whether both are shares of one, whose factor is that of their odds x/(1 − x).

    Example:
        >>> judge(0.3, 0.1)
        ('fails', 'by a factor 3')
        >>> judge(0.09, 0.1)
        ('inconclusive at this scale', 'within a factor 1.5 of the threshold, which is ours')
        >>> judge(0.3, 0.1, interval=(0.05, 0.5))
        ('inconclusive at this scale', 'the threshold is within the uncertainty')
        >>> judge(0.3, 0.1, interval=(math.nan, math.nan))  # of one probe, one seed
        ('inconclusive at this scale', 'its uncertainty is not known')
        >>> judge(0.153, 0.1)  # not to be taken for the 1.5 that would decide nothing
        ('fails', 'by a factor 1.53')
    """
    low, high = interval or (value, value)
    if not all(map(math.isfinite, (value, low, high))):
        unknown = "its uncertainty" if math.isfinite(value) else "the number"
        return OUTCOMES[2], f"{unknown} is not known"
    if low <= threshold <= high and interval and low < high:
        return OUTCOMES[2], "the threshold is within the uncertainty"
    times = odds(value) / odds(threshold) if share else value / threshold
    times = max(times, 1 / times) if times > 0 else math.inf
    if ours and times < FACTOR:
        return OUTCOMES[2], TOO_NEAR
    margin = "by more than a factor 1000"
    if times < 1000:
        digits = ".0f" if times >= 10 else ".2g" if times >= 2 else ".3g"
        margin = f"by a factor {times:{digits}}"
    return outcome(value >= threshold if above else value <= threshold), margin + " in odds" * share


def judge_left(left: float, floor: float, limit: float = 1.0) -> tuple[str, str]:
    """Outcome and margin of "what is left after a removal is at most the limit", which is ours,
    where no removal along so many directions leaves less than the floor.

    Where the floor itself is too near to the limit the claim cannot hold, however well the removal
    works, and that is said.

    Example:
        >>> judge_left(0.5, 0.4), judge_left(1.7, 0.9)
        (('holds', 'by a factor 2'), ('fails', 'by a factor 1.7'))
        >>> judge_left(0.95, 0.9)[1] == f"the least that could be left, 0.900, is {TOO_NEAR}"
        True
    """
    judged = judge(left, limit)
    if judged[0] != OUTCOMES[2] or floor * FACTOR <= limit:
        return judged
    return OUTCOMES[2], f"the least that could be left, {floor:.3f}, is {TOO_NEAR}"


def odds(share: float) -> float:
    """x/(1 − x), infinite from one on."""
    return share / (1 - share) if share < 1 else math.inf


def both(*judged: tuple[str, str]) -> tuple[str, str]:
    """Outcome and margin of a criterion of several parts: one that fails decides, then one that is
    open. Where all hold, the margin is that of the nearest to its threshold.

    Example:
        >>> both(("holds", "by a factor 30"), ("holds", "by a factor 5.2"))
        ('holds', 'by a factor 5.2')
    """
    for name in (OUTCOMES[1], OUTCOMES[2]):
        if parts := [part for part in judged if part[0] == name]:
            return parts[0]
    return OUTCOMES[0], _weakest([margin for _, margin in judged])


WAYS = re.compile(r"(ahead by|95 % interval) ([\d.]+)")  # of telling a margin, besides factors


def _weakest(margins: list[str]) -> str:
    """Of margins that are told in one way the smallest; of several ways the smallest of each, since
    they cannot be compared.

    Example:
        >>> _weakest(["ahead by 0.26, more than the uncertainty", "by a factor 89", "exact"])
        'ahead by 0.26, more than the uncertainty; by a factor 89'
    """
    found: dict[str, list[tuple[float, str]]] = {}
    for margin in margins:
        told = WAYS.match(margin)
        size = (float(told[2]) if told else factor_of(margin), margin)
        found.setdefault(told[1] if told else "", []).append(size)
    return "; ".join(filter(None, (min(sizes, key=itemgetter(0))[1] for sizes in found.values())))


def factor_of(margin: str) -> float:
    """By which something is decided, of a p-value below 0.05; infinite where its margin is
    something else.

    Example:
        >>> factor_of("by a factor 2.9 in odds"), factor_of("exact")
        (2.9, inf)
        >>> factor_of("p = 0.01"), factor_of("by more than a factor 1000")
        (5.0, 1000.0)
    """
    if found := re.match(r"by (?:more than )?a factor ([\d.]+)", margin):
        return float(found[1])
    p = re.match(r"p = ([\d.e-]*\d)", margin)
    return SIGNIFICANT / float(p[1]) if p and float(p[1]) else math.inf


def outcome(holds: bool, *, decided: bool = True) -> str:
    """ "holds" or "fails", or the third where the run cannot decide."""
    return OUTCOMES[2] if not decided else OUTCOMES[0] if holds else OUTCOMES[1]
