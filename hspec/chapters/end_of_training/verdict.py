"""GKX-5: whether the spectrum at the end of training is almost non-negative."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hspec.experiments.claims import Verdict, finding, judge
from hspec.experiments.film_quantities import depth, moment, negative_share, seeds
from hspec.experiments.scale import net_name
from hspec.experiments.training_spectrum import KNOWN, Frame
from hspec.experiments.uncertainty import bounded, marked
from hspec.statistics import mean_and_error, student_factor

LITTLE = 0.1  # of the curvature
ALMOST_NONE = (
    0.01  # of λ_max: below this a spectrum is almost non-negative; the paper's net has about 0.0006
)


def verdict_end(records: list[Frame]) -> list[Verdict]:
    """GKX-5, from the last frame of each seed."""
    depths, slacks = zip(*(depth(r) for r in records), strict=True)
    value, sem = mean_and_error(depths)
    factor = student_factor(
        len(records)
    )  # NaN for one training, whose luck is then not in the error
    error = max(float(np.nan_to_num(factor * sem)), *slacks)
    shares, lows, highs = np.transpose([negative_share(r.hess) for r in records])
    low, high = (_end(bounds, factor, sign) for bounds, sign in ((lows, -1), (highs, +1)))
    mode = f"{records[0].options['batch_norm']} statistics"
    when, runs = moment(records[0]), seeds(records)
    return [
        Verdict(
            "GKX-5",
            f"|λ_min|/λ_max, {when}, {mode}, {runs}",
            bounded(value, error, ".4f")
            if len(records) == 1
            else marked("seed", value, value - error, value + error, ".4f"),
            (runs, "residual"),
            f"at most {ALMOST_NONE:g}, a threshold of ours",
            *judge(value, ALMOST_NONE, interval=(value - error, value + error)),
        ),
        Verdict(
            "GKX-5",
            f"share of the curvature that is negative, {when}, {mode}, {runs}",
            marked("quadrature" if len(records) == 1 else "seed", shares.mean(), low, high, ".3f"),
            (runs, "quadrature"),
            f"at most {LITTLE:g}, a threshold of ours",
            *judge(float(shares.mean()), LITTLE, interval=(low, high)),
        ),
    ]


def _end(bounds: np.ndarray, factor: float, sign: int) -> float:
    """Mean of rigorous bounds over seeds, moved outwards by Student's half-width where
    there are several.
    """
    mean, error = mean_and_error(bounds)
    return float(np.clip(mean + sign * np.nan_to_num(factor * error), 0, 1))


def findings(records: list[Frame], trained: list[Frame]) -> list[str]:
    """What is negative in fully trained nets that are stored, then in this run, over the seeds."""
    ends = ", ".join(f"{record.top[0]:.3g}" for record in records)
    told = [
        _finding(records),
        f"{net_name(records[0])}, {records[0].setting.dataset}, {moment(records[0])}: the largest "
        f"eigenvalue is {ends}, at a loss of "
        f"{', '.join(f'{r.loss:.2g}' for r in records)}.",
    ]
    return [*(_finding([record]) for record in trained[:2]), *told]


def _finding(records: list[Frame]) -> str:
    rows, record = verdict_end(records), records[0]
    return finding(
        f"{net_name(record)}, {record.setting.dataset}, {moment(record)}, {seeds(records)}, "
        f"{record.options['batch_norm']} statistics: $|\\lambda_{{\\min}}|/\\lambda_{{\\max}}$ is "
        f"{rows[0].value}, and "
        f"{rows[1].value} of the curvature is negative.",
        *rows,
    )


def by_depth(trained: Sequence[Frame]) -> str:
    """How |λ_min|/λ_max goes with the number of layers, in either meaning of batch norm.

    A sentence for each in which several nets came fully trained and their ends have converged; ""
    where there is none.
    """
    told = []
    for mode in ("eval", "batch"):
        nets = {net_name(r): depth(r) for r in trained if r.options["batch_norm"] == mode}
        sharp = {name: found for name, found in nets.items() if found[1] <= KNOWN * (found[0] or 1)}
        if len(sharp) > 1:
            ratios = (f"{bounded(*sharp[name], '.4f')} in {name}" for name in sorted(sharp))
            told.append(
                f"With {mode} statistics $|\\lambda_{{\\min}}|/\\lambda_{{\\max}}$ is "
                f"{', '.join(ratios)}."
            )
    return " ".join(told)
