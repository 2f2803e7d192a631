"""GKX-2 and GKX-3: the negative eigenvalues of the start, and how soon the spectrum settles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile

import numpy as np

from hspec.experiments.claims import OUTCOMES, Verdict, both, finding, judge
from hspec.experiments.film_quantities import (
    count_below,
    depth,
    epoch_changes,
    frame_at,
)
from hspec.experiments.scale import net_name
from hspec.experiments.training_spectrum import Frame
from hspec.experiments.uncertainty import ONE_NET, averaged, bounded, marked
from hspec.statistics import mean_and_error, student_factor
from hspec.words import counted

PAPER_STEP = 515  # GKX19's frame at which the large negative eigenvalues are gone
FEW_HUNDRED = 200  # steps before which what is still there may yet go in time
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
            f"{bounded(deep, slack)}, then {bounded(shallow, rest)}",
            ("residual", ONE_NET),
            f"at least {LARGE:g}, then less than that; a threshold of ours",
            *both(
                judge(deep, LARGE, above=True, interval=(deep - slack, deep + slack)),
                _gone(judge(shallow, LARGE, interval=(shallow - rest, shallow + rest)), after.step),
            ),
        ),
        Verdict(
            "GKX-2",
            f"number of eigenvalues below −{LARGE:g} λ_max at the same steps",
            ", then ".join(
                marked("quadrature", *(float(f"{number:.3g}") for number in count), ",g")
                for count in counts
            ),
            ("quadrature", counted(start.hess.num_probes, "probe"), ONE_NET),
            "at least one, then less than one",
            *both(
                judge(counts[0][0], 1, above=True, interval=counts[0][1:], ours=False),
                _gone(judge(counts[1][0], 1, interval=counts[1][1:], ours=False), after.step),
            ),
        ),
    ]


def _gone(judged: tuple[str, str], step: int) -> tuple[str, str]:
    """What is still there before a few hundred steps is not against the claim."""
    if judged[0] == OUTCOMES[1] and step < FEW_HUNDRED:
        return OUTCOMES[2], f"step {step} is not yet a few hundred steps"
    return judged


def verdict_settling(film: list[Frame], epoch: int) -> list[Verdict]:
    """GKX-3, from frames one epoch (of so many steps) apart, the first of them at step 0."""
    changes = epoch_changes(film, epoch)
    first, later = changes[0], changes[1:]
    changed = [mean for mean, _ in later]
    value, sem = mean_and_error(changed)
    probes = min(r.hess.num_probes for r in film)
    at_first = np.nan_to_num(student_factor(probes) * first[1])
    averaged_over = "the one" if len(later) == 1 else f"mean of the {len(later)} epochs"
    half = np.hypot(student_factor(len(later)) * sem, SETTLED * at_first)
    of_first = marked(  # a distance, which is not negative
        "probe", first[0], max(0.0, first[0] - at_first), first[0] + at_first, ".3f"
    )
    return [
        Verdict(
            "GKX-3",
            "Wasserstein-1 distance of the spectra one epoch apart, normalised: "
            f"{averaged_over} after the first",
            f"{averaged('sample', changed, '.3f')}; first epoch {of_first}",
            (f"sample of {counted(len(later), 'epoch')}", counted(probes, "probe"), ONE_NET),
            f"at most {SETTLED:.2f} of the first epoch's, a threshold of ours",
            *judge(value, SETTLED * first[0], interval=(value - half, value + half)),
        )
    ]


def epoch_of(film: list[Frame]) -> int:
    """Steps in one pass over the images that the film's net is trained on."""
    setting = film[0].setting
    return setting.recipe.steps_per_epoch(setting.per_class * film[0].num_classes)


def epoch_ends(film: list[Frame]) -> list[Frame]:
    """The start and the ends of the first epochs, as far as the film has one after the other."""
    frames = {frame.step: frame for frame in film}
    ends = range(0, film[-1].step + 1, epoch_of(film))
    return [frames[step] for step in takewhile(frames.__contains__, ends)]


def verdict_stored(film: list[Frame]) -> list[Verdict]:
    """Both claims of a film that comes with the book: the first one at the paper's step, the second
    where it has the ends of two epochs at least.
    """
    settling = verdict_settling(film, epoch_of(film)) if len(epoch_ends(film)) > 2 else []
    return verdict_negative_start(film, min(PAPER_STEP, film[-1].step)) + settling


def findings(film: list[Frame], later: int, epoch: int, stored: list[list[Frame]]) -> list[str]:
    """Both ends at the start and later of a stored film, by its sample, and the change per epoch;
    both in this run.
    """
    told = [_negative(film, later), _settling(film, epoch)]
    if not stored:
        return told
    largest = stored[0]
    return [
        _negative(largest, min(PAPER_STEP, largest[-1].step), by_sample(stored, PAPER_STEP)),
        *([_settling(largest, epoch_of(largest))] if len(epoch_ends(largest)) > 2 else []),
        *told,
    ]


def _settling(film: list[Frame], epoch: int) -> str:
    settled = verdict_settling(film, epoch)
    return finding(
        f"{net_name(film[0])}, {film[0].setting.dataset}: the mean change of the spectrum over an "
        f"epoch is {settled[0].value}.",
        *settled,
    )


def by_sample(films: list[list[Frame]], step: int) -> list[Frame]:
    """The frames at the step of the first film's net and training,
    by the size of the Hessian's sample.
    """
    setting = films[0][0].setting
    frames = [r for film in films for r in film if r.setting == setting and r.step == step]
    return sorted(frames, key=lambda frame: frame.num_examples)


def _samples(frames: Sequence[Frame]) -> str:
    if len(frames) < 2:
        return ""
    depths = [depth(frame)[0] for frame in frames]
    falls = all(after < before for before, after in pairwise(depths))
    sizes = " and ".join(
        f"{d:.3f} over {f.num_examples:,} images" for d, f in zip(depths, frames, strict=True)
    )
    return (
        f" The same weights at step {frames[0].step:,}: "
        f"$|\\lambda_{{\\min}}|/\\lambda_{{\\max}}$ is {sizes}. "
        + (
            "It falls as the sample grows, so that a part of what is negative is the small "
            "sample's."
            if falls
            else "It does not fall as the sample grows, here, over one sample of each size: these "
            "do not show it to be the small sample's."
        )
    )


def _negative(film: list[Frame], later: int, samples: Sequence[Frame] = ()) -> str:
    rows = verdict_negative_start(film, later)
    start, after = film[0], frame_at(film, later)
    return finding(
        f"{net_name(start)}, {start.setting.dataset}: $|\\lambda_{{\\min}}|/\\lambda_{{\\max}}$ is "
        f"{depth(start)[0]:.2f} at step {start.step} and {depth(after)[0]:.3f} at step "
        f"{after.step:,}; "
        f"the number of eigenvalues below $-\\lambda_{{\\max}}/{1 / LARGE:g}$ is {rows[1].value}."
        + _samples(samples),
        *rows,
    )
