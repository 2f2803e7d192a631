"""P18-3: whether H's spectrum follows a power law or a semicircle, and whether the fit can tell them apart."""

from __future__ import annotations

import numpy as np
import scipy.stats

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.fits import LAWS, Fit, branch, fit
from hspec.experiments.measures.spectra import stored_measure
from hspec.experiments.store import Record

FOLLOWS = 0.1  # Kolmogorov-Smirnov distance up to which a law is said to describe the branch
SIGNS = {"positive": 1, "negative": -1}


def branch_fits(record: Record) -> dict[str, dict[str, Fit]]:
    """{"positive" and "negative": {law: its fit}}."""
    measure = stored_measure(record, "h_")
    branches = {name: branch(measure, sign) for name, sign in SIGNS.items()}
    return {name: {law: fit(law, of) for law in LAWS} for name, of in branches.items()}


def verdict_power_law(record: Record, controls: list[Record]) -> list[Verdict]:
    """Which law is nearer to each branch of H, how near; and the same question asked of the matrices of known law."""
    return [*map(_control, controls), *(_branch(name, fits) for name, fits in branch_fits(record).items())]


def _control(record: Record) -> Verdict:
    law = record.meta["options"]["law"]
    both = branch_fits(record).values()
    right = [nearest(fits) == law for fits in both]
    distances = "; ".join(_distances(fits) for fits in both)
    return Verdict(
        "P18-3",
        f"control, a matrix of known {law}: Kolmogorov-Smirnov distances, positive branch; negative branch",
        distances,
        f"the {law} is nearer on both branches",
        outcome(all(right)),
    )


def _branch(name: str, fits: dict[str, Fit]) -> Verdict:
    power, circle = fits["power law"], fits["semicircle"]
    slope, half = interval(power.parameters)
    agreed = np.unique(power.distances < circle.distances).size == 1  # every probe says the same
    near = power.distance <= FOLLOWS
    exponent = f"a = {power.parameter:.2f}" + (
        f", 95 % {slope - half:.2f} … {slope + half:.2f}" if half else ""
    )
    return Verdict(
        "P18-3",
        f"H, {name} branch: Kolmogorov-Smirnov distances; exponent of the power law",
        f"{_distances(fits)}; {exponent}",
        f"the power law is nearer, at most {FOLLOWS:g} away",
        outcome(nearest(fits) == "power law" and near, decided=bool(agreed)),
    )


def nearest(fits: dict[str, Fit]) -> str:
    """The law of least distance."""
    return min(fits, key=lambda law: fits[law].distance)


def _distances(fits: dict[str, Fit]) -> str:
    return ", ".join(f"{law} {one.distance:.3f}" for law, one in fits.items())


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Mean over probes and the half-width of its Student-t interval; None as half-width for a single probe."""
    if len(values) < 2:
        return float(values[0]), 0.0
    t = scipy.stats.t.ppf(0.5 + level / 2, len(values) - 1)
    return float(np.mean(values)), float(t * np.std(values, ddof=1) / np.sqrt(len(values)))
