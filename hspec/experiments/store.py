"""The store: where records are found, kept and published, and how processes share the work.

Records lie in ``<root>/<measure>/<key>/`` (:mod:`hspec.experiments.records`), unfinished work in
``<root>/unfinished``, training runs in ``<root>/training``, and what a process is busy with in
``<root>/claims``.
"""

from __future__ import annotations

import operator
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch.distributed as dist
from filelock import SoftFileLease, Timeout

from hspec.distributed import ranks_of
from hspec.experiments.measure import Measure
from hspec.experiments.records import (
    DamagedRecord,
    Record,
    holds_record,
    read_record,
    record_folder,
    write_record,
)

LAPTOP = "laptop"  # beside what is published: the laptop-scale results that come with the book
REPOSITORY = Path(__file__).resolve().parents[2]
HEARTBEAT = 60.0  # seconds between the signs of life of a claim
STALE_AFTER = 5 * HEARTBEAT  # seconds without one, after which a claim is somebody else's to take
WAITING_POLL = 0.2  # seconds between two looks at a claim that is waited for


class Held(Exception):
    """Another process is at this piece of work."""


class Store:
    """Records under ``root`` (read and written) over those that come with the book (only read).

    These are of two kinds. Under ``published`` lie the large ones, which pages show whatever their
    own scale; beside it, under ``laptop``, those of the chapters at laptop scale, which spare
    whoever makes the book the measuring.

    Args:
        root: Default: the folder HSPEC_STORE names, else ``data/store`` of the repository.
        published: Default: ``data/results`` of the repository.
        fresh: Measure everything anew, whatever comes with the book; default: whether HSPEC_FRESH
            is set.
        group: Processes that measure together, on one disk (:mod:`hspec.distributed`): the first of
            them holds claims and writes records for all, and risks of a :class:`Task` are shared
            between them.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        published: str | Path | None = None,
        fresh: bool | None = None,
        group: dist.ProcessGroup | None = None,
    ):
        self.ranks = ranks_of(group)
        self.root = Path(
            root or os.environ.get("HSPEC_STORE") or REPOSITORY / "data" / "store"
        ).expanduser()
        self.published = Path(published or REPOSITORY / "data" / "results")
        self.laptop = self.published.with_name(LAPTOP)
        self.fresh = bool(os.environ.get("HSPEC_FRESH")) if fresh is None else fresh
        self._leases: dict[str, SoftFileLease] = {}

    def get(self, measure: Measure, key: str) -> Record | None:
        """The record, or None where there is none.
        A damaged one is reported by a warning and counts as absent.
        """
        places = [self.root] if self.fresh else [self.root, self.published, self.laptop]
        folders = [record_folder(place, measure.name, key) for place in places]
        record = next(_sound(folders, "it will be computed again"), None)
        return record and measure.typed(record)

    def published_records(self, measure: Measure, besides: Iterable[Record] = ()) -> list[Record]:
        """The records of ``measure`` that are committed with the book, without those named in
        ``besides``.

        A damaged one is reported by a warning and left out; one of another version of the measure
        is left out.
        """
        shown = {record.meta["key"] for record in besides}
        folders = [
            folder
            for folder in sorted((self.published / measure.name).glob("*"))
            if folder.name not in shown
        ]
        return _of_today(folders, measure)

    def laptop_records(self, measure: Measure) -> list[Record]:
        """The laptop-scale records of ``measure`` that come with the book, as above."""
        folders = sorted((self.laptop / measure.name).glob("*"))
        return _of_today(folders, measure)

    def records_of_the_book(self, measure: Measure) -> list[Record]:
        """Both kinds, each record once: some lie in both folders."""
        published = self.published_records(measure)
        shown = {record.meta["key"] for record in published}
        laptop = self.laptop_records(measure)
        return [*published, *(r for r in laptop if r.meta["key"] not in shown)]

    def largest_published(self, measure: Measure, besides: Iterable[Record] = ()) -> Record | None:
        """The published record of the net with most parameters (then of most examples, then with
        fewest errors); None where there is none.
        """
        size = operator.attrgetter("evidence")
        return max(self.published_records(measure, besides), key=size, default=None)

    def publish(self, measure: Measure) -> list[Path]:
        """Copy the records of ``measure`` that are not published yet to where the book's are;
        returns their folders.

        A damaged one is reported by a warning and left out; one of another version of the measure
        is left out.
        """
        published = self.published / measure.name
        new = [
            f
            for f in sorted((self.root / measure.name).glob("*"))
            if not holds_record(published / f.name)
        ]
        return [
            write_record(published / r.meta["key"], r)
            for r in _of_today(new, measure, "it is not published")
        ]

    def merge(self, other: str | Path) -> list[Path]:
        """Take the records of the store ``other`` that this one has not; returns their folders.

        A record's name tells all that it depends on, so nothing can clash. A damaged one is
        reported by a warning and left out.
        """
        new = [
            folder
            for folder in sorted(Path(other).glob("*/*"))
            if holds_record(folder)
            and not holds_record(self.root / folder.parent.name / folder.name)
        ]
        return [self.put(record) for record in _sound(new, "it is not taken")]

    def claims(self) -> dict[str, str]:
        """What processes are busy with, by its name: which process, where,
        and its last sign of life.
        """
        found = {}
        for file in sorted((self.root / "claims").glob("*.claim")):
            try:
                text, silent = file.read_text(), time.time() - file.stat().st_mtime
            except OSError:  # given back meanwhile
                continue
            facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
            stale = ", stale" if silent > STALE_AFTER else ""
            holder = f"process {facts.get('pid', '?')} on {facts.get('host', '?')}"
            found[file.stem] = f"{holder}, last sign of life {max(0.0, silent):.0f} s ago{stale}"
        return found

    def put(self, record: Record) -> Path:
        """Write the record; an older or damaged one of the same key is replaced,
        at one moment."""
        folder = record_folder(self.root, record.meta["measure"], record.meta["key"])
        return self.ranks.told(lambda: write_record(folder, record))

    def require_room_for(self, measure: Measure, key: str) -> None:
        """Raise before any work is done if its result could not be kept."""
        target = record_folder(self.root, measure.name, key)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise PermissionError(
                f"cannot write to the result store {self.root} ({error.strerror}): "
                "make it writable, or set HSPEC_STORE to a folder that is"
            ) from error
        for folder in (target, target.parent):
            if folder.exists() and not folder.is_dir():
                raise FileExistsError(
                    f"{folder} is a file where records belong in a folder: remove it"
                )

    def unfinished(self, name: str) -> Path:
        """The folder for the checkpoints of unfinished work, kept until the work is done."""
        return self.root / "unfinished" / name

    @contextmanager
    def claimed(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Hold ``name``, so that other processes leave it to this one; may be entered again from
        within.

        A claim is a file created exclusively, which works on network file systems too. It says who
        holds it and shows a sign of life every :data:`HEARTBEAT` seconds. That of a killed process
        is taken over: at once on the same machine, elsewhere :data:`STALE_AFTER` seconds without a
        sign, by the clock of the one that waits. A process that was merely asleep so long goes on,
        and both write the same record: harmless.

        Args:
            wait: Whether to wait for another holder.

        Raises :class:`Held` where another process holds it and ``wait`` is false.
        """
        if not self.ranks.told(lambda: self._take(name, wait)):
            raise Held(f"another process is at {name}")
        try:
            yield
        finally:
            if self.ranks.rank == 0:
                self._leases[name].release()

    def forget(self, claim: str, work: str) -> None:
        """Remove the claim, and the unfinished work of that name, of a record that is there: what a
        process left that was killed after it had written it. Nothing of one that lives is removed.
        """
        left = (self._claim_file(claim), self.unfinished(work))
        if self.ranks.rank == 0 and any(path.exists() for path in left):
            with suppress(OSError):  # a store that may only be read
                if self._take(claim, wait=False):
                    shutil.rmtree(self.unfinished(work), ignore_errors=True)
                    self._leases[claim].release()

    def _claim_file(self, name: str) -> Path:
        return self.root / "claims" / f"{name}.claim"

    def _take(self, name: str, wait: bool) -> bool:
        """Whether the claim could be had."""
        lease = self._leases.get(name)
        if lease is None:  # the same one every time: it remembers when it last saw a sign of life
            claim = self._claim_file(name)
            claim.parent.mkdir(parents=True, exist_ok=True)
            lease = SoftFileLease(claim, lease_duration=STALE_AFTER, heartbeat_interval=HEARTBEAT)
            self._leases[name] = lease
        while True:
            _bury(Path(lease.lock_file))
            try:
                lease.acquire(timeout=HEARTBEAT if wait else 0, poll_interval=WAITING_POLL)
            except Timeout:
                if not wait:
                    return False
            else:
                return True


def _bury(claim: Path) -> None:
    """Remove an empty claim that is older than a sign of life.

    Its process was killed before it could say whose it is; filelock would wait for it forever.
    """
    with suppress(OSError):
        found = claim.stat()
        if not found.st_size and time.time() - found.st_mtime > HEARTBEAT:
            claim.unlink()


def _of_today(
    folders: Iterable[Path], measure: Measure, consequence: str = "it is left out"
) -> list[Record]:
    """The records of the folders whose numbers mean what the measure's do."""
    found = _sound(folders, consequence)
    return [measure.typed(r) for r in found if r.meta["version"] == measure.version]


def _sound(folders: Iterable[Path], consequence: str) -> Iterator[Record]:
    """The records of the folders that hold one; a damaged one is reported and passed over."""
    for folder in folders:
        if holds_record(folder):
            try:
                yield read_record(folder)
            except DamagedRecord as error:
                warnings.warn(f"{error}; {consequence}", stacklevel=4)
