"""`hspec sweep`: fill the store with the cells that a file lists, by any number of workers."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hspec.book.plain_yaml import read_content
from hspec.chapters.measures import MEASURES
from hspec.commands.joined import joined
from hspec.commands.submission import submit
from hspec.distributed import Alone
from hspec.errors import CommandError
from hspec.experiments import Experiment, Store
from hspec.experiments.experiment import find_record
from hspec.experiments.provenance import default_device
from hspec.experiments.sweep import fill, sweep_experiments

ALONE_FOR_EVER = 1, (1, 1), float("inf")  # processes, worker and hours where none is given


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure the cells of a sweep that are missing in the store. Several workers share one: "
        "start "
        "as many as there are machines, each with the same store (HSPEC_STORE); they may be killed "
        "and "
        "started again at any time."
    )
    parser.epilog = (
        "Under torchrun (torchrun --nproc-per-node 2 -m hspec sweep FILE) processes share the "
        "images of each "
        "cell: for nets and samples that one GPU takes too long for, or has no room for."
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a sweep, such as sweeps/growth.yaml"
    )
    parser.add_argument(
        "--processes", type=_positive, default=1, help="workers on this machine (default 1)"
    )
    parser.add_argument(
        "--worker",
        type=_worker,
        default=(1, 1),
        metavar="I/N",
        help="the I-th of N workers, or of N machines with as many processes: where it starts",
    )
    parser.add_argument(
        "--hours", type=_hours, default=float("inf"), help="after which no cell is begun"
    )
    parser.add_argument(
        "--slurm",
        metavar="KEY=VALUE,…",
        help="submit workers to SLURM: workers=16,hours=8,gpus_per_node=1,partition=gpu (needs "
        "submitit)",
    )
    parser.add_argument(
        "--status", action="store_true", help="say what is done and what is held; measure nothing"
    )


def run(options: argparse.Namespace) -> None:
    with joined(default_device().type) as ranks:
        if not options.status:
            _work(options, ranks)
        print(standing(options.file, Store()))


def _work(options: argparse.Namespace, ranks: Alone) -> None:
    """Measure here, in processes of this machine, or in jobs."""
    experiments = read(options.file)
    if ranks.size > 1 and (options.slurm or options.processes > 1):
        raise CommandError(
            "under torchrun the processes are one worker: leave --processes and --slurm out"
        )
    if options.slurm and (options.processes, options.worker, options.hours) != ALONE_FOR_EVER:
        raise CommandError(
            "--slurm has words of its own for this (workers=16,hours=8): leave --processes, "
            "--worker and --hours out"
        )
    if options.slurm:
        folder = Store().root / "slurm"
        jobs = submit(options.file, options.slurm, folder)
        print(f"submitted: {', '.join(job.job_id for job in jobs)}; what they say is in {folder}")
    elif options.processes > 1:
        _start(options)
    else:
        try:
            fill(
                experiments,
                Store(group=ranks.group),
                worker=options.worker,
                seconds=3600 * options.hours,
                progress=sys.stderr.isatty() and ranks.rank == 0,
            )
        except ExceptionGroup as failed:
            told = [f"  {e.__notes__[0]}: {type(e).__name__}: {e}" for e in failed.exceptions]
            raise CommandError("\n".join([failed.message, *told])) from failed


def standing(file: Path, store: Store) -> str:
    """How many cells of a sweep are done, and which are held, by whom,
    with the last sign of life.
    """
    experiments, claims = read(file), store.claims()
    done = sum(find_record(experiment, store) is not None for experiment in experiments)
    of_cells = [experiment.name for experiment in experiments]
    of_cells += {f"training-{experiment.setting.training_key}" for experiment in experiments}
    held = [
        f"  held: {name} by {by}" for name, by in claims.items() if name.startswith(tuple(of_cells))
    ]
    return "\n".join([f"{file.stem}: {done} of {len(experiments)} cells are in the store", *held])


def read(file: Path) -> list[Experiment]:
    """The experiments of a sweep's file, entry by entry."""
    content = read_content(file)
    entries = content if isinstance(content, list) else [content]
    try:
        return [cell for entry in entries for cell in sweep_experiments(entry, MEASURES)]
    except (ValueError, TypeError) as error:
        raise CommandError(f"{file}: {error}") from error


def _start(options: argparse.Namespace) -> None:
    """As many workers as were asked for, each a process of its own; fails where one fails.

    Of the i-th of N machines they are the i-th n of N n workers.
    """
    n, (machine, machines) = options.processes, options.worker
    command = [
        sys.executable,
        "-m",
        "hspec",
        "sweep",
        str(options.file),
        "--hours",
        str(options.hours),
    ]
    numbers = [f"{(machine - 1) * n + i}/{machines * n}" for i in range(1, n + 1)]
    workers = [subprocess.Popen([*command, "--worker", number]) for number in numbers]
    try:
        with ended_by_a_signal():
            failed = {i: end for i, worker in enumerate(workers, 1) if (end := worker.wait())}
    finally:  # where this process is ended, they do not go on behind the user's back
        for worker in workers:
            worker.terminate()
            worker.wait()
    for i, end in failed.items():
        why = "failed: its message is above" if end > 0 else f"was ended by signal {-end}"
        raise CommandError(
            f"worker {i} of {n} {why}; the others went on. What is missing, --status tells; the "
            "same command measures it"
        )


@contextmanager
def ended_by_a_signal() -> Iterator[None]:
    """Within it SIGTERM ends the process as Ctrl-C does: what is begun is taken back first."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = float("nan")
    if not hours >= 0:
        raise argparse.ArgumentTypeError(f"a number of hours, not {text}")
    return hours


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1, not {text}")
    return int(text)


def _worker(text: str) -> tuple[int, int]:
    i, _, n = text.partition("/")
    if not (i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise argparse.ArgumentTypeError(f"the I-th of N as I/N, such as 3/16, not {text}")
    return int(i), int(n)
