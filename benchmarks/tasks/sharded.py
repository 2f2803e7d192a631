"""Memory of each of two ranks, weights whole or cut up between them: what is halved, what is not.

Peaks are the operating system's, of processes whose freed memory goes back to it at once.
"""

import ctypes
import gc
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from benchmarks.nets import DEEP, Net, fresh_net
from benchmarks.options import Measurements, Options
from hspec.curvature import Risk, hessian, shard
from hspec.curvature.engine.gathered import local
from hspec.curvature.engine.memory import resident
from hspec.curvature.sharded import (
    gauss_newton_of_shards,
    hessian_of_shards,
    shard_weights,
    shards,
)
from hspec.linalg.recurrence import Recurrence

TRANSFORMER = "t"  # half its weights are in an embedding
LAYERS, WIDTH, EXAMPLES, CLASSES = 24, 1024, 64, 10  # of the deep one
ROWS = 4  # of the basis
BATCHES, QUICK = 4, 8  # that the sample is cut into; examples, and width, of a quick one
WAYS = {  # ranks, and whether weights are cut up between them
    "one process": (1, False),
    "two ranks, weights whole": (2, False),
    "two ranks, weights cut up": (2, True),
}
MMAP_THRESHOLD = -3, 1 << 16  # of glibc's malloc: what is larger is given back when it is freed


def measure(options: Options) -> Measurements:
    """Bytes of weights, vectors, basis and graphs on the rank that has most of them, and how far
    memory grows during a product whose graphs are built anew.
    """
    if options.device.type != "cpu":
        return
    for key in options.chosen(DEEP, TRANSFORMER):
        options.report(f"sharded, net {key}")
        yield key, of_net(key, options.quick)


def of_net(key: str, quick: bool) -> dict:
    """What `measure` yields for one net."""
    net = _net(key, quick)
    held = {name: _largest(_ranks(key, *way, quick)) for name, way in WAYS.items()}
    return {"title": net.title, "num_parameters": net.num_parameters, "bytes": held}


def _net(key: str, quick: bool) -> Net:
    if key == TRANSFORMER:
        return fresh_net(key, quick=quick, num_examples=QUICK if quick else None)
    width, examples = (QUICK, QUICK) if quick else (WIDTH, EXAMPLES)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        layers = [part for _ in range(LAYERS) for part in (nn.Linear(width, width), nn.Tanh())]
        module = nn.Sequential(*layers, nn.Linear(width, CLASSES)).eval()
    x = torch.randn(examples, width, generator=generator)
    title = f"MLP, {LAYERS} layers of {width}"
    return Net(key, title, module, [(x, torch.arange(examples) % CLASSES)], "random")


def _largest(ranks: list[dict[str, int]]) -> dict[str, int]:
    return {name: max(rank[name] for rank in ranks) for name in ranks[0]}


def _ranks(key: str, size: int, cut_up: bool, quick: bool) -> list[dict[str, int]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        multiprocessing.get_context("spawn").Pool(size) as pool,
    ):
        of_all = size, cut_up, f"file://{folder}/meeting", key, quick
        each = [(rank, *of_all) for rank in range(size)]
        return pool.starmap(_of_rank, each, chunksize=1)


def _of_rank(
    rank: int, size: int, cut_up: bool, meeting: str, key: str, quick: bool
) -> dict[str, int]:
    torch.set_num_threads(1)
    ctypes.CDLL(None).mallopt(*MMAP_THRESHOLD)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    net, mesh = _net(key, quick), init_device_mesh("cpu", (size,))
    module = shard_weights(net.module, mesh) if cut_up else net.module
    batches = shard(net.in_batches(-(-net.num_examples // BATCHES)).batches)
    risk = Risk.from_module(module, batches, group=mesh.get_group())
    A, theta = hessian(risk), shards(risk)
    v = torch.ones(risk.num_parameters)
    A @ v  # plans, and builds what is kept
    run = Recurrence(A, v[None], ROWS, reorthogonalize="full", keep_basis=False)
    found = {
        "weights, yours and the copy": _bytes([*module.parameters(), *risk.network.parameters]),
        "kept graphs": risk.graphs.kept_bytes,
        "a row of the basis": run.V.nbytes // ROWS,
    }
    del run
    risk.graphs.drop()
    growth = {"hessian(risk) @ v": _growth(lambda: A @ v)}
    pieces = {name: torch.ones_like(q) for name, q in theta.items()}
    for product in (hessian_of_shards, gauss_newton_of_shards):
        growth[f"{product.__name__}(risk, v)"] = _growth(lambda f=product: f(risk, pieces))
    dist.destroy_process_group()
    return found | {"v of hessian_of_shards": _bytes(pieces.values())} | growth


def _bytes(tensors) -> int:
    return sum(local(t).nbytes for t in tensors)


def _growth(work: Callable[[], object]) -> int:
    """By how many bytes the process is larger, at most, while it works, the result included."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before = resident(torch.device("cpu"))
    work()
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return 1024 * peak - before
