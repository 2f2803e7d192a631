"""A record: one measured result, as a folder of two files that a reader finds whole or not at all.

``meta.json`` says what was measured, with what, and which file holds the numbers: ``arrays-….npz``,
under a name that nobody else uses. That file is written first; the moment ``meta.json`` is renamed
into place is the moment the record is there, or another in the place of an older one. A reader who
came before that moment and finds the older numbers gone reads again.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hspec.experiments.setting import Setting
from hspec.files import ABANDONED, write_whole
from hspec.keys import digest
from hspec.linalg import SpectralMeasure

CONFIGURATION = (
    "measure",
    "version",
    "setting",
    "options",
)  # of meta: what the key is the digest of
META, ARRAYS = "meta.json", "arrays.npz"
NAME = re.compile(r"\w[\w-]*")


class DamagedRecord(Exception):
    """A record whose files are not what was written;
    the message names the folder and what is wrong.
    """


@dataclass(frozen=True)
class Record:
    """A measured result: ``arrays`` by name, and ``meta`` with configuration and provenance.

    A measure may have a type of record of its own (:class:`hspec.experiments.measure.Measure`),
    whose attributes are what it measured.

    Attributes:
        arrays: What was measured, by name; ``record[name]`` is short for it.
        meta: measure, version, setting and options, whose digest is key; images, the fingerprint of
            each sample that was looked at; weights, the fingerprint of the trained net by number of
            updates (older records have none); packages, revision, device, seconds, written; arrays
            and checksum.
    """

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            raise KeyError(
                f"no array {name!r} in this record of {self.meta['measure']}: it has "
                f"{sorted(self.arrays)}"
            )
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    @cached_property
    def setting(self) -> Setting | None:
        """What was measured; None where it was no net."""
        return self.meta["setting"] and Setting.from_canonical(self.meta["setting"])

    @property
    def options(self) -> dict[str, Any]:
        """Those of the measure."""
        return self.meta["options"]

    @property
    def num_classes(self) -> int:
        """C."""
        return int(self["num_classes"])

    @property
    def num_examples(self) -> int:
        """N, that the matrices are averages over."""
        return int(self["num_examples"])

    @property
    def num_parameters(self) -> int:
        """p."""
        return int(self["num_parameters"])

    @property
    def loss(self) -> float:
        """Of the net on these examples, in nats."""
        return float(self["loss"])

    @property
    def error_rate(self) -> float:
        """Of the net on these examples, from 0 to 1."""
        return float(self["error_rate"])

    @property
    def evidence(self) -> tuple[int, int, float]:
        """By which nets are ordered, the best evidence last; p, N and, of one size, the share of
        these examples that the net gets right (1 where that was not kept).
        """
        right = 1 - self.error_rate if "error_rate" in self else 1.0
        return self.num_parameters, self.num_examples, right

    def same_weights(self, other: Record) -> bool | None:
        """Whether both are of one training, by the fingerprints of the nets that both looked at;
        None where that was not kept.
        """
        ours, theirs = (record.meta.get("weights", {}) for record in (self, other))
        steps = ours.keys() & theirs.keys()
        return all(ours[step] == theirs[step] for step in steps) if steps else None

    @property
    def device(self) -> str:
        """The GPU's model, or the CPU and its threads; older records say "1 threads"."""
        return re.sub(r"\b1 threads", "1 thread", self.meta["device"])

    def spectrum(self, prefix: str) -> SpectralMeasure:
        """The spectrum whose nodes and weights the measure stored under names that begin
        with ``prefix``.
        """
        arrays = {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)}
        return SpectralMeasure.from_arrays(arrays)


def record_folder(root: Path, measure: str, key: str) -> Path:
    """``root/measure/key``; raises ValueError for names that would lead elsewhere."""
    for name in (measure, key):
        if not NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot name a record's folder: use letters, digits, _ and -"
            )
    return root / measure / key


def holds_record(folder: Path) -> bool:
    """Whether there is a record, sound or damaged."""
    try:
        return (folder / META).is_file()
    except OSError:  # a name too long for the file system, a folder that may not be entered
        return False


def write_record(folder: Path, record: Record) -> Path:
    """Write the record, in the place of an older one if there is one; returns the folder."""
    buffer = io.BytesIO()
    np.savez(buffer, **record.arrays)  # the same arrays give the same bytes
    content = buffer.getvalue()
    checksum = hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    arrays, replaced = folder / f"arrays-{uuid.uuid4().hex[:12]}.npz", _arrays_now(folder)
    meta = record.meta | {"arrays": arrays.name, "checksum": checksum}
    text = json.dumps(meta, indent=1, sort_keys=True) + "\n"
    try:
        write_whole(arrays, lambda file: file.write(content))
        write_whole(folder / META, lambda file: file.write(text.encode()))
    except BaseException:
        _forget_unfinished(folder, arrays)
        raise
    _remove_old_files(folder, arrays, replaced)
    return folder


def read_record(folder: Path) -> Record:
    """The record of a folder that :func:`holds_record`.

    Raises:
        DamagedRecord: The files do not belong together, are not a record's, or cannot be read.
    """
    try:
        meta, content = _read_both(folder)
        if (meta["measure"], meta["key"]) != (folder.parent.name, folder.name):
            raise DamagedRecord(f"it is {meta['measure']}/{meta['key']}")
        if digest({name: meta[name] for name in CONFIGURATION}) != meta["key"]:
            raise DamagedRecord(
                "the setting and options in meta.json are not those that its key was made of"
            )
        if hashlib.sha256(content).hexdigest() != meta["checksum"]:
            raise DamagedRecord("the arrays do not have the checksum that meta.json gives")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Record({name: arrays[name] for name in arrays.files}, meta)
    except MemoryError:
        raise
    except Exception as error:  # whatever a file may hold, it is not a record
        reason = (
            str(error) if isinstance(error, DamagedRecord) else f"{type(error).__name__}: {error}"
        )
        raise DamagedRecord(f"damaged record {folder}: {reason}") from error


def _read_both(folder: Path) -> tuple[dict[str, Any], bytes]:
    text = (folder / META).read_bytes()
    while True:
        meta = json.loads(text)
        try:
            return meta, (folder / Path(meta.get("arrays", ARRAYS)).name).read_bytes()
        except FileNotFoundError:
            newer = (folder / META).read_bytes()
            if newer == text:
                raise
            text = newer  # another process has replaced the record since


def _arrays_now(folder: Path) -> str | None:
    """The name of the file that the present meta.json names;
    None where there is none to be read.
    """
    try:
        return json.loads((folder / META).read_bytes()).get("arrays", ARRAYS)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def _forget_unfinished(folder: Path, arrays: Path) -> None:
    """After a failed write: the older record stays, and where there was none no trace does."""
    with suppress(OSError):
        if _arrays_now(folder) != arrays.name:
            arrays.unlink(missing_ok=True)
        folder.rmdir()


def _remove_old_files(folder: Path, arrays: Path, replaced: str | None) -> None:
    """The replaced numbers, and those of killed writers;
    not what another writer may be about to name.
    """
    with suppress(OSError):  # another process has replaced this record in turn
        now = arrays.stat().st_mtime  # by the file system's own clock
        for other in folder.glob("arrays*.npz"):
            old = now - other.stat().st_mtime > ABANDONED
            if other.name != arrays.name and (old or other.name == replaced):
                other.unlink(missing_ok=True)
