"""GKX-6: whether removing batch normalisation brings outliers."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import Verdict, finding, judge
from hspec.experiments.film_quantities import (
    TWICE,
    averaged_ratio,
    compared_ratios,
    rank_ratio,
    ratio_interval,
    seeds,
)
from hspec.experiments.scale import net_name
from hspec.experiments.training_spectrum import Frame
from hspec.statistics import mean_and_error


def verdict_outliers(with_norm: list[Frame], without: list[Frame]) -> list[Verdict]:
    """GKX-6, one record of each net per seed; ratios are averaged as logarithms."""
    rank = comparable_rank([*with_norm, *without])
    name = f"λ_1/λ_{rank}" + (
        ", the last rank that all reach," if rank <= without[0].num_classes else ""
    )
    number = len(without)
    ratio, text = compared_ratios(without, with_norm, rank)
    logs = np.log([rank_ratio(r.top, rank) for r in with_norm])  # a ratio is at least 1
    present = mean_and_error(logs)
    several = number > 1  # of one training each the eigenvalues are known, and what luck did is not
    return [
        Verdict(
            "GKX-6",
            f"{name} without batch norm over the same with it, step {without[0].step}, "
            f"{seeds(without)}",
            text,
            (seeds(without),),
            f"at least {TWICE:g}, a threshold of ours",
            *judge(
                float(np.exp(ratio[0])),
                TWICE,
                above=True,
                interval=ratio_interval(*ratio, number) if several else None,
            ),
        ),
        Verdict(
            "GKX-6",
            f"{name} with batch norm: are outliers absent?",
            averaged_ratio(logs),
            (seeds(with_norm),),
            f"at most {TWICE:g}, a threshold of ours",
            *judge(
                float(np.exp(present[0])),
                TWICE,
                interval=ratio_interval(*present, number) if several else None,
            ),
        ),
    ]


def comparable_rank(frames: list[Frame]) -> int:
    """C + 1, or the last rank up to which the eigenvalues of all frames have converged,
    where that is less.
    """
    beyond = frames[0].num_classes + 1
    known = [np.flatnonzero(~np.isfinite(frame.top[:beyond])) for frame in frames]
    reached = min((int(gaps[0]) for gaps in known if len(gaps)), default=beyond)
    return reached if reached > 1 else beyond


def findings(
    with_norm: list[Frame],
    without: list[Frame],
    stored: tuple[list[Frame], list[Frame]] | None = None,
) -> list[str]:
    """The ratio of two stored nets at their last common step, then in this run, over seeds."""
    told = _findings(with_norm, without)
    return [*_findings(*stored), *told] if stored else told


def _findings(with_norm: list[Frame], without: list[Frame]) -> list[str]:
    brings, absent = verdict_outliers(with_norm, without)
    record, rank = with_norm[0], comparable_rank([*with_norm, *without])
    where = (
        f"{net_name(record)}, {record.setting.dataset}, step {record.step:,}, {seeds(with_norm)}"
    )
    ratio = f"$\\lambda_1/\\lambda_{{{rank}}}$"
    return [
        finding(
            f"{where}: {ratio} without batch norm over the same with it is {brings.value}.", brings
        ),
        finding(f"{where}: with it {ratio} is {absent.value}.", absent),
    ]


def at_last_common_step(
    with_norm: list[list[Frame]], without: list[list[Frame]]
) -> tuple[list[Frame], list[Frame]] | None:
    """Of the largest stored film of either net the frame at the last step that both have;
    None without one.
    """
    if not (with_norm and without):
        return None
    films = [{frame.step: frame for frame in films[0]} for films in (with_norm, without)]
    common = films[0].keys() & films[1].keys()
    return tuple([film[max(common)]] for film in films) if common else None
