"""Sweeps: a file's cells, filled by workers that share them,
and stores that are put together."""

import os
import signal
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import yaml

from hspec import cli
from hspec.chapters.measures import MEASURES
from hspec.commands import sweep as command
from hspec.experiments import Setting, Store, load_or_run
from hspec.experiments.grid import grid
from hspec.experiments.measure import measure
from hspec.experiments.sweep import fill, sweep_grid
from hspec.training import Recipe
from hspec.training.published_rates import GRIDS

PROCESSES = get_context("fork")
ENTRY = {
    "measure": "counted",
    "setting": {"model": "mlp:4", "recipe": {"epochs": 20}},
    "per_class": [10, 20],
    "epochs": [2, 5, 10],
}
SWEEPS = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))


@measure(version=1)
def counted(task, *, epoch: int | None = None):
    """Takes a while, and notes who was at it, from when to when."""
    start = time.monotonic()
    time.sleep(0.2)
    with (task.store.root / "cells").open("a") as file:
        cell = f"{task.setting.per_class}-{epoch}"
        file.write(f"{cell} {os.getpid()} {start} {time.monotonic()}\n")
    return {"x": float(epoch)}


def cells(store):
    return [line.split() for line in (store.root / "cells").read_text().splitlines()]


@pytest.fixture
def experiments():
    return list(sweep_grid(ENTRY, {"counted": counted}).experiments.values())


def test_an_entry_is_a_grid(experiments):
    base = Setting(model="mlp:4", recipe=Recipe(epochs=20))
    plane = grid(counted, base, per_class=[10, 20], epochs=[2, 5, 10])
    assert [e.key for e in experiments] == [e.key for e in plane.experiments.values()]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measure": "guessed"}, "measure: guessed is unknown: there are counted"),
        ({"epoch": [1]}, "a sweep has no 'epoch'"),
        ({"setting": {"recipe": {"epochs": 20}, "net": "vgg11"}}, "setting has no 'net'"),
        ({"setting": {"recipe": {"epoch": 20}}}, "recipe has no 'epoch'"),
        ({"setting": {}}, "setting needs recipe"),
        ({"epochs": [3]}, r"epochs \[3\] are not kept"),
        ({"epochs": 3}, r"epochs is 3: a list is needed, such as \[10, 13\]"),
        ({"per_class": "10"}, "per_class is '10': a list is needed"),
        ({"setting": "vgg11"}, "setting is str: names and values are needed"),
        ({"options": ["seed"]}, "options is list: names and values are needed"),
    ],
)
def test_a_misspelt_word_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        sweep_grid(ENTRY | change, {"counted": counted})


def test_two_workers_share_a_sweep_and_start_apart(store, experiments):
    def work(i):
        torch.set_num_threads(1)  # a forked process has none of its parent's threads
        fill(experiments, store, worker=(i, 2), progress=False)

    workers = [PROCESSES.Process(target=work, args=(i,)) for i in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done, by, starts, ends = zip(*cells(store), strict=True)
    assert sorted(done) == sorted(f"{size}-{epoch}" for size in (10, 20) for epoch in (2, 5, 10))
    assert len(set(by)) == 2
    times = [(float(start), float(end)) for start, end in zip(starts, ends, strict=True)]
    assert any(a[0] < b[0] < a[1] for a in times for b in times)  # nobody waits for the other
    assert {cell.split("-")[0] for cell in done[:2]} == {"10", "20"}
    assert store.claims() == {}


def test_no_cell_is_begun_when_time_is_up(store, experiments):
    assert fill(experiments, store, seconds=-1.0, progress=False) == 0
    assert fill(experiments, store, seconds=0.1, progress=False) == 1


def test_a_cell_that_fails_keeps_no_other_from_being_measured(tmp_path, monkeypatch, capsys):
    @measure(version=1)
    def diverging(task, *, epoch: int | None = None):
        if epoch == 2:
            raise FloatingPointError("the loss is not finite")
        return {"x": float(epoch)}

    monkeypatch.setitem(MEASURES, "diverging", diverging)
    monkeypatch.setenv("HSPEC_STORE", str(tmp_path / "store"))
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(ENTRY | {"measure": "diverging"}))
    assert cli.main(["sweep", str(file)]) == 1
    said = capsys.readouterr().err
    assert "hspec: 2 cells failed, 4 were measured" in said
    assert said.count("FloatingPointError: the loss is not finite") == 2
    assert cli.main(["sweep", str(file), "--status"]) == 0
    assert "small: 4 of 6 cells are in the store" in capsys.readouterr().out


def test_who_holds_what_is_told(store):
    with store.claimed("counted-abc"):
        (name, holder), *others = store.claims().items()
    assert not others and name == "counted-abc"
    assert holder.startswith(f"process {os.getpid()} on ") and "stale" not in holder


def test_stores_are_put_together(store, tmp_path, monkeypatch, experiments, capsys):
    other = Store(tmp_path / "other", published=tmp_path / "none")
    mine = load_or_run(experiments[0], store, progress=False)
    for experiment in experiments[:3]:
        load_or_run(experiment, other, progress=False)
    key = experiments[2].key
    next(p for p in (other.root / "counted" / key).iterdir() if p.suffix == ".npz").write_bytes(
        b"?"
    )
    monkeypatch.setenv("HSPEC_STORE", str(store.root))
    with pytest.warns(UserWarning, match="it is not taken"):
        assert cli.main(["merge", str(other.root)]) == 0
    assert "1 records are new" in capsys.readouterr().out
    assert store.get(counted, experiments[0].key).meta == mine.meta
    assert store.get(counted, experiments[1].key)["x"] == 5.0
    assert store.get(counted, key) is None
    assert cli.main(["merge", str(tmp_path / "nowhere")]) == 1
    assert cli.main(["merge", str(other.root.parent)]) == 1  # the folder above the store
    assert "holds no record: give the folder that HSPEC_STORE names" in capsys.readouterr().err


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_sweeps_of_the_repository_are_grids(file):
    assert len({experiment.key for experiment in command.read(file)}) == sum(
        len(e["per_class"])
        * (len(GRIDS[e["rates"]]) if "rates" in e else len(e["epochs"]) * e.get("repeats", 1))
        for e in yaml.safe_load(file.read_text())
    )


def test_the_command_fills_and_counts(store, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(MEASURES, "counted", counted)
    monkeypatch.setenv("HSPEC_STORE", str(store.root))
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(ENTRY | {"per_class": [10], "epochs": [2]}))
    assert cli.main(["sweep", str(file), "--status"]) == 0
    assert cli.main(["sweep", str(file), "--worker", "1/1"]) == 0
    said = capsys.readouterr().out
    assert "small: 0 of 1 cells" in said and "small: 1 of 1 cells" in said
    file.write_text("measure: [")
    assert cli.main(["sweep", str(file)]) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--worker", "3"], 2, "the I-th of N as I/N, such as 3/16, not 3"),
        (["--worker", "5/4"], 2, "such as 3/16, not 5/4"),
        (["--processes", "0"], 2, "a whole number of at least 1, not 0"),
        (["--hours", "nan"], 2, "a number of hours, not nan"),
        (["--hours", "-1"], 2, "a number of hours, not -1"),
        (["--slurm", "workers=2", "--hours", "8"], 1, "--slurm has words of its own for this"),
        (["--slurm", "workers=2", "--processes", "2"], 1, "leave --processes, --worker and"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(words, code, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(MEASURES, "counted", counted)
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(ENTRY))
    try:
        found = cli.main(["sweep", str(file), *words])
    except SystemExit as end:  # argparse's
        found = end.code
    assert found == code and said in " ".join(capsys.readouterr().err.split())


def test_processes_of_a_machine_among_several_start_apart(tmp_path, monkeypatch):
    """Two on the third of eight machines are the fifth and the sixth of sixteen."""
    started = []
    monkeypatch.setitem(MEASURES, "counted", counted)
    monkeypatch.setattr(
        command.subprocess, "Popen", lambda words: started.append(words[-1]) or Done()
    )
    monkeypatch.setenv("HSPEC_STORE", str(tmp_path / "store"))
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(ENTRY))
    assert cli.main(["sweep", str(file), "--processes", "2", "--worker", "3/8"]) == 0
    assert started == ["5/16", "6/16"]


class Done:
    """A process that has come to its end."""

    end = 0

    def wait(self):
        return self.end

    def terminate(self):
        pass


class Killed(Done):
    end = -signal.SIGKILL


def test_a_killed_worker_is_said(tmp_path, monkeypatch, capsys):
    ends = iter([Done(), Killed()])
    monkeypatch.setitem(MEASURES, "counted", counted)
    monkeypatch.setattr(command.subprocess, "Popen", lambda words: next(ends))
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(ENTRY))
    assert cli.main(["sweep", str(file), "--processes", "2"]) == 1
    assert "worker 2 of 2 was ended by signal 9; the others went on" in capsys.readouterr().err


def test_workers_end_with_the_command_that_started_them(tmp_path, monkeypatch):
    """Where it is told to end, nothing goes on measuring behind the user's back."""
    started, real = [], command.subprocess.Popen
    sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(
        command.subprocess, "Popen", lambda words: started.append(real(sleeper)) or started[-1]
    )
    monkeypatch.setitem(MEASURES, "counted", counted)
    monkeypatch.setenv("HSPEC_STORE", str(tmp_path / "store"))
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(ENTRY))
    before = signal.getsignal(signal.SIGTERM)
    told = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    told.start()
    with pytest.raises(SystemExit, match="143"):
        cli.main(["sweep", str(file), "--processes", "2"])
    assert [worker.returncode for worker in started] == [-signal.SIGTERM] * 2
    assert signal.getsignal(signal.SIGTERM) is before
