"""Nets that differ in one thing alone, among records of many: their width, or their training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hspec.experiments.records import Record
from hspec.experiments.scale import net_name
from hspec.keys import canonical, digest
from hspec.models.mlp import hidden_widths, is_perceptron

Net = list[Record]  # trainings that differ in their seeds only


def width_of(record: Record) -> float:
    """Units of a perceptron's first layer, 64 of "mlp:64x8" and 32 at half the width; of another
    net the width itself, a factor.
    """
    of = record.setting
    return of.width * (hidden_widths(of.model)[0] if is_perceptron(of.model) else 1)


def updates_of(record: Record) -> int:
    """Of the whole training."""
    return record.setting.recipe.total_steps(int(record.num_examples))


THINGS: dict[str, Callable[[Record], float]] = {"width": width_of, "updates": updates_of}


def nets_of(records: Sequence[Record], besides: str | None = None) -> list[Net]:
    """Records by net and training, whatever their seeds; without regard to one of :data:`THINGS`,
    where it is named.
    """
    groups: dict[str, Net] = {}
    for record in records:
        of = canonical(record.setting)
        of |= {"init_seed": None, "recipe": of["recipe"] | {"seed": None}}
        if besides == "width":
            of |= {"model": shape_of(of["model"]), "width": None}
        if besides == "updates":
            of["recipe"] |= {"epochs": None, "steps": None}
        groups.setdefault(digest(of), []).append(record)
    return list(groups.values())


def shape_of(model: str) -> list[float] | str:
    """What nets of one kind share whatever their width: of a perceptron its layers' widths in
    units of the first, of another net its name.

    Example:
        >>> shape_of("mlp:800-400"), shape_of("mlp:64x3"), shape_of("vgg11")
        ([1.0, 0.5], [1.0, 1.0, 1.0], 'vgg11')
    """
    if not is_perceptron(model):
        return model
    widths = hidden_widths(model)
    return [width / widths[0] for width in widths]


def one_thing_apart(records: Sequence[Record], thing: str) -> list[Net]:
    """The most nets that differ in one of :data:`THINGS` alone, ascending in it; [] without two."""
    families = [nets_of(family) for family in nets_of(records, besides=thing)]
    largest = max(families, key=len, default=[])
    return sorted(largest, key=lambda net: THINGS[thing](net[0])) if len(largest) > 1 else []


def named_by(nets: Sequence[Net], thing: str) -> str:
    """ "digits, width 64, 256": what nets share, and what they differ in."""
    values = ", ".join(f"{THINGS[thing](net[0]):,.10g}" for net in nets)
    net = "" if thing == "width" else f"{net_name(nets[0][0])}, "
    return f"{net}{nets[0][0].setting.dataset}, {thing} {values}"
