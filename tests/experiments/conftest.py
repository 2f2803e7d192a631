"""A record to put into a store, and every way to damage it."""

import json

import numpy as np
import pytest

from hspec.experiments.records import Record
from hspec.keys import digest


def toy_record(value=1.0, size=3, **options):
    configuration = {
        "measure": "toy",
        "version": 1,
        "setting": {"per_class": 5},
        "options": options,
    }
    meta = configuration | {"key": digest(configuration), "seconds": 0.1}
    return Record({"x": np.full(size, value)}, meta)


@pytest.fixture
def record():
    """A function that makes a record of a value, a size and options."""
    return toy_record


def change_one(name, value):
    def damage(folder):
        meta = json.loads((folder / "meta.json").read_text())
        meta[name] = value
        (folder / "meta.json").write_text(json.dumps(meta))

    return damage


def overwrite(text):
    return lambda folder: (folder / "meta.json").write_bytes(text)


def of_arrays(change):
    def damage(folder):
        (arrays,) = folder.glob("arrays*.npz")
        change(arrays)

    return damage


DAMAGES = {
    "arrays cut": of_arrays(lambda f: f.write_bytes(f.read_bytes()[:-7])),
    "arrays empty": of_arrays(lambda f: f.write_bytes(b"")),
    "arrays missing": of_arrays(lambda f: f.unlink()),
    "a folder for arrays": of_arrays(lambda f: (f.unlink(), f.mkdir())),
    "another setting": change_one("setting", {"per_class": 5000}),
    "another option": change_one("options", {"epoch": 3}),
    "another version": change_one("version", 2),
    "another measure": change_one("measure", "joy"),
    "another key": change_one("key", "0" * 20),
    "another checksum": change_one("checksum", "0" * 64),
    "a number for a name": change_one("arrays", 3),
    "a setting that is no configuration": change_one("setting", float("nan")),
    "cut": overwrite(b"{"),
    "empty": overwrite(b""),
    "a list": overwrite(b"[]"),
    "null": overwrite(b"null"),
    "a number": overwrite(b"3"),
    "keys missing": overwrite(b"{}"),
    "not UTF-8": overwrite(b"\xff\xfe{}"),
    "nested too deeply": overwrite(b"[" * 100_000),
}


@pytest.fixture(params=DAMAGES.values(), ids=DAMAGES)
def damage(request):
    """A function that damages the record in a folder."""
    return request.param
