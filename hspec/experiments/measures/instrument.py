"""How good is the instrument: quadrature against the exact spectrum of a net small enough to have one (GKX-1)."""

from __future__ import annotations

import numpy as np
import torch

from hspec.curvature import Risk, hessian
from hspec.linalg import lanczos, slq

from ..bench import Bench

GHOST_STEPS = 128  # the number of steps of P19's code, which does not reorthogonalise


def instrument(bench: Bench, *, num_steps: int = 90, num_probes: int = 10, seed: int = 0) -> dict[str, np.ndarray]:
    """Exact spectrum of the Hessian by a dense float64 solve, and its estimates by Lanczos quadrature.

    Arrays: eigenvalues (p,), ascending; for the float64 and (suffix ``32``) float32 products nodes, weights and
    plain_weights (n_v, m); edges (n_v, m + 1) points around the nodes, and exact_cdf (n_v, m + 1): the exact CDF of
    each probe's weighted measure there; ghosts (GHOST_STEPS,): Ritz values without reorthogonalisation, float32;
    product_error32: relative error of one float32 product. GKX19, section 3.
    """
    risk = bench.risk(dtype=torch.float64)
    with bench.counting("dense Hessian and its eigenvalues", 2) as advance:
        dense = hessian(risk).to_dense()
        advance()
        eigenvalues, vectors = torch.linalg.eigh(dense)
        advance()
    double = quadrature(bench, risk, num_steps, num_probes, seed)
    single_risk = bench.risk(dtype=torch.float32)
    single = quadrature(bench, single_risk, num_steps, num_probes, seed)
    probes = draw_probes(risk.num_parameters, num_probes, seed)
    edges = edges_between(double.nodes, eigenvalues.cpu().numpy())
    return {
        "eigenvalues": eigenvalues.cpu().numpy(),
        **double.to_arrays(),
        **{f"{name}32": value for name, value in single.to_arrays().items()},
        "edges": edges,
        "exact_cdf": probe_cdf(eigenvalues.cpu(), vectors.cpu(), probes, edges),
        "ghosts": ritz_without_reorthogonalisation(single_risk, seed),
        "product_error32": product_error(dense, single_risk, probes[:, 0]),
    }
