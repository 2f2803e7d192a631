"""GKX-6: whether removing batch normalisation brings outliers."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import Verdict, judge
from hspec.experiments.film_quantities import (
    TWICE,
    UNDEFINED,
    compared_ratios,
    rank_ratio,
    ratio_interval,
    seeds,
    with_error,
)
from hspec.experiments.training_spectrum import Frame
from hspec.statistics import interval, mean_and_error


def verdict_outliers(with_norm: list[Frame], without: list[Frame]) -> list[Verdict]:
    """GKX-6, one record of each net per seed."""
    rank = without[0].num_classes + 1
    number = len(without)
    ratio, text = compared_ratios(without, with_norm, rank)
    present = mean_and_error([rank_ratio(r.top, rank) for r in with_norm])
    return [
        Verdict(
            "GKX-6",
            f"λ_1/λ_{rank} without batch norm over the same with it, step {without[0].step}, "
            f"{seeds(without)}",
            text,
            f"at least {TWICE:g}, a threshold of ours",
            *judge(float(np.exp(ratio[0])), TWICE, above=True, interval=ratio_interval(*ratio, number)),
        ),
        Verdict(
            "GKX-6",
            f"λ_1/λ_{rank} with batch norm: are outliers absent?",
            UNDEFINED if np.isnan(present[0]) else with_error(*present),
            f"at most {TWICE:g}, a threshold of ours",
            *judge(float(present[0]), TWICE, interval=interval(*present, number)),
        ),
    ]
