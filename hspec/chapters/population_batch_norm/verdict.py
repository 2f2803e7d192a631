"""GKX-7: whether population statistics leave the outliers, and train more slowly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hspec.experiments.claims import Verdict, finding, judge
from hspec.experiments.film_quantities import TWICE, compared_ratios, loss_until, ratio_interval, seeds
from hspec.experiments.records import Record

FASTER = 0.8  # a loss below this share of another is clearly lower


def verdict_population(
    batch: list[Record], population: list[Record], losses: Sequence[Record]
) -> list[Verdict]:
    """GKX-7, one record of each mode per seed, and the loss curves of the batch and the population mode."""
    rank = batch[0].num_classes + 1
    ratio, text = compared_ratios(population, batch, rank)
    step = population[0].step
    fast, slow = (loss_until(record, step) for record in losses)
    return [
        Verdict(
            "GKX-7",
            f"λ_1/λ_{rank} with population statistics over the same with batch statistics, step {step}, "
            f"{seeds(batch)}",
            text,
            f"at least {TWICE:g}: population statistics leave the outliers that batch statistics remove",
            *judge(float(np.exp(ratio[0])), TWICE, above=True, interval=ratio_interval(*ratio, len(batch))),
        ),
        Verdict(
            "GKX-7",
            f"training loss up to step {step}, averaged: batch statistics, then population statistics",
            f"{fast:.3f}, then {slow:.3f}",
            f"batch below {FASTER:g} of population, a threshold of ours; one training each",
            *judge(fast, FASTER * slow),
        ),
    ]


def findings(batch: list[Record], population: list[Record], losses: Sequence[Record]) -> list[str]:
    """In this run: the ratio of the two nets, and how fast each has trained."""
    left, slow = verdict_population(batch, population, losses)
    rank = batch[0].num_classes + 1
    return [
        finding(
            f"$\\lambda_1/\\lambda_{{{rank}}}$ of the net trained with population statistics over that of the net "
            f"trained with batch statistics, step {batch[0].step:,}, is {left.value}.",
            left,
        ),
        finding(f"The training loss, averaged up to that step, is {slow.value}.", slow),
    ]
