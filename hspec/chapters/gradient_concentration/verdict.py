"""Where the gradient lies: what a run found, beyond the claims that the book lists."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import typeset
from hspec.experiments.film_quantities import share
from hspec.experiments.scale import net_name
from hspec.experiments.training_spectrum import Frame
from hspec.words import counted


def findings(films: dict[str, list[Frame]], stored: dict[str, list[Frame]]) -> list[str]:
    """In this run: the share of each net over the frames;
    of stored films at their last frame."""
    told = [_over_frames(label, frames) for label, frames in films.items()]
    told += [_compared(films)] if len(films) == 2 else []
    return [*told, *([stored_shares(stored)] if stored else [])]


def stored_shares(films: dict[str, list[Frame]]) -> str:
    """Of each stored film, at the last frame at which the share is known."""
    return " ".join(_at(label, frames) for label, frames in films.items())


def _compared(films: dict[str, list[Frame]]) -> str:
    """Both nets at the steps at which the share is known of both, beside what GKX19 found."""
    (name, one), (other, two) = films.items()
    shares = [
        {f.step: share(f, f.num_classes)[0] for f in frames if f.step > 0} for frames in (one, two)
    ]
    common = [step for step, value in shares[0].items() if value == value]
    common = [step for step in common if np.isfinite(shares[1].get(step, np.nan))]
    if not common:
        return f"There is no step at which the share is known {name} and {other}."
    means = [float(np.mean([of[step] for step in common])) for of in shares]
    more = sum(shares[1][step] > shares[0][step] for step in common)
    return (
        f"Over the {counted(len(common), 'step')} at which it is known of both nets the mean share "
        f"is {means[0]:.0%} {name} and {means[1]:.0%} {other}; larger {other}, as Ghorbani et al. "
        f"found it, at {more} of them. It is one training of each."
    )


def _over_frames(label: str, frames: list[Frame]) -> str:
    classes = frames[0].num_classes
    found = [(share(frame, classes)[0], frame.step) for frame in frames if frame.step > 0]
    known = [pair for pair in found if pair[0] == pair[0]]
    random = classes / frames[0].num_parameters
    name = _named(label, frames[0])
    if not known:
        return f"{name}: the cut behind the top {classes} is known at none of the frames."
    (least, low), (most, high) = min(known), max(known)
    return (
        f"{name}: the top {classes} eigenvectors hold between {least:.0%} "
        f"(step {low:,}) and "
        f"{most:.0%} (step {high:,}) of the gradient's energy; of a random direction's, "
        f"{typeset(random)}."
    )


def _named(label: str, frame: Frame) -> str:
    """The net, with the label where its name does not say as much."""
    name = net_name(frame)
    return name if "without norm" in name else f"{name}, {label}"


def _at(label: str, frames: list[Frame]) -> str:
    """Of a stored film, at the last frame at which it is known."""
    classes = frames[0].num_classes
    known = [frame for frame in frames if share(frame, classes)[0] == share(frame, classes)[0]]
    frame = (known or frames)[-1]
    value, lower, upper = share(frame, classes)
    name = f"{_named(label, frame)}, {frame.setting.dataset} (stored)"
    if not known:
        return (
            f"{name}: which eigenvectors are the top {classes} is known at none of "
            f"{counted(len(frames), 'frame')}, they have not converged."
        )
    last = "" if frame is frames[-1] else ", the last frame at which they are known"
    return (
        f"{name}, step {frame.step:,}{last}: the top {classes} eigenvectors hold {value:.0%} of "
        f"the gradient's energy, rigorously between {lower:.0%} and {upper:.0%}."
    )
