"""An experiment: a measure applied to a setting with options; what it gives is named by the hash of the three."""

from __future__ import annotations

import inspect
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, get_type_hints

import numpy as np

from hspec.data import MissingData
from hspec.data.registry import find
from hspec.experiments.bench import Bench, load_images
from hspec.experiments.measures import MEASURES
from hspec.experiments.provenance import device_name, git_revision, package_versions
from hspec.experiments.records import Record, read_record
from hspec.experiments.setting import Setting, coerced
from hspec.experiments.store import Held, Store
from hspec.keys import canonical, digest, distinguishing

POLL = 1.0  # seconds between two rounds through experiments that are all held by others


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


def find_record(experiment: Experiment, store: Store) -> Record | None:
    """What the store has of the experiment; None where it has nothing, or something of other images.

    Images that hspec holds against no published checksum (a folder's) are compared with those that the record is
    of, by their fingerprints. The old record is not used, with a warning that says so; measuring anew replaces it.
    """
    record = store.get(experiment.measure, experiment.key)
    if record is None or experiment.setting is None or find(experiment.setting.dataset).checked:
        return record
    return record if shows_these_images(record, experiment.setting) else None


def shows_these_images(record: Record, setting: Setting) -> bool:
    """Whether the record is of the images that are now under the data set's name; warns where it is not.

    Where they are not on this machine there is nothing to compare: that too is told, and the record is taken.
    """
    name = f"the stored record {record.meta['measure']}/{record.meta['key']}"
    try:
        for sample, fingerprint in record.meta.get("images", {"train": None}).items():
            split, _, per_class = sample.partition("/")
            if load_images(setting, split, int(per_class) if per_class else None).fingerprint != fingerprint:
                warnings.warn(
                    f"{name} is of other images than {setting.dataset} now holds: not used", stacklevel=3
                )
                return False
    except MissingData as error:
        warnings.warn(f"{name} could not be compared with the images it is of: {error}", stacklevel=3)
    return True


def load_or_run(
    experiment: Experiment,
    store: Store | None = None,
    *,
    device=None,
    progress: bool = True,
    wait: bool = True,
) -> Record:
    """The experiment's record: from the store where it is there, else measured now and stored.

    An interrupted measure leaves its checkpoints, and the next call goes on from them.

    wait   whether to wait where another process is measuring the same experiment, or training its net, meanwhile

    Raises :class:`Held` where another process is at it and ``wait`` is false.
    """
    store = store or Store()
    record = find_record(experiment, store)
    if record:
        return record
    store.require_room_for(experiment.measure, experiment.key)
    with store.claimed(f"{experiment.measure}-{experiment.key}", wait=wait):
        record = find_record(experiment, store)  # of the process that held the claim
        bench = Bench(experiment.setting, store, experiment.key, device=device, progress=progress, wait=wait)
        return record or run(experiment, bench)


def load_or_run_all(experiments: Iterable[Experiment], store: Store | None = None, **options) -> list[Record]:
    """:func:`load_or_run` for each; the records in the order of the experiments.

    Several processes may be given the same experiments: each takes those that no other is at, and waits at the end
    for what the others have not finished. All go through the list in order, so that what shares a training run
    should stand together.
    """
    store, waiting = store or Store(), list(enumerate(experiments))
    found: dict[int, Record] = {}
    while waiting:
        held = []
        for place, experiment in waiting:
            try:
                found[place] = load_or_run(experiment, store, wait=False, **options)
            except Held:
                held.append((place, experiment))
        if len(held) == len(waiting):
            time.sleep(POLL)
        waiting = held
    return [found[place] for place in sorted(found)]


def run(experiment: Experiment, bench: Bench) -> Record:
    """Measure now, whatever the store holds, and store the record."""
    start = time.perf_counter()
    try:
        results = MEASURES[experiment.measure].function(bench, **experiment.options)
    except BaseException:
        bench.forget_empty_folder()
        raise
    meta = experiment.configuration | {
        "key": experiment.key,
        "images": bench.fingerprints,
        "packages": package_versions(),
        "revision": git_revision(),
        "device": device_name(bench.device),
        "seconds": round(time.perf_counter() - start, 2),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    folder = bench.store.put(Record({name: np.asarray(value) for name, value in results.items()}, meta))
    shutil.rmtree(bench.folder, ignore_errors=True)
    return read_record(folder)
