"""Does a quantity rise or fall along an axis of a grid? Rank correlation within lines, tested by permutation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PERMUTATIONS = 9999


@dataclass(frozen=True)
class Trend:
    """tau in [−1, 1]: +1 where the quantity rises at every comparison; p: two-sided permutation p-value."""

    tau: float
    p: float
    comparisons: int


def trend(table: np.ndarray, axis: int, *, seed: int = 0) -> Trend:
    """The trend of a table along one axis, all other coordinates held fixed.

    table  any shape; NaN marks what is missing and takes part in no comparison

    tau is Kendall's: (rises − falls) / (rises + falls) over all pairs of cells on the same line. If the axis did not
    matter, the values of a line could be exchanged among themselves: p is the share of such permutations (a random
    9,999 and the one observed) with |τ| at least as large.

    Raises ValueError where no line has two cells.
    """
    lines = np.moveaxis(np.asarray(table, dtype=np.float64), axis, -1)
    lines = [line[np.isfinite(line)] for line in lines.reshape(-1, lines.shape[-1])]
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        raise ValueError("a trend needs a line with at least two cells")
    rng = np.random.default_rng(seed)
    observed = sum(concordance(line[None]) for line in lines).item()
    permuted = sum(concordance(permutations(line, rng)) for line in lines)
    comparisons = sum(len(line) * (len(line) - 1) // 2 for line in lines)
    p = (1 + (np.abs(permuted) >= abs(observed)).sum()) / (1 + PERMUTATIONS)
    return Trend(float(observed) / comparisons, float(p), comparisons)


def concordance(rows: np.ndarray) -> np.ndarray:
    """Pairs (i < j) of each row that rise, less those that fall: (k, n) -> (k,)."""
    i, j = np.triu_indices(rows.shape[1], 1)
    return np.sign(rows[:, j] - rows[:, i]).sum(1)


def permutations(line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permuted(np.broadcast_to(line, (PERMUTATIONS, len(line))), axis=1)
