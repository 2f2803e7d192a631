"""Two processes of one thread each against one process of two threads:
does sharing the batches cost anything?
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.nets import SPECS
from benchmarks.options import Measurements, Options

NETS, PRODUCTS, CORES = ("b", "c"), 9, 2


def measure(options: Options) -> Measurements:
    """For nets b and c, on the CPU: seconds of a Hess product both ways, by turns,
    and the parallel efficiency.
    """
    rounds, count = (1, 2) if options.quick else (3, PRODUCTS)
    for key in options.chosen(*NETS):
        if options.device.type != "cpu":
            return
        options.report(f"parallel, net {key}: {SPECS[key].title}")
        turns = [
            (_run(1, key, count, options.quick), _run(CORES, key, count, options.quick))
            for _ in range(rounds)
        ]
        one, two = ([turn[i] for turn in turns] for i in (0, 1))
        ratios = [min(a["seconds"]) / min(b["seconds"]) for a, b in turns]
        yield (
            key,
            {
                "title": SPECS[key].title,
                "num_parameters": one[0]["num_parameters"],
                "seconds": {
                    "one process": [t["seconds"] for t in one],
                    "two ranks": [t["seconds"] for t in two],
                },
                "efficiency": float(np.median(ratios)),
                "basis_share": two[0]["bytes"] / one[0]["bytes"],
            },
        )


def _run(size: int, key: str, count: int, quick: bool) -> dict:
    """What rank 0 of `size` processes has measured, with the cores divided between them."""
    threads = CORES // size
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "benchmarks.ranks"]
        last = [str(size), str(threads), folder, key, str(count), *["quick"] * quick]
        ranks = [
            subprocess.Popen([*words, str(rank), *last], env=environment) for rank in range(size)
        ]
        if any([rank.wait() for rank in ranks]):
            raise RuntimeError(f"a rank of {size} has failed: its message is above")
        return json.loads((Path(folder) / f"{size}-0.json").read_text())
