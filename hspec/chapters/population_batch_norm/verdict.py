"""GKX-7: whether population statistics leave the outliers, and train more slowly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hspec.experiments.claims import Verdict, both, finding, judge
from hspec.experiments.film_quantities import (
    TWICE,
    UNDEFINED,
    compared_ratios,
    loss_until,
    rank_ratio,
    ratio_interval,
    seeds,
)
from hspec.experiments.records import Record
from hspec.experiments.training_spectrum import Frame

FASTER = 0.8  # a loss below this share of another is clearly lower


def verdict_population(
    batch: list[Record], population: list[Record], losses: Sequence[Record]
) -> list[Verdict]:
    """GKX-7, one record of each mode per seed; and the loss curves of the batch,
    the population mode and no norm.
    """
    rank = batch[0].num_classes + 1
    ratio, text = compared_ratios(population, batch, rank)
    step = population[0].step
    fast, slow, plain = (loss_until(record, step) for record in losses)
    return [
        Verdict(
            "GKX-7",
            f"λ_1/λ_{rank} with population statistics over the same with batch statistics, step "
            f"{step}, "
            f"{seeds(batch)}",
            text,
            f"at least {TWICE:g}: population statistics leave the outliers that batch statistics "
            "remove",
            *judge(
                float(np.exp(ratio[0])),
                TWICE,
                above=True,
                interval=ratio_interval(*ratio, len(batch)),
            ),
        ),
        Verdict(
            "GKX-7",
            f"training loss up to step {step}, averaged: batch statistics, then population "
            "statistics",
            f"{fast:.3f}, then {slow:.3f}",
            f"batch below {FASTER:g} of population, a threshold of ours; one training each",
            *judge(fast, FASTER * slow),
        ),
        Verdict(
            "GKX-7",
            f"training loss up to step {step}, averaged: population statistics, then no "
            "normalisation",
            f"{slow:.3f}, then {plain:.3f}",
            f"population not below {FASTER:g} of no normalisation, a threshold of ours; one "
            "training each",
            *judge(slow, FASTER * plain, above=True),
        ),
    ]


def verdict_modes(trained: Mapping[str, tuple[Frame, Frame]]) -> list[Verdict]:
    """GKX-7 in its purest form: the same weights, in the modes batch and population;
    by how each net was trained.
    """
    frames = [frame for modes in trained.values() for frame in modes]
    rank = frames[0].num_classes + 1
    ratios = {
        name: rank_ratio(population.top, rank) / rank_ratio(batch.top, rank)
        for name, (batch, population) in trained.items()
    }
    told = "; ".join(
        f"{ratio:.2f} ({name})" if ratio == ratio else UNDEFINED for name, ratio in ratios.items()
    )
    return [
        Verdict(
            "GKX-7",
            f"λ_1/λ_{rank} of the same weights, in the mode population over the mode batch, step "
            f"{frames[0].step}",
            told,
            "above 1 in every net: the outliers are fewer as soon as the derivative passes through "
            "the statistics",
            *both(*(judge(ratio, 1, above=True) for ratio in ratios.values())),
        )
    ]


def findings(
    batch: list[Record],
    population: list[Record],
    losses: Sequence[Record],
    trained: Mapping[str, tuple[Frame, Frame]],
) -> list[str]:
    """In this run: the same weights in both modes, the ratio of the two nets,
    and how fast each has trained.
    """
    (modes,) = verdict_modes(trained)
    left, slow, plain = verdict_population(batch, population, losses)
    rank = batch[0].num_classes + 1
    return [
        finding(
            f"$\\lambda_1/\\lambda_{{{rank}}}$ of the same weights, in the mode population over "
            "the mode batch: "
            f"{modes.value}.",
            modes,
        ),
        finding(
            f"$\\lambda_1/\\lambda_{{{rank}}}$ of the net trained with population statistics over "
            "that of the net "
            f"trained with batch statistics, step {batch[0].step:,}, is {left.value}.",
            left,
        ),
        finding(f"The training loss, averaged up to that step, is {slow.value}.", slow),
        finding(f"Of population statistics and of no normalisation it is {plain.value}.", plain),
    ]
