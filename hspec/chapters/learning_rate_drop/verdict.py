"""GKX-4: what a drop of the learning rate does to the largest eigenvalue."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hspec.experiments.claims import OUTCOMES, SIGNIFICANT, Verdict, finding, outcome
from hspec.experiments.film_quantities import averaged_ratio, seeds
from hspec.experiments.training_spectrum import Frame
from hspec.statistics import p_value


def check_drop(drops: Iterable[int], before: int, after: int) -> None:
    """Refuse steps between which the rate does not fall: what changes from one to the other would
    be told as the drop's doing.

    Raises:
        ValueError: no drop comes after step ``before`` and by step ``after``.
    """
    drops = list(drops)
    if not any(before <= drop < after for drop in drops):
        raise ValueError(
            f"the learning rate does not drop between step {before} (before) and step {after} "
            f"(after): drops are {drops}; name other steps, or a drop between them"
        )


def verdict_drop(before: list[Frame], after: list[Frame], control: list[Frame]) -> list[Verdict]:
    """GKX-4, one record of each kind per seed; ``control`` was trained on without the drop."""
    fall = np.log([a.top[0] / b.top[0] for a, b in zip(after, before, strict=True)])
    against = np.log([a.top[0] / c.top[0] for a, c in zip(after, control, strict=True)])
    steps = f"step {after[0].step}"
    return [
        Verdict(
            "GKX-4",
            f"λ_1 at {steps} over λ_1 just before the drop, {seeds(fall)}",
            *below_one(fall),
        ),
        Verdict(
            "GKX-4",
            f"λ_1 at {steps} over λ_1 there without the drop, {seeds(against)}",
            *below_one(against),
        ),
    ]


NO_TEST = "one seed, or an eigenvalue that is not known: no test"


def below_one(logarithms: np.ndarray) -> tuple[str, tuple[str, ...], str, str, str]:
    """What follows the quantity in a row of "these ratios are below 1", given their logarithms.

    Each ratio is of two states of one seed: Student's paired test of the logarithms.
    """
    p = p_value(logarithms)
    return (
        averaged_ratio(logarithms),
        (seeds(logarithms),),
        f"below 1, p ≤ {SIGNIFICANT:g} (paired t-test of logarithms)",
        *(
            (outcome(np.mean(logarithms) < 0, decided=p <= SIGNIFICANT), f"p = {p:.2g}")
            if p == p
            else (OUTCOMES[2], NO_TEST)
        ),
    )


def findings(before: list[Frame], after: list[Frame], control: list[Frame]) -> list[str]:
    """In this run: the eigenvalue and the loss with the drop,
    against before it and against without it.
    """
    fall, against = verdict_drop(before, after, control)
    higher = sum(a.loss >= c.loss for a, c in zip(after, control, strict=True))
    above = sum(a.top[0] > c.top[0] for a, c in zip(after, control, strict=True))
    step = f"{after[0].step:,}"
    return [
        finding(
            f"$\\lambda_1$ at step {step} over $\\lambda_1$ just before the drop is {fall.value}.",
            fall,
        ),
        finding(
            f"$\\lambda_1$ with the drop over $\\lambda_1$ without it, at step {step}, is "
            f"{against.value}.",
            against,
        ),
        f"At step {step} the loss is no lower with the drop than without it in {higher} of "
        f"{len(after)} seeds, and "
        f"$\\lambda_1$ is higher with it in {above} of them.",
    ]
