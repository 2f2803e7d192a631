"""What each rank of the tests of commands does: the commands, within a group that it finds there.

    python commands.py RANK SIZE FOLDER

FOLDER holds the user's own module `small`, and gets what the commands leave.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from hspec import cli

SPECTRUM = ["--top", "2", "--steps", "12", "--probes", "2", "--matrices", "Hess"]


def main(rank: str, size: str, folder: str) -> int:
    torch.set_num_threads(1)
    os.chdir(folder)
    os.environ["HSPEC_STORE"] = str(Path(folder) / f"store-{size}")
    options = {"rank": int(rank), "world_size": int(size), "timeout": timedelta(seconds=60)}
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous-{size}", **options)
    spectrum = ["spectrum", "small:net", *SPECTRUM, "--data"]
    good = cli.main([*spectrum, "small:batches", "--out", f"out-{size}"])
    swept = cli.main(["sweep", str(Path(folder) / "sweep.yaml")])
    try:
        bad = cli.main([*spectrum, f"small:lost_on_{rank}", "--out", "out-lost"])
    except SystemExit as end:  # of all ranks but the first
        bad = end.code
    Path(folder, f"codes-{rank}").write_text(f"{good} {swept} {bad}")


if __name__ == "__main__":
    main(*sys.argv[1:])
