"""GKX-2 and GKX-3: the negative eigenvalues of the start, and how soon the spectrum settles."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.film_quantities import (
    CLEARLY,
    count_below,
    depth,
    epoch_changes,
    frame_at,
    with_error,
)
from hspec.experiments.training_spectrum import Frame
from hspec.statistics import mean_and_error

PAPER_STEP = 515  # GKX19's frame at which the large negative eigenvalues are gone
LARGE = 0.1  # of λ_max: a negative eigenvalue larger than this is large
SETTLED = 1 / 3  # of the change during the first epoch


def verdict_negative_start(film: list[Frame], later: int) -> list[Verdict]:
    """GKX-2, from the first frame and the first frame at or after the step ``later``."""
    start, after = film[0], frame_at(film, later)
    (deep, slack), (shallow, rest) = depth(start), depth(after)
    counts = [count_below(r.hess, -LARGE * float(r.top[0])) for r in (start, after)]
    return [
        Verdict(
            "GKX-2",
            f"|λ_min|/λ_max at step {start.step}, then at step {after.step}",
            f"{deep:.3f} ± {slack:.0e}, then {shallow:.3f} ± {rest:.0e}",
            f"at least {LARGE:g}, then less",
            outcome(deep - slack >= LARGE > shallow + rest, decided=max(slack, rest) < LARGE),
        ),
        Verdict(
            "GKX-2",
            f"number of eigenvalues below −{LARGE:g} λ_max at the same steps",
            f"{with_error(*counts[0], digits=1)}, then {with_error(*counts[1], digits=1)}",
            "at least one, then less than one",
            outcome(counts[0][0] >= 1 > counts[1][0]),
        ),
    ]


def verdict_settling(film: list[Frame], epoch: int) -> list[Verdict]:
    """GKX-3, from frames one epoch (of so many steps) apart, the first of them at step 0."""
    changes = epoch_changes(film, epoch)
    first, later = changes[0], changes[1:]
    value, sem = mean_and_error([mean for mean, _ in later])
    return [
        Verdict(
            "GKX-3",
            f"Wasserstein-1 distance of the spectra one epoch apart, normalised: mean of the {len(later)} epochs after "
            "the first",
            f"{with_error(value, sem)}; first epoch {with_error(*first)}",
            f"at most {SETTLED:.2f} of the first epoch's",
            outcome(
                value <= SETTLED * first[0],
                decided=abs(value - SETTLED * first[0]) > CLEARLY * np.hypot(sem, SETTLED * first[1]),
            ),
        )
    ]
