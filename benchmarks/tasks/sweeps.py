"""Workers that share a sweep: what a second one is worth, and what becomes of killed ones' records.

Cells that sleep take no CPU, so that what two workers gain does not depend on how many cores there
are, or on what else these do.
"""

import signal
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch

from benchmarks.options import Measurements, Options
from hspec.chapters.measures import MEASURES
from hspec.experiments import Experiment, Store
from hspec.experiments.measure import measure as measure_of
from hspec.experiments.sweep import fill, sweep_grid

CELLS, TURNS, MOMENTS = 16, 3, 20
PROCESSES = get_context("forkserver")  # workers are children of a process that has computed nothing
SLEEPING = {
    "measure": "asleep",
    "setting": {"model": "mlp:4", "recipe": {"epochs": 1}},
    "epochs": [1],
}
WORKING = {
    "measure": "level_spectra",
    "setting": {
        "dataset": "digits",
        "model": "mlp:8",
        "image_size": 8,
        "test_per_class": 5,
        "recipe": {"epochs": 5},
    },
    "per_class": [3, 4],
    "epochs": [1, 5],
    "options": {"num_steps": 20, "num_probes": 1},
}


@measure_of(version=1)
def asleep(task, *, epoch: int | None = None, seconds: float = 1.0):
    """A cell that takes so many seconds, and nothing else."""
    time.sleep(seconds)
    return {"slept": seconds}


def measure(options: Options) -> Measurements:
    """Seconds of a sweep of sleeping cells by one worker and by two, by turns; and, of sweeps both
    of whose workers were killed at a random moment, what they left, and whether a rerun gives the
    records of workers that lived, bit for bit.
    """
    if options.device.type != "cpu":
        return
    PROCESSES.set_forkserver_preload([__name__])
    _joined([_started(PROCESSES.Process(target=int))])  # its imports are made before clocks run
    options.report("sweeps: cells that sleep")
    yield "asleep", _of_sleepers(*((4, 0.1, 1) if options.quick else (CELLS, 1.0, TURNS)))
    options.report("sweeps: workers that are killed")
    yield "killed", _of_killed(1 if options.quick else MOMENTS)


def _of_sleepers(cells: int, seconds: float, turns: int) -> dict:
    entry = SLEEPING | {
        "per_class": list(range(1, cells + 1)),
        "options": {"seconds": seconds},
    }
    taken: dict[str, list[float]] = {"one worker": [], "two workers": []}
    for _ in range(turns):
        for n, of_all in enumerate(taken.values(), 1):
            with tempfile.TemporaryDirectory() as folder:
                of_all.append(_filled(entry, Path(folder), n))
    ratios = [two / one for one, two in zip(*taken.values(), strict=True)]
    return {
        "cells": cells,
        "seconds_of_a_cell": seconds,
        "seconds": taken,
        "ratio": float(np.median(ratios)),
    }


def _of_killed(count: int) -> dict:
    rng, found = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        seconds = _filled(WORKING, root / "undisturbed", 2)
        for i in range(10 * count):  # moments at which a worker was done already do not count
            left = _killed_at(rng.uniform(0, seconds), root / str(i))
            if left is not None and len(found) < count:
                _filled(WORKING, root / str(i), 2)
                found.append(left | _compared(root / str(i), root / "undisturbed"))
            if len(found) == count:
                break
    return {"cells": len(_cells(WORKING)), "seconds": seconds, "kills": found}


def _killed_at(moment: float, folder: Path) -> dict | None:
    """What two workers leave that are ended so that they cannot say goodbye; None where one had
    come to its end before."""
    workers = _workers(WORKING, folder, 2)
    time.sleep(moment)
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()
    if any(worker.exitcode != -signal.SIGKILL for worker in workers):
        return None
    store = _store(folder)
    done = sum(store.get(e.measure, e.key) is not None for e in _cells(WORKING))
    return {"moment": moment, "cells_done": done, "claims_left": len(store.claims())}


def _compared(folder: Path, right: Path) -> dict:
    """Whether the records of two stores are the same, and nothing else is left in the first."""
    mine, others = _store(folder), _store(right)
    same = [
        _bits(mine.get(e.measure, e.key)) == _bits(others.get(e.measure, e.key))
        for e in _cells(WORKING)
    ]
    left = [*mine.claims(), *(folder / "unfinished").iterdir()]
    return {"identical": all(same), "clean": not left}


def _bits(record) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in record.arrays.items()}


def _filled(entry: dict, folder: Path, n: int) -> float:
    """Seconds that n workers take for a sweep."""
    start = time.perf_counter()
    _joined(_workers(entry, folder, n))
    return time.perf_counter() - start


def _workers(entry: dict, folder: Path, n: int) -> list[BaseProcess]:
    arguments = [(entry, folder, i, n) for i in range(1, n + 1)]
    return [_started(PROCESSES.Process(target=_work, args=a)) for a in arguments]


def _started(process: BaseProcess) -> BaseProcess:
    process.start()
    return process


def _joined(workers: list[BaseProcess]) -> None:
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("a worker has failed: its message is above")


def _work(entry: dict, folder: Path, i: int, n: int) -> None:
    torch.set_num_threads(1)
    fill(_cells(entry), _store(folder), worker=(i, n), progress=False)


def _cells(entry: dict) -> list[Experiment]:
    known = {**MEASURES, "asleep": asleep}
    return list(sweep_grid(entry, known).experiments.values())


def _store(folder: Path) -> Store:
    return Store(folder, published=folder / "none")
