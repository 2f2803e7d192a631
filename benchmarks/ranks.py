"""One rank of the task `parallel`, a process of its own: seconds of products with a shared risk.

    python -m benchmarks.ranks RANK SIZE THREADS FOLDER NET COUNT [quick]

It writes {"seconds": per product, "bytes": of its part of a basis} to FOLDER/SIZE-RANK.json.
"""

import json
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from benchmarks.nets import fresh_net
from hspec.curvature import Risk, hessian, shard
from hspec.linalg.recurrence import Recurrence

ROWS, BATCHES = 4, 4  # of the basis; that the sample is cut into


def main(
    rank: int, size: int, threads: int, folder: Path, key: str, count: int, quick: bool
) -> None:
    torch.set_num_threads(threads)
    meeting = f"file://{folder}/meeting-{size}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    net = fresh_net(key, quick=quick)
    batches = shard(net.in_batches(-(-net.num_examples // BATCHES)).batches)
    risk = Risk.from_module(net.module, batches, group=dist.group.WORLD)
    v = torch.randn(risk.num_parameters, generator=torch.Generator().manual_seed(1))
    A, seconds = hessian(risk), []
    A @ v  # builds the graphs
    for _ in range(count):
        dist.barrier()
        start = time.perf_counter()
        A @ v
        seconds.append(time.perf_counter() - start)
    run = Recurrence(A, v[None], ROWS, reorthogonalize="full", keep_basis=False)
    found = {"seconds": seconds, "bytes": run.V.nbytes, "num_parameters": risk.num_parameters}
    (folder / f"{size}-{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    rank, size, threads, folder, key, count, *quick = sys.argv[1:]
    main(int(rank), int(size), int(threads), Path(folder), key, int(count), bool(quick))
