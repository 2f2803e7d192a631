"""GKX-2 to GKX-7: what films of the spectrum over training say of the claims."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.film_quantities import (
    ROUNDING,
    count_below,
    mean_and_sem,
    negative_share,
    rank_ratio,
    spectral_change,
)
from hspec.experiments.measures.spectra import stored_measure
from hspec.experiments.records import Record

PAPER_STEP = 515  # GKX19's frame at which the large negative eigenvalues are gone
LARGE = 0.1  # of λ_max: a negative eigenvalue larger than this is large
ALMOST_NONE = 0.01  # of λ_max: below this a spectrum is almost non-negative; the paper's net has about 0.0006
SETTLED = 1 / 3  # of the change during the first epoch
CLEARLY = 2.0  # standard errors
TWICE = 2.0  # the least factor by which outliers must differ between two nets
UNDEFINED = "none: the denominator is negative, or zero to rounding"
FASTER = 0.8  # a loss below this share of another is clearly lower


def depth(record: Record) -> tuple[float, float]:
    """|λ_min|/λ_max, 0 where there is no negative eigenvalue, and its uncertainty by residual and rounding."""
    largest, smallest = float(record["top"][0]), float(record["bottom"][0])
    rounding = ROUNDING * max(largest, -smallest)
    return max(0.0, -smallest / largest), max(float(record["bottom_residuals"][0]), rounding) / largest


def verdict_negative_start(film: list[Record], later: int) -> list[Verdict]:
    """GKX-2, from the first frame and the first frame at or after the step ``later``."""
    start, after = film[0], frame_at(film, later)
    (deep, slack), (shallow, rest) = depth(start), depth(after)
    counts = [count_below(stored_measure(r, "hess_"), -LARGE * float(r["top"][0])) for r in (start, after)]
    return [
        Verdict(
            "GKX-2",
            f"|λ_min|/λ_max at step {int(start['step'])}, then at step {int(after['step'])}",
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


def verdict_settling(film: list[Record], epoch: int) -> list[Verdict]:
    """GKX-3, from frames one epoch (of so many steps) apart, the first of them at step 0."""
    changes = epoch_changes(film, epoch)
    first, later = changes[0], changes[1:]
    value, sem = mean_and_sem([mean for mean, _ in later])
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


def epoch_changes(film: list[Record], epoch: int) -> list[tuple[float, float]]:
    """:func:`spectral_change` from each multiple of ``epoch`` to the next, as far as the film has both."""
    frames = {int(r["step"]): stored_measure(r, "hess_") for r in film}
    steps = [k * epoch for k in range(max(frames) // epoch + 1)]
    missing = [s for s in steps if s not in frames]
    if missing or len(steps) < 3:
        raise ValueError(f"change per epoch needs frames every {epoch} steps, three at least: no {missing}")
    return [spectral_change(frames[a], frames[b]) for a, b in pairwise(steps)]


def verdict_drop(before: list[Record], after: list[Record], control: list[Record]) -> list[Verdict]:
    """GKX-4, one record of each kind per seed; ``control`` was trained on without the drop."""
    fall = np.log([a["top"][0] / b["top"][0] for a, b in zip(after, before, strict=True)])
    against = np.log([a["top"][0] / c["top"][0] for a, c in zip(after, control, strict=True)])
    steps = f"step {int(after[0]['step'])}"
    return [
        Verdict("GKX-4", f"λ_1 at {steps} over λ_1 just before the drop, {seeds(fall)}", *below_one(fall)),
        Verdict(
            "GKX-4",
            f"λ_1 at {steps} over λ_1 there without the drop, {seeds(against)}",
            *below_one(against),
        ),
    ]


def below_one(logarithms: np.ndarray) -> tuple[str, str, str]:
    """Value, criterion and outcome of "these ratios are below 1", given their natural logarithms."""
    mean, sem = mean_and_sem(logarithms)
    return (
        ratio_with_error(mean, sem),
        f"below 1 by {CLEARLY:g} standard errors of its logarithm",
        outcome(mean < 0, decided=abs(mean) > CLEARLY * sem),
    )


def verdict_end(records: list[Record]) -> list[Verdict]:
    """GKX-5, from the last frame of each seed."""
    depths, slacks = zip(*(depth(r) for r in records), strict=True)
    value, sem = mean_and_sem(depths)
    error = max(float(np.nan_to_num(sem)), *slacks)
    shares = mean_and_sem([negative_share(stored_measure(r, "hess_"))[0] for r in records])
    step, runs = f"step {int(records[0]['step'])}", seeds(records)
    return [
        Verdict(
            "GKX-5",
            f"|λ_min|/λ_max at {step}, {runs}; "
            f"largest |λ_min| {max(0.0, *(-float(r['bottom'][0]) for r in records)):.2g}",
            f"{value:.4f} ± {error:.0e}",
            f"at most {ALMOST_NONE:g}",
            outcome(value <= ALMOST_NONE, decided=abs(value - ALMOST_NONE) > CLEARLY * error),
        ),
        Verdict(
            "GKX-5",
            f"share of the curvature that is negative at {step}, {runs}",
            with_error(*shares),
            f"at most {LARGE:g}",
            outcome(shares[0] <= LARGE, decided=abs(shares[0] - LARGE) > CLEARLY * np.nan_to_num(shares[1])),
        ),
    ]


def verdict_outliers(with_norm: list[Record], without: list[Record]) -> list[Verdict]:
    """GKX-6, one record of each net per seed."""
    rank = int(without[0]["num_classes"]) + 1
    ratio, text = compared_ratios(without, with_norm, rank)
    present = mean_and_sem([rank_ratio(r["top"], rank) for r in with_norm])
    return [
        Verdict(
            "GKX-6",
            f"λ_1/λ_{rank} without batch norm over the same with it, step {int(without[0]['step'])}, "
            f"{seeds(without)}",
            text,
            f"at least {TWICE:g}, by {CLEARLY:g} standard errors",
            outcome(ratio[0] > np.log(TWICE), decided=abs(ratio[0] - np.log(TWICE)) > CLEARLY * ratio[1]),
        ),
        Verdict(
            "GKX-6",
            f"λ_1/λ_{rank} with batch norm: are outliers absent?",
            UNDEFINED if np.isnan(present[0]) else with_error(*present),
            f"at most {TWICE:g}",
            outcome(present[0] <= TWICE, decided=abs(present[0] - TWICE) > CLEARLY * present[1]),
        ),
    ]


def verdict_population(
    batch: list[Record], population: list[Record], losses: Sequence[Record]
) -> list[Verdict]:
    """GKX-7, one record of each mode per seed, and the loss curves of the batch and the population mode."""
    rank = int(batch[0]["num_classes"]) + 1
    ratio, text = compared_ratios(population, batch, rank)
    step = int(population[0]["step"])
    fast, slow = (loss_until(record, step) for record in losses)
    return [
        Verdict(
            "GKX-7",
            f"λ_1/λ_{rank} with population statistics over the same with batch statistics, step {step}, "
            f"{seeds(batch)}",
            text,
            f"at least {TWICE:g}: population statistics leave the outliers that batch statistics remove",
            outcome(ratio[0] > np.log(TWICE), decided=abs(ratio[0] - np.log(TWICE)) > CLEARLY * ratio[1]),
        ),
        Verdict(
            "GKX-7",
            f"training loss up to step {step}, averaged: batch statistics, then population statistics",
            f"{fast:.3f}, then {slow:.3f}",
            f"batch below {FASTER:g} of population",
            outcome(fast < FASTER * slow),
        ),
    ]


def seeds(runs: Sequence) -> str:
    """How many there are, one for each seed."""
    return "1 seed" if len(runs) == 1 else f"{len(runs)} seeds"


def compared_ratios(ones: list[Record], others: list[Record], rank: int) -> tuple[tuple[float, float], str]:
    """Mean and standard error of log((λ_1/λ_k of one) / (λ_1/λ_k of the other)) over seeds, and the ratio as text."""
    logs = np.log(
        [rank_ratio(a["top"], rank) / rank_ratio(b["top"], rank) for a, b in zip(ones, others, strict=True)]
    )
    mean, sem = mean_and_sem(logs)
    return (mean, sem), ratio_with_error(mean, sem)


def ratio_with_error(mean: float, sem: float) -> str:
    """A ratio and its error as a factor, from mean and standard error of its natural logarithm."""
    if np.isnan(mean):
        return UNDEFINED
    return f"{np.exp(mean):.2f}, " + (
        f"times or over {np.exp(sem):.2f}" if np.isfinite(sem) else "one sample"
    )


def loss_until(record: Record, step: int) -> float:
    """Mean mini-batch loss of the updates up to ``step``: low where training is fast. NaN for a diverged run."""
    seen = record["step"] <= step
    return float(record["step_loss"][seen].mean()) if seen.any() else float("nan")


def frame_at(film: list[Record], step: int) -> Record:
    """The first frame at or after the step."""
    later = [r for r in film if int(r["step"]) >= step]
    if not later:
        raise ValueError(f"the film ends at step {int(film[-1]['step'])}, before step {step}")
    return later[0]


def with_error(value: float, sem: float, digits: int = 3) -> str:
    if np.isfinite(sem):
        return f"{value:.{digits}f} ± {sem:.{digits}f}"
    return f"{value:.{digits}f}, one sample"
