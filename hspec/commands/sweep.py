"""`hspec sweep`: fill the store with the cells that a file lists, by any number of workers."""

import argparse
import subprocess
import sys
from pathlib import Path

from hspec.book.plain_yaml import read_content
from hspec.chapters.measures import MEASURES
from hspec.errors import CommandError
from hspec.experiments import Experiment, Store
from hspec.experiments.experiment import find_record
from hspec.experiments.sweep import fill, sweep_grid


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure the cells of a sweep that are missing in the store. Several workers share one: start "
        "as many as there are machines, each with the same store (HSPEC_STORE); they may be killed and "
        "started again at any time."
    )
    parser.epilog = "under SLURM: srun hspec sweep FILE, in an array of a few long jobs, not one a cell"
    parser.add_argument("file", type=Path, metavar="FILE", help="a sweep, such as sweeps/growth.yaml")
    parser.add_argument("--processes", type=_positive, default=1, help="workers on this machine (default 1)")
    parser.add_argument(
        "--worker", type=_worker, default=(1, 1), metavar="I/N", help="the I-th of N: where it starts"
    )
    parser.add_argument("--hours", type=float, default=float("inf"), help="after which no cell is begun")
    parser.add_argument(
        "--status", action="store_true", help="say what is done and what is held; measure nothing"
    )


def run(options: argparse.Namespace) -> None:
    experiments, store = read(options.file), Store()
    if options.processes > 1 and not options.status:
        _start(options)
    elif not options.status:
        fill(
            experiments,
            store,
            worker=options.worker,
            seconds=3600 * options.hours,
            progress=sys.stderr.isatty(),
        )
    done = sum(find_record(experiment, store) is not None for experiment in experiments)
    print(f"{options.file.stem}: {done} of {len(experiments)} cells are in the store")
    for name, holder in store.claims().items():
        print(f"held: {name} by {holder}")


def read(file: Path) -> list[Experiment]:
    """The experiments of a sweep's file, grid by grid."""
    content = read_content(file)
    entries = content if isinstance(content, list) else [content]
    try:
        grids = [sweep_grid(entry, MEASURES) for entry in entries]
    except (ValueError, TypeError) as error:
        raise CommandError(f"{file}: {error}") from error
    return [experiment for one in grids for experiment in one.experiments.values()]


def _start(options: argparse.Namespace) -> None:
    """As many workers as were asked for, each a process of its own; fails where one fails."""
    n = options.processes
    command = [sys.executable, "-m", "hspec", "sweep", str(options.file), "--hours", str(options.hours)]
    workers = [subprocess.Popen([*command, "--worker", f"{i}/{n}"]) for i in range(1, n + 1)]
    failed = [i for i, worker in enumerate(workers, 1) if worker.wait()]
    if failed:
        raise CommandError(f"worker {failed[0]} of {n} failed: its message is above; the others went on")


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _worker(text: str) -> tuple[int, int]:
    i, _, n = text.partition("/")
    if not 1 <= int(i) <= int(n):
        raise ValueError
    return int(i), int(n)
