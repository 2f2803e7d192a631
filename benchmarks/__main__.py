"""python -m benchmarks: measure, then write tables and plots to the results folder."""

import argparse
import os
from dataclasses import replace
from functools import partial

import torch

from benchmarks.nets import DEEP, SPECS
from benchmarks.options import Options
from benchmarks.peers import all_peers
from benchmarks.results import Results
from benchmarks.tasks import TASKS


def main(arguments: list[str] | None = None) -> None:
    chosen = _parser().parse_args(arguments)
    options = Options(
        tuple(chosen.nets),
        chosen.quick,
        torch.device(chosen.device),
        lambda line: print(line, flush=True),
    )
    # Full float32 for all contenders: a GPU's default rounds the inputs of convolutions.
    torch.backends.cudnn.allow_tf32 = False
    results = Results.of(options)
    options = replace(options, part=partial(results.part, options.device))
    missing = all_peers()[1]
    options.report(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    for package in missing:
        options.report(f"not installed, so not measured: {package}")
    for task in chosen.only:
        for key, result in TASKS[task](options):
            results.write(task, key, result, options.device)
    if options.device.type == "cpu":
        from benchmarks.report import write_report  # draws, for which a GPU's machine needs nothing

        options.report(f"written: {write_report(results)}")
    else:
        options.report(
            f"written: {results.folder}; python -m benchmarks --device cpu --only tells them"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--nets", nargs="+", choices=[*SPECS, DEEP], default=[*SPECS, DEEP], help="default: all"
    )
    parser.add_argument(
        "--only", nargs="*", choices=TASKS, default=list(TASKS), help="tasks; none: report only"
    )
    parser.add_argument(
        "--quick", action="store_true", help="toy sizes, to try the harness; kept apart"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


if __name__ == "__main__":
    main()
