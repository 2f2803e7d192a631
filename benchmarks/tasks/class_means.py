"""The C² means g_{c,c'}: class-sorted sweeps against the published double loop over classes,
on the papers' batches.
"""

from benchmarks.nets import NUM_CLASSES, Net, fresh_net
from benchmarks.options import Measurements, Options
from benchmarks.peers import papers
from benchmarks.peers.instrument import risk_of
from benchmarks.timing import interleaved
from hspec.curvature import class_means


def measure(options: Options) -> Measurements:
    """For nets a and b: seconds of both, how many times faster, and how far the two differ."""
    for key in options.chosen("a", "b"):
        net = fresh_net(key, quick=options.quick, device=options.device)
        options.report(f"class means, net {key}: {net.title}, N = {net.num_examples}")
        yield key, _one_net(net, rounds=1 if options.quick else 5)


def _one_net(net: Net, rounds: int) -> dict:
    risk, loader = risk_of(net), net.in_batches(papers.BATCH_SIZE)

    def ours():
        return class_means(risk).cross_class_vectors

    def published():
        return papers.class_means(loader, NUM_CLASSES)

    times = interleaved({"hspec": ours, "double loop": published}, rounds, net.device)
    reference = published()
    differences = (ours() - reference).norm(dim=-1) / reference.norm(dim=-1)  # (C, C)
    return {
        "title": net.title,
        "num_parameters": net.num_parameters,
        "num_examples": net.num_examples,
        "seconds": times.seconds,
        "times_faster": times.ratio("double loop", "hspec"),
        "times_faster_of_fastest": times.ratio_of_fastest("double loop", "hspec"),
        "relative_difference": {
            "median": float(differences.median()),
            "worst": float(differences.max()),
        },
    }
