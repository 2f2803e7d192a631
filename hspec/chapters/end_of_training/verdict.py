"""GKX-5: whether the spectrum at the end of training is almost non-negative."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.film_quantities import CLEARLY, depth, moment, negative_share, seeds, with_error
from hspec.experiments.training_spectrum import Frame
from hspec.statistics import mean_and_error

LITTLE = 0.1  # of the curvature
ALMOST_NONE = 0.01  # of λ_max: below this a spectrum is almost non-negative; the paper's net has about 0.0006


def verdict_end(records: list[Frame]) -> list[Verdict]:
    """GKX-5, from the last frame of each seed."""
    depths, slacks = zip(*(depth(r) for r in records), strict=True)
    value, sem = mean_and_error(depths)
    error = max(float(np.nan_to_num(sem)), *slacks)
    shares = mean_and_error([negative_share(r.hess)[0] for r in records])
    when, runs = moment(records[0]), seeds(records)
    return [
        Verdict(
            "GKX-5",
            f"|λ_min|/λ_max, {when}, {runs}; largest |λ_min| {max(0.0, *(-r.bottom for r in records)):.2g}",
            f"{value:.4f} ± {error:.0e}",
            f"at most {ALMOST_NONE:g}",
            outcome(value <= ALMOST_NONE, decided=abs(value - ALMOST_NONE) > CLEARLY * error),
        ),
        Verdict(
            "GKX-5",
            f"share of the curvature that is negative, {when}, {runs}",
            with_error(*shares),
            f"at most {LITTLE:g}",
            outcome(
                shares[0] <= LITTLE, decided=abs(shares[0] - LITTLE) > CLEARLY * np.nan_to_num(shares[1])
            ),
        ),
    ]
