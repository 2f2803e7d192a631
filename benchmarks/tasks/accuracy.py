"""Error per product: quadratures of net a against its exact spectrum (a dense float64
eigenvalue solve).
"""

import hashlib
from pathlib import Path

import numpy as np
import torch

from benchmarks.nets import Net, trained_net
from benchmarks.options import Measurements, Options
from benchmarks.peers import all_peers
from benchmarks.peers.instrument import quadrature, risk_of
from hspec.curvature import hessian
from hspec.linalg import SpectralMeasure, kolmogorov_smirnov, wasserstein

STEPS, TABLE_STEPS, SEEDS = (30, 60, 90, 128), 90, 10
OUTSIDE = 1e-3  # of λ_max: the atom at zero is left out of the Kolmogorov-Smirnov distance
TOP = 10
EXACT_FILE = Path(__file__).parents[1] / "results" / "exact-a.npz"


def measure(options: Options) -> Measurements:
    """For net a: errors of every estimator by m and seed."""
    if not options.chosen("a"):
        return
    net = trained_net("a", quick=options.quick, device=options.device)
    options.report(f"accuracy, net a: exact spectrum of {net.num_parameters} parameters")
    exact = SpectralMeasure.from_eigenvalues(
        exact_eigenvalues(net, file=None if options.quick else EXACT_FILE)
    )
    steps, seeds = ((10, 20), 2) if options.quick else (STEPS, SEEDS)
    errors = {}
    for peer in all_peers()[0]:
        for m in steps:
            options.report(f"accuracy, net a: {peer.name}, m = {m}, {seeds} seeds")
            runs = [peer.quadrature(net, m, 1, seed) for seed in range(seeds)]
            for name, measures in _estimators(peer.name, runs).items():
                errors.setdefault(name, {})[str(m)] = [distances(run, exact) for run in measures]
    m = TABLE_STEPS if TABLE_STEPS in steps else steps[-1]
    full = [quadrature(net, m, 1, seed, reorthogonalize="full") for seed in range(seeds)]
    run64 = all_peers()[0][0].quadrature(net.to(torch.float64), steps[-1], 1, 0)
    yield (
        "a",
        {
            "title": net.title,
            "num_parameters": net.num_parameters,
            "num_examples": net.num_examples,
            "inputs": net.inputs,
            "range": list(exact.support),
            "errors": errors,
            "full_reorthogonalization": {str(m): [distances(run, exact) for run in full]},
            "float64": distances(run64, exact),
        },
    )


def _estimators(name: str, runs: list[SpectralMeasure]) -> dict[str, list[SpectralMeasure]]:
    """hspec has two: converged-Ritz weights, and the plain ones that peers have;
    and the mean of five plain probes.
    """
    if name != "hspec":
        return {name: runs}
    plain = [SpectralMeasure(r.nodes, r.plain_weights, r.plain_weights, r.dimension) for r in runs]
    return {
        "hspec": runs,
        "hspec, plain weights": plain,
        "hspec, plain weights, five probes": [
            _together(plain[i : i + 5]) for i in range(0, len(plain), 5)
        ],
    }


def _together(runs: list[SpectralMeasure]) -> SpectralMeasure:
    width = max(r.num_steps for r in runs)

    def stack(name, fill):
        return np.concatenate(
            [
                np.pad(getattr(r, name), ((0, 0), (0, width - r.num_steps)), constant_values=fill)
                for r in runs
            ]
        )

    weights = stack("weights", 0.0)
    return SpectralMeasure(stack("nodes", np.nan), weights, weights, runs[0].dimension)


def distances(run: SpectralMeasure, exact: SpectralMeasure) -> dict[str, float]:
    """W1 over the range, KS outside the atom, and the worst relative error of the first
    probe's ten largest nodes.
    """
    low, high = exact.support
    first = run.nodes[0]
    top = np.sort(first[np.isfinite(first)])[-TOP:]
    true = np.sort(exact.nodes.ravel())[-TOP:]
    return {
        "wasserstein": wasserstein(run, exact) / (high - low),
        "kolmogorov_smirnov": kolmogorov_smirnov(run, exact, outside=OUTSIDE),
        "top": float(np.abs(top / true - 1).max()),
    }


def exact_eigenvalues(net: Net, file: Path | None) -> np.ndarray:
    """All p eigenvalues of the Hessian, in float64;
    read from `file` if they are those of this very net and sample.
    """
    fingerprint = _fingerprint(net)
    if file and file.is_file():
        with np.load(file) as stored:
            if str(stored["fingerprint"]) == fingerprint:
                return stored["eigenvalues"]
    matrix = hessian(risk_of(net.to(torch.float64))).to_dense()
    eigenvalues = torch.linalg.eigvalsh(matrix.add_(matrix.T.clone()).div_(2)).cpu().numpy()
    if file:
        np.savez_compressed(file, eigenvalues=eigenvalues, fingerprint=fingerprint)
    return eigenvalues


def _fingerprint(net: Net) -> str:
    digest = hashlib.sha256()
    for tensor in [*net.parameters, *(t for batch in net.batches for t in batch)]:
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()
