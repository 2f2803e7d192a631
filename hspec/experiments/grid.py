"""One experiment a cell: a measure over the papers' plane of epochs and sample sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from hspec.experiments.experiment import Experiment, find_record, load_or_run_all
from hspec.experiments.measure import Measure
from hspec.experiments.records import Record
from hspec.experiments.setting import Setting
from hspec.experiments.store import Store
from hspec.keys import digest
from hspec.training import ladder_epochs


class Cell(NamedTuple):
    """A place in the plane: which repeat, how many examples of each class,
    after how many epochs.
    """

    repeat: int  #: Number of the repeat.
    per_class: int  #: Training examples per class.
    epoch: int  #: Epoch after which the net is measured.


@dataclass(frozen=True)
class Grid:
    """Experiments by their cell, and the axes in ascending order.

    Attributes:
        repeats: 0, 1, …: training runs that differ in their seeds.
        per_class: Training examples per class.
        epochs: After which the nets are measured.
        experiments: One a :class:`Cell`.
    """

    repeats: tuple[int, ...]
    per_class: tuple[int, ...]
    epochs: tuple[int, ...]
    experiments: Mapping[Cell, Experiment]

    def load(self, store: Store | None = None) -> dict[Cell, Record | None]:
        """What the store has; None for a missing cell. Computes nothing."""
        store = store or Store()
        return {cell: find_record(e, store) for cell, e in self.experiments.items()}

    def fill(
        self, new_cells: int = -1, store: Store | None = None, *, progress: bool = True
    ) -> dict[Cell, Record | None]:
        """:meth:`load`, after at most ``new_cells`` missing cells have been measured (-1: all of
        them, 0: none).

        Sample by sample, so that one training run serves all its epochs. Several processes may fill
        one grid: each takes the cells that no other is at (:func:`load_or_run_all`).
        """
        store = store or Store()
        missing = [cell for cell, record in self.load(store).items() if record is None]
        chosen = missing if new_cells < 0 else missing[:new_cells]
        load_or_run_all([self.experiments[cell] for cell in chosen], store, progress=progress)
        return self.load(store)

    def table(
        self, records: Mapping[Cell, Record | None], value: Callable[[Record], float]
    ) -> np.ndarray:
        """``value(record)`` as (repeats, epochs, sample sizes); NaN where a cell is missing."""
        order = product(self.repeats, self.epochs, self.per_class)
        found = [records[Cell(repeat, size, epoch)] for repeat, epoch, size in order]
        values = [np.nan if record is None else value(record) for record in found]
        return np.reshape(
            values, (len(self.repeats), len(self.epochs), len(self.per_class))
        ).astype(float)


def grid(
    measure: Measure,
    base: Setting,
    *,
    per_class: Sequence[int],
    epochs: Sequence[int],
    repeats: int = 1,
    options: Mapping[str, Any] | None = None,
) -> Grid:
    """``measure`` on ``base`` at every sample size, after every one of the epochs, and with that
    many seeds.

    Args:
        measure: One that has an option ``epoch``.
        base: Its recipe gives the length of every training run; its seeds are those of repeat 0.
        epochs: Each a rung of the recipe's ladder (:func:`hspec.training.ladder_epochs`): the
            checkpoints then do not depend on which epochs are asked for, and any part of the grid
            fits any other part.
        repeats: Training runs with other initial weights, orders and samples.

    Raises:
        ValueError: An epoch is not on the ladder, an axis is empty, or the recipe has no epochs.

    Example:
        >>> from hspec.experiments import Recipe, Setting, measure
        >>> @measure(version=1)
        ... def loss(task, *, epoch: int):
        ...     return {"loss": task.risk(step=task.step_after(epoch)).loss}
        >>> base = Setting(recipe=Recipe(epochs=10))
        >>> plane = grid(loss, base, per_class=[13, 136], epochs=[1, 5, 10])
        >>> len(plane.experiments)
        6
    """
    if base.recipe.epochs is None:
        raise ValueError("a grid over epochs needs a recipe with epochs, not steps")
    for name, axis in {"per_class": per_class, "epochs": epochs, "repeats": range(repeats)}.items():
        if not len(axis):
            raise ValueError(f"{name} is empty: a grid has at least one cell")
    ladder = ladder_epochs(base.recipe.epochs)
    unknown = sorted(set(epochs) - set(ladder))
    if unknown:
        raise ValueError(f"epochs {unknown} are not kept: choose among {list(ladder)}")
    axes = tuple(range(repeats)), tuple(sorted(set(per_class))), tuple(sorted(set(epochs)))
    experiments = {}
    for cell in map(Cell._make, product(*axes)):
        setting = replace(
            repeated(base, cell.repeat), per_class=cell.per_class, checkpoints="ladder"
        )
        experiments[cell] = Experiment(measure, setting, {"epoch": cell.epoch, **(options or {})})
    return Grid(*axes, experiments)


def repeated(base: Setting, repeat: int) -> Setting:
    """``base`` with every seed moved on by ``repeat``."""
    return replace(
        base,
        init_seed=base.init_seed + repeat,
        data_seed=base.data_seed + repeat,
        recipe=replace(base.recipe, seed=base.recipe.seed + repeat),
    )


def present(records: Mapping[Cell, Record | None]) -> list[Record]:
    """The records that are there, in the order of their cells."""
    return [record for record in records.values() if record is not None]


def published_grid(
    store: Store, measure: Measure, besides: Iterable[Record] = ()
) -> tuple[Grid | None, dict[Cell, Record | None]]:
    """The largest grid among the records that come with the book, by net and sample; (None, {})
    where there is none.

    Records belong to one grid where their configurations differ in seeds, sample size and epoch
    only. A net that keeps other checkpoints than a grid's ladder stands for itself, however large
    it is. A grid all of whose records are among ``besides`` is left out.
    """
    families: dict[str, list[Record]] = {}
    for record in store.published_records(measure):
        if record.options.get("epoch") is not None and record.setting.checkpoints == "ladder":
            families.setdefault(digest(without_axes(record.meta)), []).append(record)
    shown = {record.meta["key"] for record in besides}
    others = [of for of in families.values() if not {r.meta["key"] for r in of} <= shown]
    return assembled(max(others, key=scale)) if others else (None, {})


def scale(family: list[Record]) -> tuple[int, int]:
    """Parameters times examples of the largest cell, then the number of cells."""
    return max(r.num_parameters * r.num_examples for r in family), len(family)


def without_axes(meta: Mapping[str, Any]) -> dict[str, Any]:
    """A record's configuration without what the cells of one grid may differ in."""
    setting = {
        k: v for k, v in meta["setting"].items() if k not in ("per_class", "init_seed", "data_seed")
    }
    setting["recipe"] = {k: v for k, v in setting["recipe"].items() if k != "seed"}
    options = {k: v for k, v in meta["options"].items() if k != "epoch"}
    return {"version": meta["version"], "setting": setting, "options": options}


def assembled(family: list[Record]) -> tuple[Grid, dict[Cell, Record | None]]:
    """A grid from its records alone; the cells that they leave open are missing."""
    seeds = sorted({record.setting.init_seed for record in family})
    found = {}
    for record in family:
        setting = record.setting
        cell = Cell(seeds.index(setting.init_seed), setting.per_class, record.options["epoch"])
        found[cell] = record
    repeats, per_class, epochs = (tuple(sorted(set(axis))) for axis in zip(*found, strict=True))
    cells = map(Cell._make, product(repeats, per_class, epochs))
    return Grid(repeats, per_class, epochs, {}), {cell: found.get(cell) for cell in cells}
