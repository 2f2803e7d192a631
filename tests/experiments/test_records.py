"""A record is whole or not there, and says of itself when it is not what was written."""

import json
import os
import time
from multiprocessing import get_context

import numpy as np
import pytest

from hspec.experiments.records import (
    DamagedRecord,
    holds_record,
    read_record,
    record_folder,
    write_record,
)
from hspec.files import ABANDONED, write_whole


@pytest.fixture
def folder(tmp_path, record):
    return record_folder(tmp_path, "toy", record().meta["key"])


def test_round_trip(folder, record):
    found = read_record(write_record(folder, record()))
    np.testing.assert_array_equal(found["x"], np.ones(3))
    assert found.meta["seconds"] == 0.1
    assert "x" in found
    with pytest.raises(KeyError, match="no array 'y' in this record of toy: it has \\['x'\\]"):
        found["y"]


def test_same_arrays_same_bytes(folder, record):
    first, second = (
        next(write_record(folder, record()).glob("arrays*")).read_bytes() for _ in range(2)
    )
    assert first == second


def test_a_replaced_record_leaves_two_files(folder, record):
    write_record(folder, record(1.0))
    write_record(folder, record(2.0))
    assert read_record(folder)["x"][0] == 2.0
    assert len(list(folder.iterdir())) == 2


def test_numbers_under_their_first_name_are_read(folder, record):
    """As the first published records have it."""
    write_record(folder, record())
    (arrays,) = folder.glob("arrays-*.npz")
    arrays.rename(folder / "arrays.npz")
    meta = json.loads((folder / "meta.json").read_text())
    del meta["arrays"]
    (folder / "meta.json").write_text(json.dumps(meta))
    assert read_record(folder)["x"][0] == 1.0
    write_record(folder, record(2.0))
    assert not (folder / "arrays.npz").exists()


@pytest.mark.parametrize("file", ["arrays", "meta"])
def test_a_failed_write_leaves_nothing_and_the_older_record_whole(
    folder, record, monkeypatch, file
):
    def fail_on(path, write):
        if path.name.startswith(file):
            raise OSError("disk full")
        write_whole(path, write)

    for before in (None, record(1.0)):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
            if before:
                write_record(folder, before)
            patch.setattr("hspec.experiments.records.write_whole", fail_on)
            write_record(folder, record(2.0))
        assert folder.exists() == (before is not None)
    assert read_record(folder)["x"][0] == 1.0
    assert len(list(folder.iterdir())) == 2


def test_what_killed_writers_left_is_removed_in_time(folder, record):
    write_record(folder, record())
    old, new = folder / "arrays-dead.npz", folder / "arrays-0123456789ab.npz"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * ABANDONED,) * 2)
    write_record(folder, record(2.0))
    assert not old.exists()
    assert new.exists(), "another process may be about to name it in meta.json"


def test_whatever_was_changed_is_recognised_and_can_be_replaced(folder, record, damage):
    write_record(folder, record())
    damage(folder)
    with pytest.raises(DamagedRecord, match=f"damaged record .*{folder.name}: "):
        read_record(folder)
    write_record(folder, record(2.0))
    assert read_record(folder)["x"][0] == 2.0


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", "a b"])
def test_no_name_leads_out_of_the_store(tmp_path, name):
    with pytest.raises(ValueError, match="cannot name a record's folder"):
        record_folder(tmp_path, name, "k")
    with pytest.raises(ValueError, match="cannot name a record's folder"):
        record_folder(tmp_path, "toy", name)


def test_a_name_too_long_holds_no_record(tmp_path):
    assert not holds_record(tmp_path / ("x" * 300))


def replace_often(folder, make):
    for i in range(30):
        write_record(folder, make(float(i), 2000))


def test_a_reader_beside_writers_sees_one_record_or_another(folder, record):
    """Two processes replace the record all the time; no read finds half of one, or none."""
    write_record(folder, record(0.0, 2000))
    processes = get_context("fork")
    writers = [processes.Process(target=replace_often, args=(folder, record)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        numbers = read_record(folder)["x"]
        assert (numbers == numbers[0]).all()
    assert [writer.exitcode for writer in writers] == [0, 0]
