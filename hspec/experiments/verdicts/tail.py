"""P18-4: whose the bulk's upper tail is, over the grid of epochs and sample sizes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.quantities import tail_share
from hspec.experiments.records import Record
from hspec.experiments.trends import trend

SIGNIFICANT = 0.05  # of a permutation test
SURE = 2.0  # standard errors
AXES = {"epochs": 1, "sample size": 2}  # of the tables that Grid.table makes


def verdict_upper_tail(grid: Grid, records: Mapping[Cell, Record | None], tail: float) -> list[Verdict]:
    """The two ends of the grid against one half, and the trends along its axes."""
    return [
        corner_verdict(grid, records, tail, "fewest epochs, smallest sample", 0, above=True),
        corner_verdict(grid, records, tail, "most epochs, largest sample", -1, above=False),
        *trend_verdicts(
            "P18-4",
            "G's share of the upper tail",
            grid.table(records, lambda r: tail_share(r["nodes"], r["g_parts"], r["weights"], tail)[0]),
            {"epochs": -1, "sample size": -1},
        ),
    ]


def corner_verdict(grid: Grid, records, tail: float, where: str, end: int, *, above: bool) -> Verdict:
    """One corner: the mean share over repeats; its standard error from repeats where there are several, else probes."""
    cells = [Cell(repeat, grid.per_class[end], grid.epochs[end]) for repeat in grid.repeats]
    found = [records[cell] for cell in cells if records[cell] is not None]
    quantity = f"G's share of the upper {tail:g} of the bulk: {where}"
    criterion = "more than one half" if above else "less than one half"
    if not found:
        return Verdict("P18-4", quantity, "not measured", criterion, outcome(False, decided=False))
    shares = np.array([tail_share(r["nodes"], r["g_parts"], r["weights"], tail) for r in found])
    share, error = shares[:, 0].mean(), shares[0, 1]
    if len(found) > 1:
        error = shares[:, 0].std(ddof=1) / np.sqrt(len(found))
    decided = bool(abs(share - 0.5) > SURE * error)
    return Verdict(
        "P18-4",
        quantity,
        f"{share:.2f} ± {error:.2f}",
        criterion,
        outcome((share > 0.5) == above, decided=decided),
    )


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
        return Verdict(claim, text, "too few cells", criterion, outcome(False, decided=False))
    return Verdict(
        claim,
        text,
        f"τ = {found.tau:+.2f}, p = {found.p:.2g} ({found.comparisons} comparisons)",
        criterion,
        outcome(found.tau * sign > 0, decided=found.p <= SIGNIFICANT),
    )
