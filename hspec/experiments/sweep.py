"""A sweep: the cells of one or several grids, from a file that lists them, filled by any number of
workers.

    measure: level_spectra
    setting: {dataset: MNIST, model: resnet18, recipe: {epochs: 350}}
    per_class: [10, 13, 5000]
    epochs: [1, 50, 350]
    repeats: 1
    options: {}

or, for the papers' search for a learning rate, `rates` (a grid of `hspec.training.published_rates`,
all of it or each k-th) in the place of measure and epochs:

    rates: P20
    every: 10
    setting: {dataset: MNIST, model: vgg11, recipe: {epochs: 200}}
    per_class: [13, 136]

All state is in the store: workers need not know of each other. Each takes the cells that no other
is at (`Store.claimed`), so that they may be started and killed at any time, on any machine that
sees the store.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from hspec.experiments.experiment import POLL, Experiment, find_record, load_or_run
from hspec.experiments.grid import Grid, grid
from hspec.experiments.measure import Measure
from hspec.experiments.rate_search import rate_search, searched_rates
from hspec.experiments.setting import Setting
from hspec.experiments.store import Held, Store
from hspec.training import Recipe

NEEDED, ALLOWED = {"measure", "setting", "per_class", "epochs"}, {"repeats", "options", "note"}
SEARCH, OF_SEARCH = {"rates", "setting", "per_class"}, {"every", "note"}


def sweep_experiments(
    entry: Mapping[str, Any], measures: Mapping[str, Measure]
) -> list[Experiment]:
    """What an entry of a sweep's file asks for: the cells of a grid, or the runs of a search.

    Raises ValueError as :func:`sweep_grid` and :func:`searched_rates` do.
    """
    if not isinstance(entry, Mapping) or "rates" not in entry:
        return list(sweep_grid(entry, measures).experiments.values())
    _check("a search", entry, SEARCH, OF_SEARCH)
    _check_lists(entry, "per_class")
    base = _setting(entry["setting"])
    rates = searched_rates(entry["rates"], entry.get("every", 1))
    if not entry["per_class"]:
        raise ValueError("per_class is empty: a search has at least one sample")
    return [
        experiment
        for size in entry["per_class"]
        for experiment in rate_search(replace(base, per_class=size), rates).values()
    ]


def sweep_grid(entry: Mapping[str, Any], measures: Mapping[str, Measure]) -> Grid:
    """The grid that an entry of a sweep's file describes.

    Args:
        entry: `measure`, `setting` (fields of :class:`Setting`, `recipe` with fields of its own),
            `per_class` and `epochs`; `repeats` and `options` where they are not 1 and none; `note`,
            for
            people: what it costs, say.
        measures: those known, by name.

    Raises:
        ValueError: A word that is missing or unknown, in the entry, its setting or its recipe; or a
            cell that is none (see :func:`grid`).
    """
    _check("a sweep", entry, NEEDED, ALLOWED)
    _check("options", entry.get("options", {}), set(), None)
    _check_lists(entry, "per_class", "epochs")
    if entry["measure"] not in measures:
        raise ValueError(
            f"measure: {entry['measure']} is unknown: there are {', '.join(sorted(measures))}"
        )
    axes = {
        name: entry[name] for name in ("per_class", "epochs", "repeats", "options") if name in entry
    }
    return grid(measures[entry["measure"]], _setting(entry["setting"]), **axes)


def _setting(given: Mapping[str, Any]) -> Setting:
    _check("setting", given, {"recipe"}, {f.name for f in fields(Setting)})
    _check("recipe", given["recipe"], set(), {f.name for f in fields(Recipe)})
    return Setting(**{**given, "recipe": Recipe(**given["recipe"])})


def _check_lists(entry: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(entry[name], list | tuple):
            raise ValueError(f"{name} is {entry[name]!r}: a list is needed, such as [10, 13]")


def _check(where: str, given: object, needed: set[str], allowed: set[str] | None) -> None:
    """allowed: None for any names."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} is {type(given).__name__}: names and values are needed")
    for name in sorted(needed - set(given)):
        raise ValueError(f"{where} needs {name}")
    for name in sorted(set(given) - needed - allowed if allowed is not None else ()):
        raise ValueError(
            f"{where} has no {name!r}: it may have {', '.join(sorted(needed | allowed))}"
        )


def fill(
    experiments: Sequence[Experiment],
    store: Store,
    *,
    worker: tuple[int, int] = (1, 1),
    seconds: float = float("inf"),
    progress: bool = True,
) -> int:
    """Measure what is missing, and not held by another worker, until nothing is; how many this one
    measured.

    Args:
        worker: (i, n), the i-th of n: where in the list it starts, so that workers meet late.
        seconds: after which no other experiment is begun; what was begun is finished.

    Raises:
        ExceptionGroup: at the end, of the errors of experiments that have failed, each with a note
            of its name: a net that diverges keeps no other from being measured.
        OSError: at once, of a disk that is full, or a rank that does not answer.
    """
    i, n = worker
    start, first = time.monotonic(), (i - 1) * len(experiments) // n
    waiting = [*experiments[first:], *experiments[:first]]
    measured, failed = 0, []
    while waiting:
        held = []
        for experiment in waiting:
            if store.ranks.told(lambda: time.monotonic() - start > seconds):
                return _unless(failed, measured)
            if find_record(experiment, store):
                store.forget(experiment.name, experiment.key)
                continue
            try:
                load_or_run(experiment, store, progress=progress, wait=False)
                measured += 1
            except Held:
                held.append(experiment)
            except (ValueError, ArithmeticError, MemoryError, RuntimeError) as error:
                traceback.clear_frames(error.__traceback__)  # graphs, and all that was measured
                error.add_note(experiment.name)
                failed.append(error)
        if len(held) == len(waiting):
            time.sleep(POLL)
        waiting = held
    return _unless(failed, measured)


def _unless(failed: list[Exception], measured: int) -> int:
    if failed:
        raise ExceptionGroup(f"{len(failed)} cells failed, {measured} were measured", failed)
    return measured
