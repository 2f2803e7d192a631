"""What films are read by: negative curvature, change from frame to frame, outliers,
and the gradient's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, count, pairwise, takewhile

import numpy as np

from hspec.experiments.records import Record
from hspec.experiments.training_spectrum import Frame
from hspec.experiments.uncertainty import marked
from hspec.linalg import SpectralMeasure, wasserstein
from hspec.statistics import interval, mean_and_error, mean_and_interval
from hspec.words import counted

ROUNDING = (
    1e-6  # relative to ‖Hess‖: what products in single precision leave uncertain in any eigenvalue
)


def rank_ratio(eigenvalues: np.ndarray, k: int) -> float:
    """λ_1/λ_k, k counted from 1: how far the largest eigenvalue stands out.  Source: GKX19.

    eigenvalues  descending; NaN marks those that are not known
    (:func:`~hspec.experiments.training_spectrum.known`)

    NaN where either is not known, and where λ_k is negative or cannot be told from zero in single
    precision, as in a net that has not learned.
    """
    top = np.asarray(eigenvalues, dtype=np.float64)
    if not 1 <= k <= len(top):
        raise ValueError(f"λ_{k} asked of {len(top)} eigenvalues")
    return float(top[0] / top[k - 1]) if top[k - 1] > ROUNDING * top[0] else float("nan")


def negative_share(measure: SpectralMeasure) -> tuple[float, float, float]:
    """Σ_{λ<0} |λ| / Σ |λ|, the share of the curvature that is negative, and bounds on the probes'
    own shares.

    The mere count of negative eigenvalues depends on the rounding of the many that are nearly zero;
    this does not. Σ_{λ<0} |λ| is ∫ F over the negative axis, with F bounded as in
    :meth:`SpectralMeasure.cdf_bounds`, and Σ λ is exact in a Gauss rule. That no eigenvalue lies
    below the smallest Ritz value is taken for granted.
    """
    sizes = measure.weights * np.abs(np.nan_to_num(measure.nodes))
    value = float((np.where(measure.nodes < 0, sizes, 0.0).sum(axis=1) / sizes.sum(axis=1)).mean())
    traces = (measure.plain_weights * np.nan_to_num(measure.nodes)).sum(axis=1)
    ends = np.unique(np.append(np.minimum(measure.nodes[np.isfinite(measure.nodes)], 0.0), 0.0))
    gaps, middles = np.diff(ends), (ends[1:] + ends[:-1]) / 2
    parts = [np.atleast_2d(bound) @ gaps for bound in measure.cdf_bounds(middles)]
    shares = [
        (part / np.maximum(2 * part + traces, part)).mean() for part in parts if part.any()
    ] or [0.0]
    return value, float(min(value, *shares)), float(max(value, *shares))


def count_below(measure: SpectralMeasure, t: float) -> tuple[float, float, float]:
    """The number of eigenvalues up to t, and the ends of its interval:
    :meth:`SpectralMeasure.share_below`.
    """
    share, low, high = measure.share_below(t)
    return measure.dimension * share, measure.dimension * low, measure.dimension * high


def gradient_below_zero(record: Frame) -> tuple[float, float, float]:
    """The share of the gradient in directions of negative curvature, and rigorous bounds on it.

    Negative is what single precision can tell from zero: below −:data:`ROUNDING` of the spectrum's
    size.
    """
    gradient = record.gradient
    cut = -ROUNDING * float(np.abs(gradient.support).max())
    low, high = (float(bound[0]) for bound in gradient.cdf_bounds(cut))
    return float(gradient.cdf(cut)), low, high


def spectral_change(a: SpectralMeasure, b: SpectralMeasure) -> tuple[float, float]:
    """W1(a, b) / ½(∫|t| da + ∫|t| db), mean and standard error over pairs of probes.

    ∫|t| da is the W1 distance of a to the spectrum of the zero matrix, so 1 means as far from each
    other as from nothing. Measures made by the same probes are compared probe by probe, which
    cancels most of the sampling error.
    """
    ratios = [w1_ratio(x, y) for x, y in zip(single_probes(a), single_probes(b), strict=True)]
    return mean_and_error(ratios)


def w1_ratio(a: SpectralMeasure, b: SpectralMeasure) -> float:
    """W1(a, b) over the mean of both measures' distances to zero."""
    return 2 * wasserstein(a, b) / (a.mean_and_sem(np.abs)[0] + b.mean_and_sem(np.abs)[0])


def single_probes(measure: SpectralMeasure) -> list[SpectralMeasure]:
    """Each probe's estimate as a measure by itself."""
    rows = zip(measure.nodes, measure.weights, measure.plain_weights, measure.exact, strict=True)
    return [SpectralMeasure(n, w, own, measure.dimension, exact) for n, w, own, exact in rows]


def gradient_concentration(
    gradient: SpectralMeasure, top: np.ndarray, k: int
) -> tuple[float, float, float]:
    """‖Q_kᵀ∇L‖² / ‖∇L‖², Q_k the top k eigenvectors: an estimate, and rigorous bounds below and
    above.

    gradient  the gradient's own spectral measure, Σ_i (q_i·∇L)²/‖∇L‖² δ(t − λ_i), from a Lanczos
    run started there
    top       the largest eigenvalues, descending, at least k + 1; NaN marks those that are not
    known

    It is the mass of that measure above any point between λ_{k+1} and λ_k: no eigenvector is
    needed, and the Chebyshev-Markov-Stieltjes inequalities bound it.
    Source: GKX19 (gradient concentration).
    """
    if len(top) <= k:
        raise ValueError(
            f"the share in the top {k} needs λ_{k + 1}: only {len(top)} eigenvalues are given"
        )
    cut = (top[k - 1] + top[k]) / 2
    if np.isnan(cut):  # either has not converged, and between which eigenvalues to cut is not known
        return np.nan, np.nan, np.nan
    lower, upper = (float(bound[0]) for bound in gradient.cdf_bounds(cut))
    return tuple(
        min(1.0, max(0.0, 1 - value)) for value in (float(gradient.cdf(cut)), upper, lower)
    )


def sampling_noise(measure: SpectralMeasure) -> float:
    """:func:`w1_ratio` of the same spectrum seen by two different probes, over all pairs;
    NaN for one probe.
    """
    pairs = list(combinations(single_probes(measure), 2))
    return float(np.mean([w1_ratio(a, b) for a, b in pairs])) if pairs else float("nan")


TWICE = 2.0  # the least factor by which outliers must differ between two nets
UNDEFINED = "none: an eigenvalue has not converged, or the denominator is not positive"


def depth(record: Frame) -> tuple[float, float]:
    """|λ_min|/λ_max, 0 where there is no negative eigenvalue, and its uncertainty by residual and
    rounding.

    The smallest Ritz value may be less sharp than a number that is shown alone, since its residual
    goes with it. NaN where λ_max has not converged.
    """
    largest, smallest = float(record.top[0]), float(record["bottom"][0])
    rounding = ROUNDING * max(largest, -smallest)
    return max(0.0, -smallest) / largest, max(record.bottom_residual, rounding) / largest


def epoch_changes(film: list[Frame], epoch: int) -> list[tuple[float, float]]:
    """:func:`spectral_change` from each multiple of ``epoch`` to the next, from the start on and up
    to the first that the film does not have.

    Raises:
        ValueError: fewer than three in a row.
    """
    frames = {r.step: r.hess for r in film}
    steps = list(takewhile(frames.__contains__, count(0, epoch)))
    if len(steps) < 3:
        raise ValueError(
            f"change per epoch needs frames every {epoch} steps, three at least: "
            f"no {len(steps) * epoch}"
        )
    return [spectral_change(frames[a], frames[b]) for a, b in pairwise(steps)]


def seeds(runs: Sequence) -> str:
    """How many there are, one for each seed."""
    return counted(len(runs), "seed")


def compared_ratios(
    ones: list[Frame], others: list[Frame], rank: int
) -> tuple[tuple[float, float], str]:
    """Mean and standard error of log((λ_1/λ_k of one) / (λ_1/λ_k of the other)) over seeds,
    and the ratio as text.
    """
    logs = np.log(
        [
            rank_ratio(a.top, rank) / rank_ratio(b.top, rank)
            for a, b in zip(ones, others, strict=True)
        ]
    )
    return mean_and_error(logs), averaged_ratio(logs)


def ratio_interval(mean: float, sem: float, n: int) -> tuple[float, float]:
    """95 % interval of a ratio, from mean and standard error of its logarithm over n pairs."""
    low, high = interval(mean, sem, n)
    return float(np.exp(low)), float(np.exp(high))


def averaged_ratio(logarithms: Sequence[float]) -> str:
    """The geometric mean of ratios over seeds with its 95 % interval, from their natural
    logarithms: of pairs of one seed each, the paired interval.
    """
    mean, half = mean_and_interval(logarithms)
    if np.isnan(mean):
        return UNDEFINED
    return marked("seed", *map(float, np.exp([mean, mean - half, mean + half])))


def loss_until(record: Record, step: int) -> float:
    """Mean mini-batch loss of the updates up to ``step``: low where training is fast.
    NaN for a diverged run.
    """
    seen = record["step"] <= step
    return float(record["step_loss"][seen].mean()) if seen.any() else float("nan")


def frame_at(film: list[Frame], step: int) -> Frame:
    """The first frame at or after the step."""
    later = [r for r in film if r.step >= step]
    if not later:
        raise ValueError(f"the film ends at step {film[-1].step}, before step {step}")
    return later[0]


def share(record: Frame, rank: int) -> tuple[float, float, float]:
    return gradient_concentration(record.gradient, record.top, rank)


def moment(record: Frame) -> str:
    """When in its training a net was measured; "as it came" where its weights are from a
    file."""
    step = record.step
    return "as it came" if step == 0 and record.setting.weights else f"step {step:,}"
