"""The store: one folder a record, written all at once or not at all.

A record is ``arrays.npz`` and ``meta.json`` in ``<root>/<measure>/<key>/``. It is written into a temporary folder next
to its place and renamed, so a reader never sees half a record and a killed writer leaves only a temporary folder.
"""

from __future__ import annotations

import hashlib
import io
import json
import operator
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock

REPOSITORY = Path(__file__).resolve().parents[2]
STALE_AFTER = 24 * 3600  # seconds after which a writer's temporary folder is certainly abandoned


@dataclass(frozen=True)
class Record:
    """A measured result: ``arrays`` by name, and ``meta`` with configuration and provenance.

    meta has the keys measure, version, key, configuration, packages, revision, device, seconds, written, checksum.
    """

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            raise KeyError(
                f"no array {name!r} in this record of {self.meta['measure']}: it has {sorted(self.arrays)}"
            )
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays


class DamagedRecord(Exception):
    """A record whose files are not what was written."""


class Store:
    """Records under ``root`` (read and written) over those of ``published`` (committed with the book, only read).

    root        default: the folder HSPEC_STORE names, else ``data/store`` of the repository
    published   default: ``data/results`` of the repository
    fresh       measure everything anew: do not answer from what is published; default: whether HSPEC_FRESH is set
    """

    def __init__(
        self, root: str | Path | None = None, published: str | Path | None = None, fresh: bool | None = None
    ):
        self.root = Path(root or os.environ.get("HSPEC_STORE") or REPOSITORY / "data" / "store").expanduser()
        self.published = Path(published or REPOSITORY / "data" / "results")
        self.fresh = bool(os.environ.get("HSPEC_FRESH")) if fresh is None else fresh

    def get(self, measure: str, key: str) -> Record | None:
        """The record, or None where there is none. A damaged one is reported by a warning and counts as absent."""
        places = [self.root] if self.fresh else [self.root, self.published]
        for folder in (place / measure / key for place in places):
            if folder.is_dir():
                try:
                    return read_record(folder, key)
                except DamagedRecord as error:
                    warnings.warn(
                        f"damaged record {folder}: {error}; it will be computed again", stacklevel=2
                    )
        return None

    def published_records(self, measure: str, besides: Iterable[Record] = ()) -> list[Record]:
        """The records of ``measure`` that are committed with the book, without those named in ``besides``."""
        shown = {record.meta["key"] for record in besides}
        folders = sorted(meta.parent for meta in (self.published / measure).glob("*/meta.json"))
        return [read_record(folder, folder.name) for folder in folders if folder.name not in shown]

    def largest_published(self, measure: str, besides: Iterable[Record] = ()) -> Record | None:
        """The published record of the net with most parameters (then of most examples); None where there is none."""
        size = operator.itemgetter("num_parameters", "num_examples")
        return max(self.published_records(measure, besides), key=size, default=None)

    def publish(self, measure: str) -> list[Path]:
        """Copy the records of ``measure`` that are not published yet to where the book's are; returns their folders."""
        found = [meta.parent for meta in sorted((self.root / measure).glob("*/meta.json"))]
        new = [folder for folder in found if not (self.published / measure / folder.name).is_dir()]
        return [_put(read_record(folder, folder.name), self.published) for folder in new]

    def put(self, record: Record) -> Path:
        """Write the record atomically; an older or damaged one of the same key is replaced."""
        return _put(record, self.root)

    def require_writable(self) -> None:
        """Raise before any work is done if results could not be kept."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise PermissionError(
                f"cannot write to the result store {self.root} ({error.strerror}): "
                "make it writable, or set HSPEC_STORE to a folder that is"
            ) from error

    def working_folder(self, *parts: str) -> Path:
        """A folder for the checkpoints of unfinished work, kept until the work is done."""
        folder = self.root.joinpath("unfinished", *parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Only one process at a time holds ``name``; the operating system frees it when its holder dies."""
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{name}.lock"):
            yield


def _put(record: Record, root: Path) -> Path:
    target = root / record.meta["measure"] / record.meta["key"]
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
    try:
        write_record(temporary, record)
        if target.exists():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(".writing-*"):
        if time.time() - folder.stat().st_mtime > STALE_AFTER:
            shutil.rmtree(folder, ignore_errors=True)


def write_record(folder: Path, record: Record) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **record.arrays)  # the same arrays give the same bytes
    content = buffer.getvalue()
    meta = record.meta | {"checksum": hashlib.sha256(content).hexdigest()}
    (folder / "arrays.npz").write_bytes(content)
    (folder / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")


def read_record(folder: Path, key: str) -> Record:
    """Raises DamagedRecord where the files do not belong together or cannot be read."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        content = (folder / "arrays.npz").read_bytes()
        if meta["key"] != key:
            raise DamagedRecord(f"its key is {meta['key']}, not {key}")
        if hashlib.sha256(content).hexdigest() != meta["checksum"]:
            raise DamagedRecord("arrays.npz does not have the checksum that meta.json gives")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Record({name: arrays[name] for name in arrays.files}, meta)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DamagedRecord(f"{type(error).__name__}: {error}") from error
