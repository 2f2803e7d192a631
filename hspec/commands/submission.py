"""A sweep's workers as jobs of SLURM, by submitit: a few long ones, not one a cell."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hspec.errors import CommandError
from hspec.extras import need

try:
    import submitit
except ImportError:  # the extra "slurm"; `submit` says so
    submitit = None

OF_ANY_CLUSTER = {"name", "nodes", "gpus_per_node", "cpus_per_task", "mem_gb", "tasks_per_node"}


@dataclass(frozen=True)
class Worker:
    """A job: a worker of the sweep, whose state is in the store,
    so that it may be requeued at any time.
    """

    command: tuple[str, ...]

    def __call__(self) -> int:
        return subprocess.run(self.command, check=True).returncode

    def checkpoint(self) -> "submitit.helpers.DelayedSubmission":
        """What is submitted anew where the job is preempted or its time is up:
        the same worker."""
        return submitit.helpers.DelayedSubmission(self)


def submit(file: Path, text: str, folder: Path) -> "list[submitit.Job]":
    """Submit the workers of a sweep, in one array.

    Args:
        file: of the sweep; jobs see it, and the store, where this process does.
        text: "workers=16,hours=8,gpus_per_node=1,partition=gpu": workers (1) and hours (24) of
            each; what submitit knows of any cluster; all else as SLURM calls it. cluster=local
            starts them on this machine, cluster=debug in this process.
        folder: of the jobs' logs.

    Raises:
        MissingExtra: submitit is not installed.
        CommandError: a word without a value, a number that is none, no SLURM here, or it refuses
            the jobs.
    """
    need("hspec sweep --slurm", "submitit", extra="slurm")
    words = dict(_assignment(word) for word in text.split(",") if word)
    n, hours = _number(words, "workers", 1), _number(words, "hours", 24)
    cluster = words.pop("cluster", "slurm")
    options = {name if name in OF_ANY_CLUSTER else f"slurm_{name}": v for name, v in words.items()}
    sweep = [sys.executable, "-m", "hspec", "sweep", str(file.resolve()), "--hours", str(hours)]
    workers = [Worker((*sweep, "--worker", f"{i}/{n}")) for i in range(1, n + 1)]
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(timeout_min=60 * hours, **options)
        with executor.batch():
            jobs = [executor.submit(worker) for worker in workers]
    except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
        raise CommandError(f"--slurm {text}: {error}") from error
    return jobs


def _assignment(word: str) -> tuple[str, str | int]:
    name, equals, value = word.partition("=")
    if not (name and equals and value):
        raise CommandError(
            f"--slurm: write names with values, such as workers=16,hours=8, not {word!r}"
        )
    return name, int(value) if value.isdigit() else value


def _number(words: dict[str, str | int], name: str, default: int) -> int:
    value = words.pop(name, default)
    if not isinstance(value, int) or value < 1:
        raise CommandError(f"--slurm: {name} is a whole number of at least 1, not {value}")
    return value
