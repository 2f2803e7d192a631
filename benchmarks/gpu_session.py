"""python -m benchmarks.gpu_session --minutes 9: what to do with a GPU in so much time, the most
wanted first.

The tests that need a GPU, its benchmarks, then the papers' nets, each a process of its own that
puts record after record into the store (HSPEC_STORE). A step that the time runs out on is ended;
its training and its products are kept there, and the same command goes on with them another day.
Small nets leave a GPU idle between their kernels: --at-once 4 measures so many beside each other.
Needs the data (HSPEC_DATA) and neither papermill nor the network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from hspec.papers.nets import PUBLISHED_NETS

# P18a's own fit, which wants ten minutes for itself; the films to the paper's last step; then what
# two cores take longest for. An update of VGG11 takes 12 ms on an H100: half an hour for 136,850.
WANTED = (
    "vgg11-mnist-1351",
    "resnet32-film",
    "resnet32-film-without-norm",
    "mlp-cifar10",
    "vgg11-mnist",
    "vgg11-fashion",
    "vgg11-merged",
    "vgg11-left-over",
    "vgg11-mnist-136",
    "resnet18",
    "vgg11-136850",
    "resnet18-136850",
    "resnet32-film-population",
)
GRACE = 20.0  # seconds that a step has to write what it has, after it was asked to end


@dataclass(frozen=True)
class Step:
    """One process: its name and the arguments of Python."""

    name: str
    arguments: tuple[str, ...]


TESTED = ("tests/linalg", "tests/curvature", "tests/training")
TESTS = Step("tests", ("-m", "pytest", "-m", "gpu", "-q", *TESTED))
BENCHMARKS = Step("benchmarks", ("-m", "benchmarks", "--only", "gpu", "products"))


def cells(nets: Iterable[str]) -> list[Step]:
    """All experiments of the nets, one step a net: they share its training."""
    return [Step(net, ("-m", "hspec", "measure", net)) for net in nets]


def session(
    steps: Iterable[Step], minutes: float, report: Callable[[str], None], at_once: int = 1
) -> dict[str, str]:
    """Run the steps in order, so many ``at_once``, until the minutes are spent; what became of
    each, by its name.

    A step that fails does not keep the next from running.
    """
    end = time.monotonic() + 60 * minutes

    def outcome(step: Step) -> tuple[str, str]:
        left = end - time.monotonic()
        found = "not begun" if left <= 0 else _run(step, left)
        report(f"{step.name}: {found}")
        return step.name, found

    with ThreadPoolExecutor(at_once) as lanes:
        return dict(lanes.map(outcome, steps))


def _run(step: Step, seconds: float) -> str:
    """ "done in 12 s", "failed (1) after 3 s", "ended after 540 s": asked to end, then,
    after a while, made to.
    """
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *step.arguments])
    ended = False
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        ended = True
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    took = f"{time.monotonic() - started:.0f} s"
    if ended:
        return f"ended after {took}"
    return (
        f"done in {took}"
        if process.returncode == 0
        else f"failed ({process.returncode}) after {took}"
    )


def main(arguments: list[str] | None = None) -> dict[str, str]:
    chosen = _parser().parse_args(arguments)
    of_sweep = [Step(file, ("-m", "hspec", "sweep", file)) for file in chosen.sweep]
    alone = {"tests": TESTS, "benchmarks": BENCHMARKS}  # what is timed has the GPU for itself
    report, end = partial(print, flush=True), time.monotonic() + 60 * chosen.minutes
    outcomes = session([alone[k] for k in alone if k in chosen.only], chosen.minutes, report)
    if "cells" in chosen.only:
        minutes = (end - time.monotonic()) / 60
        outcomes |= session(of_sweep or cells(chosen.nets), minutes, report, chosen.at_once)
    return outcomes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_session", description=__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="for all steps together")
    kinds = ["tests", "benchmarks", "cells"]
    parser.add_argument(
        "--only", nargs="+", choices=kinds, default=kinds, help="default: all three"
    )
    parser.add_argument(
        "--nets",
        nargs="+",
        choices=PUBLISHED_NETS,
        default=WANTED,
        metavar="NET",
        help="of the cells; default: what two cores take longest for",
    )
    parser.add_argument(
        "--at-once", type=int, default=1, metavar="N", help="cells beside each other; default: 1"
    )
    parser.add_argument(
        "--sweep",
        nargs="+",
        default=[],
        metavar="FILE",
        help="cells of these sweeps, not of the papers' nets",
    )
    return parser


if __name__ == "__main__":
    main()
