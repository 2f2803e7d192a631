"""How far a number may be off: one notation for each kind of uncertainty, and its name beside it.

A row of a verdict table names every kind that its number has (:data:`KINDS`), and the number is
written in the notation of the one that is widest. What can be said of a number of one training,
seeds are not in it, and the row says "1 seed".
"""

from __future__ import annotations

import math
import re

from numpy.typing import ArrayLike

from hspec.statistics import mean_and_interval
from hspec.words import counted

# kind: how it is written, and what that means
KINDS = {
    "residual": ("x ± b", "a bound: the eigenvalue lies within the residual b"),
    "ritz": ("x", "a Ritz value at the end of the spectrum: the eigenvalue is not smaller"),
    "quadrature": ("x ⟨a … b⟩", "rigorous bounds of a quadrature"),
    "probe": ("x (a … b)", "95 % over random probes, by Student's t"),
    "seed": ("x [a … b]", "95 % over trainings, by Student's t; of one training, not known"),
    "sample": ("x {a … b}", "95 % over what was counted or averaged in one net"),
    "permutation": ("p", "a permutation test"),
    "timing": ("x", "one timing on one machine"),
    "exact": ("x", "nothing is drawn or iterated: exact, for this net and these images"),
}
MOST_DIGITS = 6  # of the ends of an interval, which are seldom known to more
BRACKETS = {"quadrature": "⟨⟩", "probe": "()", "seed": "[]", "sample": "{}"}


def marked(kind: str, value: float, low: float, high: float, how: str = ".2f") -> str:
    """A number with the ends of its interval, in the brackets of the kind; alone where the ends are
    not known, as those of a single probe are not, which coincide.

    Args:
        how: Format of all three, ending as ".2f" does; digits are added until the ends differ.

    Example:
        >>> marked("seed", 0.62, 0.51, 0.73)
        '0.62 [0.51 … 0.73]'
        >>> marked("probe", 0.1718, 0.1712, 0.1724)
        '0.172 (0.171 … 0.172)'
    """
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return f"{value:{how}}"
    while f"{low:{how}}" == f"{high:{how}}" and (digits := int(how[-2])) < MOST_DIGITS:
        how = f"{how[:-2]}{digits + 1}{how[-1]}"
    opening, closing = BRACKETS[kind]
    return f"{value:{how}} {opening}{low:{how}} … {high:{how}}{closing}"


def averaged(kind: str, values: ArrayLike, how: str = ".2f") -> str:
    """The mean of repetitions with its 95 % interval, by Student's t.

    Example:
        >>> averaged("probe", [1.0, 2.0, 3.0, 4.0])
        '2.50 (0.45 … 4.55)'
    """
    mean, half = mean_and_interval(values)
    return marked(kind, float(mean), float(mean - half), float(mean + half), how)


def bounded(value: float, bound: float, how: str = ".3f") -> str:
    """An eigenvalue, or what is made of some, and how far the residuals allow it to be off.

    Example:
        >>> bounded(0.25, 1e-5)
        '0.250 ± 1e-05'
    """
    return f"{value:{how}} ± {bound:.0e}" if math.isfinite(bound) else f"{value:{how}}"


ONE_NET = counted(1, "seed")  # of a single training: what another would give is not known
NAMED = re.compile(r"(?:\d+ )?(seed|probe)s?|sample of [\d,]+ .+|\w+")


def kind_of(name: str) -> str:
    """The kind that a name is of: of "5 seeds", "seed".

    Raises:
        ValueError: it is of none of :data:`KINDS`.
    """
    found = NAMED.fullmatch(name)
    kind = found and (found[1] or name.split()[0])
    if kind not in KINDS:
        raise ValueError(
            f"uncertain over {name!r}: no kind of uncertainty: known are {', '.join(KINDS)}"
        )
    return kind
