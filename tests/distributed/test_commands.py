"""Commands under torchrun: the numbers of one process, one voice, one writer;
a fault on one rank ends all.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hspec import cli, distributed
from hspec.chapters.measures import MEASURES
from hspec.distributed import launched
from hspec.experiments import Store
from hspec.yours import load_spectrum

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
SMALL = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 18), nn.Tanh(), nn.Linear(18, 3)).double()

def batches():
    x = torch.randn(22, 20, generator=torch.Generator().manual_seed(1)).double()
    return list(zip(x.split(5), (torch.arange(22) % 3).split(5)))

lost_on_0 = batches

def lost_on_1():
    raise OSError("the disk is gone")
"""
SWEEP = """
measure: level_spectra
setting: {dataset: digits, model: "mlp:6", image_size: 8, test_per_class: 5, recipe: {epochs: 2}}
per_class: [3]
epochs: [2]
options: {num_steps: 10, num_probes: 1}
"""
pytestmark = pytest.mark.slow


def start(size, folder):
    """`size` ranks of the commands; their (exit codes of each command, standard outputs,
    standard errors).
    """
    command = [sys.executable, str(HERE / "commands.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(size), str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    said = [rank.communicate(timeout=300) for rank in ranks]
    codes = [(folder / f"codes-{rank}").read_text() for rank in range(size)]
    return codes, *zip(*said, strict=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("commands")
    (place / "small.py").write_text(SMALL)
    (place / "sweep.yaml").write_text(SWEEP)
    return place


@pytest.fixture(scope="module")
def two(folder):
    return start(2, folder)


@pytest.fixture
def alone(folder, monkeypatch):
    """One process, in this one: its store."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setenv("HSPEC_STORE", str(folder / "store-1"))
    return Store()


def test_spectrum_is_that_of_one_process_and_rank_0_alone_speaks(two, folder, alone):
    codes, outputs, errors = two
    assert codes == ["0 0 1", "0 0 1"], errors
    assert "index.html" in outputs[0] and outputs[1] == ""
    options = ["--top", "2", "--steps", "12", "--probes", "2", "--matrices", "Hess"]
    assert (
        cli.main(["spectrum", "small:net", "--data", "small:batches", "--out", "out-1", *options])
        == 0
    )
    found, right = (load_spectrum(folder / f"out-{n}") for n in (2, 1))
    assert (found.facts["ranks"], right.facts["ranks"]) == (2, 1)
    assert found.facts["num_examples"] == 22
    assert np.allclose(found["Hess"].values, right["Hess"].values, rtol=1e-9)
    assert np.allclose(found["Hess"].measure.nodes, right["Hess"].measure.nodes, atol=1e-9)
    assert np.allclose(found.class_values["B1"], right.class_values["B1"], atol=1e-12)


def test_a_sweeps_record_is_that_of_one_process(two, folder, alone):
    assert cli.main(["sweep", str(folder / "sweep.yaml")]) == 0
    places = [next((folder / f"store-{n}" / "level_spectra").iterdir()) for n in (2, 1)]
    assert places[0].name == places[1].name
    together, right = (
        Store(place.parents[1]).get(MEASURES["level_spectra"], place.name) for place in places
    )
    assert together.meta["device"].startswith("2 ranks, each ")
    for name in ("A1", "A2", "B1", "loss", "num_examples"):
        assert np.allclose(together[name], right[name], rtol=1e-3, atol=1e-5 * right["A1"][0]), name
    assert Store(folder / "store-2").claims() == {}
    assert not any((folder / "store-2" / "unfinished").iterdir())


def test_a_fault_on_one_rank_ends_all_and_is_said_once(two, folder):
    _, _, errors = two
    assert "rank 1: small:lost_on_1() fails: OSError: the disk is gone" in errors[0]
    assert "hspec:" not in errors[1]
    assert not (folder / "out-lost").exists()


def test_processes_meet_where_torchrun_says(monkeypatch, tmp_path):
    joined, init = [], distributed.dist.init_process_group
    monkeypatch.setattr(
        distributed.dist,
        "init_process_group",
        lambda backend, timeout: (
            joined.append(backend)
            or init(backend, init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
        ),
    )
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    with launched("cpu") as group:
        assert distributed.ranks_of(group).size == 1
        with launched("cpu") as inner:
            assert inner is group
        assert distributed.dist.is_initialized()
    assert joined == ["gloo"] and not distributed.dist.is_initialized()
