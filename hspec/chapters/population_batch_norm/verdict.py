"""GKX-7: whether population statistics leave the outliers, and train more slowly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hspec.experiments.claims import Verdict, both, finding, judge
from hspec.experiments.film_quantities import (
    TWICE,
    UNDEFINED,
    averaged_ratio,
    compared_ratios,
    loss_until,
    rank_ratio,
    ratio_interval,
    seeds,
)
from hspec.experiments.records import Record
from hspec.experiments.training_spectrum import Frame
from hspec.experiments.uncertainty import ONE_NET
from hspec.statistics import mean_and_error

FASTER = 0.8  # a loss below this share of another is clearly lower


Losses = Sequence[Sequence[Record]]  # with batch statistics, population statistics, no norm


def verdict_population(
    batch: list[Record], population: list[Record], losses: Losses
) -> list[Verdict]:
    """GKX-7, one record of each mode per seed; and the loss curves of the batch,
    the population mode and no norm, one per seed of each.
    """
    rank = batch[0].num_classes + 1
    ratio, text = compared_ratios(population, batch, rank)
    step = population[0].step
    fast, slow, plain = ([loss_until(record, step) for record in of] for of in losses)
    return [
        Verdict(
            "GKX-7",
            f"λ_1/λ_{rank} with population statistics over the same with batch statistics, step "
            f"{step}, "
            f"{seeds(batch)}",
            text,
            (seeds(batch),),
            f"at least {TWICE:g}, a threshold of ours: population statistics leave the outliers "
            "that batch statistics remove",
            *judge(
                float(np.exp(ratio[0])),
                TWICE,
                above=True,
                interval=ratio_interval(*ratio, len(batch)),
            ),
        ),
        loss_verdict(step, "batch statistics", fast, "population statistics", slow, lower=True),
        loss_verdict(step, "population statistics", slow, "no normalisation", plain, lower=False),
    ]


def loss_verdict(
    step: int, one: str, losses: list[float], other: str, others: list[float], *, lower: bool
) -> Verdict:
    """Whether one way of training is clearly faster than another (or, `lower` false, is not), by
    their ratio seed by seed.
    """
    logs = np.log(np.divide(losses, others))
    mean, sem = mean_and_error(logs)
    return Verdict(
        "GKX-7",
        f"training loss up to step {step}, averaged: {one} over {other}",
        f"{averaged_ratio(logs)}; {np.mean(losses):.3f} over {np.mean(others):.3f}",
        (seeds(logs),),
        f"{'below' if lower else 'not below'} {FASTER:g}, a threshold of ours",
        *judge(
            float(np.exp(mean)),
            FASTER,
            above=not lower,
            interval=ratio_interval(mean, sem, len(logs)) if len(logs) > 1 else None,
        ),
    )


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
        f"{ratio:.2f} {name}" if ratio == ratio else UNDEFINED for name, ratio in ratios.items()
    )
    return [
        Verdict(
            "GKX-7",
            f"λ_1/λ_{rank} of the same weights, in the mode population over the mode batch, step "
            f"{frames[0].step}",
            told,
            ("residual", ONE_NET),
            "above 1 in every net: the outliers are fewer as soon as the derivative passes through "
            "the statistics",
            *both(*(judge(ratio, 1, above=True) for ratio in ratios.values())),
        )
    ]


def findings(
    batch: list[Record],
    population: list[Record],
    losses: Losses,
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
        finding(
            "The training loss, averaged up to that step, of batch statistics over that of "
            f"population statistics is {slow.value}.",
            slow,
        ),
        finding(
            f"The same of population statistics over that of no normalisation is {plain.value}.",
            plain,
        ),
    ]
