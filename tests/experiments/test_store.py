"""The store loses nothing and never shows half a record."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from hspec.experiments import Record, Store
from hspec.experiments.store import STALE_AFTER


def record(key="k" * 20, value=1.0):
    return Record({"x": np.full(3, value)}, {"measure": "toy", "key": key, "seconds": 0.1})


def test_round_trip(store):
    store.put(record())
    found = store.get("toy", "k" * 20)
    np.testing.assert_array_equal(found["x"], np.ones(3))
    assert found.meta["seconds"] == 0.1
    assert "x" in found
    with pytest.raises(KeyError, match="no array 'y' in this record of toy: it has \\['x'\\]"):
        found["y"]


def test_same_arrays_same_bytes(store):
    first = store.put(record(key="a" * 20)) / "arrays.npz"
    second = store.put(record(key="b" * 20)) / "arrays.npz"
    assert first.read_bytes() == second.read_bytes()


def test_absent_is_none(store):
    assert store.get("toy", "absent") is None


def test_published_records_are_found(store, tmp_path):
    Store(tmp_path / "results", tmp_path / "nowhere").put(record(value=5.0))
    assert store.get("toy", "k" * 20)["x"][0] == 5.0
    assert [r.meta["key"] for r in store.published_records("toy")] == ["k" * 20]


def test_fresh_store_does_not_answer_from_what_is_published(store, tmp_path, monkeypatch):
    Store(tmp_path / "results", tmp_path / "nowhere").put(record())
    monkeypatch.setenv("HSPEC_FRESH", "1")
    fresh = Store(store.root, store.published)
    assert fresh.get("toy", "k" * 20) is None
    assert len(fresh.published_records("toy")) == 1


def test_publishing_copies_what_is_new(store):
    store.put(record(key="a" * 20))
    store.put(record(key="b" * 20))
    assert [folder.name for folder in store.publish("toy")] == ["a" * 20, "b" * 20]
    assert store.publish("toy") == []
    assert len(store.published_records("toy")) == 2
    assert len(store.published_records("toy", besides=[record(key="a" * 20)])) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "arrays.npz").write_bytes((folder / "arrays.npz").read_bytes()[:-7]),
        lambda folder: (folder / "arrays.npz").unlink(),
        lambda folder: (folder / "meta.json").write_text("{"),
        lambda folder: (folder / "meta.json").write_text(json.dumps({"key": "another"})),
    ],
    ids=["truncated", "missing arrays", "broken json", "another key"],
)
def test_damaged_record_is_reported_and_replaced(store, damage):
    damage(store.put(record()))
    with pytest.warns(UserWarning, match="damaged record .*; it will be computed again"):
        assert store.get("toy", "k" * 20) is None
    store.put(record(value=2.0))
    assert store.get("toy", "k" * 20)["x"][0] == 2.0


def test_failed_write_leaves_nothing(store, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("hspec.experiments.store.write_record", fail)
    with pytest.raises(OSError, match="disk full"):
        store.put(record())
    assert list((store.root / "toy").iterdir()) == []


def test_abandoned_temporary_folders_are_removed(store):
    left = store.root / "toy" / ".writing-dead"
    left.mkdir(parents=True)
    old = time.time() - STALE_AFTER - 1
    os.utime(left, (old, old))
    store.put(record())
    assert not left.exists()


def test_unwritable_store_is_refused_with_the_remedy(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(PermissionError, match="set HSPEC_STORE to a folder that is"):
        Store(blocked).require_writable()


HOLDER = """
import sys, time
from hspec.experiments import Store
with Store(sys.argv[1]).locked("one"):
    print("in", time.monotonic(), flush=True)
    time.sleep(0.3)
    print("out", time.monotonic(), flush=True)
"""


def test_one_process_at_a_time(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [
        line.split() for process in processes for line in process.communicate(timeout=60)[0].splitlines()
    ]
    events = [event for event, _ in sorted(lines, key=lambda line: float(line[1]))]
    assert events == ["in", "out", "in", "out"]
