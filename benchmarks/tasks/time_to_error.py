"""Seconds until the error that the best peer has at m = 90 with five probes:
speed and accuracy in one figure.

The nets' Hessians are singular, by pixels that are always black and units that are always off, and
`hspec` is told so: `slq(…, node=0.0)`, which takes no product more.
"""

from functools import partial
from time import perf_counter

import numpy as np

from benchmarks.floors import bare_products
from benchmarks.nets import Net, trained_net
from benchmarks.options import Measurements, Options
from benchmarks.peers import Peer, all_peers
from benchmarks.results import several
from benchmarks.tasks.accuracy import EXACT_FILE, distances, exact_eigenvalues
from benchmarks.timing import interleaved
from hspec.linalg import SpectralMeasure

STEPS, PROBES, SEEDS = 90, 5, 5
WIDTHS = {
    "a": 1.0,
    "b": 1 / 50,
    "c": 1 / 32,
}  # at which a dense eigenvalue solve is possible: p up to 16,000
QUICK_WIDTHS = {"a": 0.1, "b": 1 / 200, "c": 1 / 64}  # p up to 4,000
TURN = 0.6  # seconds for which a setting is timed with each seed, by as many runs as these hold
OURS = {"node": 0.0}  # options of `slq`
LADDER = (
    (20, 1),
    (25, 1),
    (30, 1),
    (35, 1),
    (40, 1),
    (45, 1),
    (50, 1),
    (60, 1),
    (90, 1),
    (90, 2),
    (90, 5),
    (128, 5),
)  # (m, probes), ever dearer


def measure(options: Options) -> Measurements:
    """For nets a, b and c: error and seconds of every peer,
    and the cheapest setting of hspec that is as good.
    """
    for key in options.chosen(*WIDTHS):
        width = (QUICK_WIDTHS if options.quick else WIDTHS)[key]
        net = trained_net(key, quick=options.quick, device=options.device, width=width)
        options.report(
            f"time to error, net {key}: exact spectrum of {net.num_parameters} parameters"
        )
        file = None if options.quick else EXACT_FILE.with_name(f"exact-{key}.npz")
        yield (
            key,
            _one_net(net, SpectralMeasure.from_eigenvalues(exact_eigenvalues(net, file)), options),
        )


def _one_net(net: Net, exact: SpectralMeasure, options: Options) -> dict:
    (ours, *peers), _ = all_peers()
    seeds = 1 if options.quick else SEEDS
    largest = 12 if options.quick else STEPS
    found = {}

    def errors(peer: Peer, m: int, probes: int, **settings) -> dict:
        said = "".join(f", {name}={value}" for name, value in settings.items())
        name = f"{peer.name}{said}, m = {m}, {several(probes, 'probe')}, {several(seeds, 'seed')}"
        options.report(f"time to error: {name}")
        measure = partial(_errors, peer, net, exact, m, probes, seeds, settings)
        return options.part("time_to_error", net.key, name, measure)

    for peer in peers:
        found[peer.name] = errors(peer, largest, PROBES)
    best = min(found, key=lambda name: found[name]["error"])
    rungs = []
    for m, probes in LADDER[:1] if options.quick else LADDER:
        rungs.append({"num_steps": m, "num_probes": probes} | errors(ours, m, probes, **OURS))
        if rungs[-1]["error"] <= found[best]["error"]:
            break
    reached = rungs[-1]["error"] <= found[best]["error"]
    size = rungs[-1]["num_steps"], rungs[-1]["num_probes"]
    bare = interleaved({"": bare_products(net, *size)}, 1 if options.quick else 9, net.device)
    return {
        "title": net.title,
        "num_parameters": net.num_parameters,
        "num_examples": net.num_examples,
        "inputs": net.inputs,
        "peers": found,
        "best_peer": best,
        "hspec": rungs,
        "settings": OURS,
        "floor": bare.seconds[""],
        "reached": reached,
        "times_faster": {
            name: one["seconds"] / rungs[-1]["seconds"] if reached else 0.0
            for name, one in found.items()
        },
    }


def _errors(
    peer: Peer,
    net: Net,
    exact: SpectralMeasure,
    m: int,
    probes: int,
    seeds: int,
    settings: dict[str, object],
) -> dict:
    """Mean W1 over the range, and its spread, over seeds; and the fastest of all runs,
    graphs built anew in each.
    """
    errors, seconds = [], []
    for seed in range(seeds):
        begun = perf_counter()
        while True:
            start = perf_counter()
            run = peer.quadrature(net, m, probes, seed, **settings)
            seconds.append(perf_counter() - start)
            if seeds == 1 or perf_counter() - begun >= TURN:
                break
        errors.append(distances(run, exact)["wasserstein"])
    return {"error": float(np.mean(errors)), "errors": errors, "seconds": min(seconds)}
