"""From a module and its data to nodes and weights: the whole quadrature,
with the same m and probes for all.
"""

from benchmarks import floors
from benchmarks.nets import SPECS, Net, fresh_net
from benchmarks.options import Measurements, Options
from benchmarks.peers import all_peers
from benchmarks.results import several
from benchmarks.timing import interleaved


def measure(options: Options) -> Measurements:
    """For each net: seconds of each peer, and the ratio to hspec's within a round."""
    for key in options.chosen(*SPECS):
        spec, net = SPECS[key], fresh_net(key, quick=options.quick, device=options.device)
        steps, probes = (4, 1) if options.quick else (spec.num_steps, spec.num_probes)
        options.report(
            f"quadrature, net {key}: {net.title}, m = {steps}, {several(probes, 'probe')}"
        )
        yield (
            key,
            _one_net(net, steps, probes, rounds=1 if options.quick else max(2, spec.rounds // 3)),
        )


def _one_net(net: Net, steps: int, probes: int, rounds: int) -> dict:
    peers = all_peers()[0]
    calls = {peer.name: lambda peer=peer: peer.quadrature(net, steps, probes, 0) for peer in peers}
    bare = floors.of_quadrature(net, steps, probes)
    times = interleaved(calls | bare, rounds, net.device, warm_up=False, min_seconds=0.0)
    return {
        "title": net.title,
        "num_parameters": net.num_parameters,
        "num_examples": net.num_examples,
        "num_steps": steps,
        "num_probes": probes,
        "seconds": {name: times.seconds[name] for name in calls},
        "floor": {name: times.seconds[name] for name in bare},
        "reorthogonalizes": {peer.name: peer.reorthogonalizes for peer in peers},
        "over_hspec": {
            peer.name: {
                "median": times.ratio(peer.name, "hspec"),
                "of_fastest": times.ratio_of_fastest(peer.name, "hspec"),
            }
            for peer in peers[1:]
        },
    }
