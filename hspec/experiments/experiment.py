"""An experiment: a measure applied to a setting with options;
what it gives is named by the hash of the three.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from hspec.data import MissingData
from hspec.data.registry import find
from hspec.experiments.measure import Measure
from hspec.experiments.provenance import device_name, git_revision, package_versions
from hspec.experiments.records import Record, read_record
from hspec.experiments.setting import Setting
from hspec.experiments.store import Held, Store
from hspec.experiments.task import Task, load_images
from hspec.keys import canonical, digest, distinguishing
from hspec.stopwatch import Stopwatch

POLL = 1.0  # seconds between two rounds through experiments that are all held by others


@dataclass(frozen=True)
class Experiment:
    """A measure, the setting it is applied to, and the measure's options.

    Options left out take the measure's defaults, and count in the key all the same.

    Attributes:
        measure: A function made a measure by :func:`measure`.
        setting: Data, net and training; None for a measure of no net.
        options: The measure's, by name.

    Raises:
        ValueError: An option is unknown, or lacks a value.
        TypeError: An option is of the wrong type, or the measure is none.
    """

    measure: Measure
    setting: Setting | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if not isinstance(self.measure, Measure):
            raise TypeError(
                "an experiment needs a measure, a function made one by @measure; got "
                f"{self.measure!r}"
            )
        object.__setattr__(self, "options", MappingProxyType(self.measure.complete(self.options)))

    @property
    def configuration(self) -> dict[str, Any]:
        """Everything the result depends on, as plain JSON types;
        without later options still as at their birth.
        """
        return {
            "measure": self.measure.name,
            "version": self.measure.version,
            "setting": canonical(self.setting),
            "options": canonical(distinguishing(self.measure.function, self.options)),
        }

    @property
    def key(self) -> str:
        return digest(self.configuration)

    @property
    def name(self) -> str:
        """Of its claim, and of nothing else."""
        return f"{self.measure.name}-{self.key}"


def find_record(experiment: Experiment, store: Store) -> Record | None:
    """What the store has of the experiment; None where it has nothing, or something of other
    images.

    Images that hspec holds against no published checksum (a folder's) are compared with those that
    the record is of, by their fingerprints. The old record is not used, with a warning that says
    so; measuring anew replaces it. Of several ranks, the first one looks for all.
    """
    return store.ranks.told(lambda: _find(experiment, store))


def _find(experiment: Experiment, store: Store) -> Record | None:
    record = store.get(experiment.measure, experiment.key)
    if record is None or experiment.setting is None or find(experiment.setting.dataset).checked:
        return record
    return record if shows_these_images(record, experiment.setting) else None


def shows_these_images(record: Record, setting: Setting) -> bool:
    """Whether the record is of the images that are now under the data set's name; warns where it is
    not.

    Where they are not on this machine there is nothing to compare: that too is told, and the record
    is taken.
    """
    name = f"the stored record {record.meta['measure']}/{record.meta['key']}"
    try:
        for sample, fingerprint in record.meta.get("images", {"train": None}).items():
            split, _, per_class = sample.partition("/")
            if (
                load_images(setting, split, int(per_class) if per_class else None).fingerprint
                != fingerprint
            ):
                warnings.warn(
                    f"{name} is of other images than {setting.dataset} now holds: not used",
                    stacklevel=3,
                )
                return False
    except MissingData as error:
        warnings.warn(
            f"{name} could not be compared with the images it is of: {error}", stacklevel=3
        )
    return True


def load_or_run(
    experiment: Experiment,
    store: Store | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = True,
    wait: bool = True,
) -> Record:
    """The experiment's record: from the store where it is there, else measured now and stored.

    An interrupted measure leaves its checkpoints, and the next call goes on from them.

    Args:
        experiment: What is measured.
        store: Where records are looked for and kept; None: the default one.
        device: To measure on; None: a GPU where there is one.
        progress: Draw bars.
        wait: Whether to wait where another process is measuring the same experiment, or training
            its net, meanwhile.

    Raises:
        Held: Another process is at it, and ``wait`` is false.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from hspec.experiments import Recipe, Setting
        >>> from hspec.experiments.loss_curves import loss_curves
        >>> sizes = {"image_size": 8, "per_class": 5, "test_per_class": 5}
        >>> setting = Setting(model="mlp:20", recipe=Recipe(epochs=2), **sizes)
        >>> with TemporaryDirectory() as folder:
        ...     record = load_or_run(
        ...         Experiment(loss_curves, setting), Store(folder), progress=False
        ...     )
        >>> record["train_loss"].shape
        (2,)
    """
    store = store or Store()
    record = find_record(experiment, store)
    if record:
        store.forget(experiment.name, experiment.key)
        return record
    store.ranks.told(lambda: store.require_room_for(experiment.measure, experiment.key))
    with store.claimed(experiment.name, wait=wait):
        record = find_record(experiment, store)  # of the process that held the claim
        task = Task(
            experiment.setting, store, experiment.key, device=device, progress=progress, wait=wait
        )
        return record or run(experiment, task)


def load_or_run_all(
    experiments: Iterable[Experiment], store: Store | None = None, **options: object
) -> list[Record]:
    """:func:`load_or_run` for each; the records in the order of the experiments.

    Several processes may be given the same experiments: each takes those that no other is at, and
    waits at the end for what the others have not finished. All go through the list in order, so
    that what shares a training run should stand together.

    Args:
        experiments: What is measured.
        store: As in :func:`load_or_run`.
        options: ``device`` and ``progress``, likewise.
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


def run(experiment: Experiment, task: Task) -> Record:
    """Measure now, whatever the store holds, and store the record."""
    try:
        with Stopwatch(task.seconds_file) as watch:
            results = experiment.measure(task, **experiment.options)
    except BaseException:
        task.forget_empty_folder()
        raise
    meta = experiment.configuration | {
        "key": experiment.key,
        "images": task.fingerprints,
        "weights": task.weights,
        "packages": package_versions(),
        "revision": git_revision(),
        "device": device_name(task.device, task.store.ranks.size),
        "seconds": round(watch.seconds, 2),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    folder = task.store.put(
        Record({name: np.asarray(value) for name, value in results.items()}, meta)
    )
    if task.store.ranks.rank == 0:
        shutil.rmtree(task.folder, ignore_errors=True)
    return task.store.ranks.told(lambda: experiment.measure.typed(read_record(folder)))
