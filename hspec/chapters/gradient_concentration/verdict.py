"""Where the gradient lies: what a run found, beyond the claims that the book lists."""

from __future__ import annotations

from hspec.experiments.claims import typeset
from hspec.experiments.film_quantities import share
from hspec.experiments.scale import net_name
from hspec.experiments.training_spectrum import Frame


def findings(films: dict[str, list[Frame]], stored: dict[str, list[Frame]]) -> list[str]:
    """In this run: the share of each net over the frames;
    of stored films at their last frame."""
    told = [_over_frames(label, frames) for label, frames in films.items()]
    told += [_at(label, frames[-1]) for label, frames in stored.items()]
    return told


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


def _at(label: str, frame: Frame) -> str:
    value, lower, upper = share(frame, frame.num_classes)
    name = f"{_named(label, frame)}, {frame.setting.dataset} (stored), step {frame.step:,}"
    if value != value:
        return (
            f"{name}: which eigenvectors are the top {frame.num_classes} is not known, they "
            "have not converged."
        )
    return f"{name}: {value:.0%} of it, rigorously between {lower:.0%} and {upper:.0%}."
