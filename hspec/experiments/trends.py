"""Does a quantity rise or fall along an axis of a grid? Rank correlation within lines,
tested by permutation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hspec.experiments.claims import SIGNIFICANT, Verdict, outcome
from hspec.words import counted

PERMUTATIONS = 9999
MOST = 100_000  # exchanges that are looked at one by one


@dataclass(frozen=True)
class Trend:
    """tau in [−1, 1]: +1 where the quantity rises at every comparison; p:
    two-sided permutation p-value.
    """

    tau: float
    p: float
    comparisons: int


def trend(table: np.ndarray, axis: int, *, seed: int = 0) -> Trend:
    """The trend of a table along one axis, all other coordinates held fixed.

    table  any shape; NaN marks what is missing and takes part in no comparison

    tau is Kendall's: (rises − falls) / (rises + falls) over all pairs of cells on the same line. If
    the axis did not matter, the values of a line could be exchanged among themselves: p is the
    share of such exchanges with |τ| at least as large, of all of them where they are at most
    100,000; else of a random 9,999 and the one observed.

    Raises ValueError where no line has two cells.
    """
    lines = np.moveaxis(np.asarray(table, dtype=np.float64), axis, -1)
    lines = [line[np.isfinite(line)] for line in lines.reshape(-1, lines.shape[-1])]
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        raise ValueError("a trend needs a line with at least two cells")
    observed = sum(concordance(line[None]) for line in lines).item()
    if math.prod(math.factorial(len(line)) for line in lines) <= MOST:
        permuted = _of_all_exchanges(lines)
    else:
        rng = np.random.default_rng(seed)
        drawn = sum(concordance(permutations(line, rng)) for line in lines)
        permuted = np.append(drawn, observed)
    comparisons = sum(len(line) * (len(line) - 1) // 2 for line in lines)
    p = (np.abs(permuted) >= abs(observed)).mean()
    return Trend(float(observed) / comparisons, float(p), comparisons)


def _of_all_exchanges(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Rises less falls under every exchange within the lines."""
    found = np.zeros(1)
    for line in lines:
        orders = np.array(list(itertools.permutations(line)))
        found = np.add.outer(found, concordance(orders)).ravel()
    return found


def concordance(rows: np.ndarray) -> np.ndarray:
    """Pairs (i < j) of each row that rise, less those that fall: (k, n) -> (k,)."""
    i, j = np.triu_indices(rows.shape[1], 1)
    return np.sign(rows[:, j] - rows[:, i]).sum(1)


def permutations(line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permuted(np.broadcast_to(line, (PERMUTATIONS, len(line))), axis=1)


OVER = ("permutation",)
AXES = {"epochs": 1, "sample size": 2}  # of the tables that Grid.table makes


def trend_verdicts(
    claim: str, quantity: str, table: np.ndarray, expected: Mapping[str, int]
) -> list[Verdict]:
    """The sign of a quantity's trend along axes of a grid, against the expected sign.

    table     (repeats, epochs, sample sizes), NaN where missing
    expected  +1 or −1 by the name of an axis
    """
    return [one_trend(claim, quantity, table, name, sign) for name, sign in expected.items()]


def one_trend(claim: str, quantity: str, table: np.ndarray, name: str, sign: int) -> Verdict:
    text = f"{quantity}: trend with {name} (Kendall's τ within lines of the grid)"
    criterion = f"τ {'>' if sign > 0 else '<'} 0, p ≤ {SIGNIFICANT:g}"
    try:
        found = trend(table, AXES[name])
    except ValueError:
        return Verdict(claim, text, "too few cells", OVER, criterion, outcome(False, decided=False))
    return Verdict(
        claim,
        text,
        f"τ = {found.tau:+.2f}, p = {found.p:.2g}; {counted(found.comparisons, 'comparison')}",
        OVER,
        criterion,
        outcome(found.tau * sign > 0, decided=found.p <= SIGNIFICANT),
        f"p = {found.p:.2g}",
    )
