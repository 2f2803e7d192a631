"""An experiment: a measure applied to a setting with options; what it gives is named by the hash of the three."""

from __future__ import annotations

import inspect
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, get_type_hints

import numpy as np

from hspec.experiments.bench import Bench
from hspec.experiments.measures import MEASURES
from hspec.experiments.provenance import device_name, git_revision, package_versions
from hspec.experiments.setting import Setting, coerced
from hspec.experiments.store import Record, Store
from hspec.keys import canonical, digest, distinguishing


@dataclass(frozen=True)
class Experiment:
    """A measure, by its name in :data:`MEASURES`; the setting it is applied to; and the measure's options.

    Options left out take the measure's defaults, and count in the key all the same.

    Raises ValueError for an unknown measure or option, TypeError for an option of the wrong type.
    """

    measure: str
    setting: Setting | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.measure not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}: choose one of {', '.join(sorted(MEASURES))}")
        options = complete_options(self.measure, MEASURES[self.measure].function, self.options)
        object.__setattr__(self, "options", MappingProxyType(options))

    @property
    def configuration(self) -> dict[str, Any]:
        """Everything the result depends on, as plain JSON types; without later options still as at their birth."""
        options = distinguishing(MEASURES[self.measure].function, self.options)
        return {
            "measure": self.measure,
            "version": MEASURES[self.measure].version,
            "setting": canonical(self.setting),
            "options": canonical(options),
        }

    @property
    def key(self) -> str:
        return digest(self.configuration)


def spectra_experiments(
    datasets: Iterable[str], net: Mapping[str, Any], options: Mapping[str, Any]
) -> list[Experiment]:
    """The training and the test spectrum of one net on each data set.

    net      fields of :class:`Setting` without the data set
    options  of the measure "bulk_and_outliers", without the split
    """
    return [
        Experiment("bulk_and_outliers", Setting(dataset, **net), {**options, "split": split})
        for dataset in datasets
        for split in ("train", "test")
    ]


def complete_options(name: str, function: Callable, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword options of a measure: those given, checked, and the defaults of the others."""
    known = {k: p for k, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"{name} has no option {', '.join(unknown)}: it has {', '.join(sorted(known)) or 'none'}"
        )
    missing = [k for k, p in known.items() if p.default is p.empty and k not in given]
    if missing:
        raise ValueError(f"{name} needs the option {', '.join(missing)}")
    hints = get_type_hints(function)
    return {k: coerced(k, given.get(k, p.default), hints[k]) for k, p in known.items()}


def load_or_run(
    experiment: Experiment, store: Store | None = None, *, device=None, progress: bool = True
) -> Record:
    """The experiment's record: from the store where it is there, else measured now and stored.

    Another process that asks for the same experiment meanwhile waits and then finds the record. An interrupted
    measure leaves its checkpoints, and the next call goes on from them.
    """
    store = store or Store()
    found = store.get(experiment.measure, experiment.key)
    if found:
        return found
    store.require_writable()
    with store.locked(f"{experiment.measure}-{experiment.key}"):
        return store.get(experiment.measure, experiment.key) or run(experiment, store, device, progress)


def load_or_run_all(experiments: Iterable[Experiment], store: Store | None = None, **options) -> list[Record]:
    """:func:`load_or_run` for each, in order."""
    return [load_or_run(experiment, store, **options) for experiment in experiments]


def run(experiment: Experiment, store: Store, device, progress: bool) -> Record:
    """Measure now, whatever the store holds, and store the record."""
    bench = Bench(experiment.setting, store, experiment.key, device=device, progress=progress)
    start = time.perf_counter()
    results = MEASURES[experiment.measure].function(bench, **experiment.options)
    meta = experiment.configuration | {
        "key": experiment.key,
        "packages": package_versions(),
        "revision": git_revision(),
        "device": device_name(bench.device),
        "seconds": round(time.perf_counter() - start, 2),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.put(Record({name: np.asarray(value) for name, value in results.items()}, meta))
    shutil.rmtree(bench.folder, ignore_errors=True)
    return store.get(experiment.measure, experiment.key)
