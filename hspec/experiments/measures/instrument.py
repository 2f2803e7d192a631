"""How good is the instrument: quadrature against the exact spectrum of a net small enough to have one (GKX-1)."""

from __future__ import annotations

import numpy as np
import torch

from hspec.curvature import Risk, hessian
from hspec.experiments.bench import Bench
from hspec.linalg import SpectralMeasure, lanczos, slq
from hspec.linalg.trace import draw_probe

GHOST_STEPS = 128  # the number of steps of P19's code, which does not reorthogonalise


def instrument(
    bench: Bench, *, num_steps: int = 90, num_probes: int = 10, seed: int = 0
) -> dict[str, np.ndarray]:
    """Exact spectrum of the Hessian by a dense float64 solve, beside its estimates by Lanczos quadrature.

    Arrays: eigenvalues (p,), ascending; double_… and single_…: the quadratures with float64 and float32 products;
    edges (n_v, 2m + 1): the nodes, the midpoints between them and one point beyond either end; exact_cdf of the same
    shape: the exact CDF of each probe's weighted measure there; ghosts and no_ghosts (GHOST_STEPS,): float32 Ritz
    values without and with reorthogonalisation; product_error: relative error of a float32 product; num_parameters,
    num_examples, loss, error_rate.
    Source: GKX19, section 3 and appendix.
    """
    risk = bench.risk(dtype=torch.float64)
    eigenvalues, vectors = dense_eigenpairs(bench, risk)
    double = quadrature(bench, risk, "double", num_steps, num_probes, seed)
    single_risk = bench.risk(dtype=torch.float32)
    single = quadrature(bench, single_risk, "single", num_steps, num_probes, seed)
    probes = draw_probes(risk, num_probes, bench.generator(seed))
    edges = np.stack([between(nodes) for nodes in double.nodes])
    return {
        "eigenvalues": eigenvalues.cpu().numpy(),
        **{f"double_{name}": value for name, value in double.to_arrays().items()},
        **{f"single_{name}": value for name, value in single.to_arrays().items()},
        "edges": edges,
        "exact_cdf": probe_cdfs(eigenvalues, vectors, probes, edges),
        "ghosts": ritz_values(single_risk, "none", bench.generator(seed)),
        "no_ghosts": ritz_values(single_risk, "full", bench.generator(seed)),
        "product_error": product_error(eigenvalues, vectors, single_risk, probes[:, 0]),
        "num_parameters": risk.num_parameters,
        "num_examples": risk.num_examples,
        "loss": risk.loss(),
        "error_rate": risk.error_rate(),
    }


def dense_eigenpairs(bench: Bench, risk: Risk) -> tuple[torch.Tensor, torch.Tensor]:
    """All eigenvalues (p,) and eigenvectors (p, p) of the Hessian, from its p columns."""
    with bench.counting("dense Hessian, then its eigenpairs", 2) as advance:
        dense = hessian(risk).to_dense()
        advance()
        pairs = torch.linalg.eigh((dense + dense.T) / 2)
        advance()
    return pairs


def quadrature(
    bench: Bench, risk: Risk, name: str, num_steps: int, num_probes: int, seed: int
) -> SpectralMeasure:
    with bench.counting(f"quadrature, {name} precision", num_steps * num_probes) as advance:
        return slq(
            hessian(risk),
            num_steps,
            num_probes,
            generator=bench.generator(seed),
            checkpoint=bench.folder / name,
            callback=advance,
        )


def draw_probes(risk: Risk, num_probes: int, generator: torch.Generator) -> torch.Tensor:
    """The unit probes (p, n_v) that the quadrature drew from the same generator."""
    probes = torch.stack([draw_probe(hessian(risk), generator) for _ in range(num_probes)], dim=1)
    return probes / probes.norm(dim=0)


def between(nodes: np.ndarray) -> np.ndarray:
    """The nodes (m,), their midpoints, and a point beyond either end: (2m + 1,), ascending. NaN nodes stay NaN."""
    last = np.nanmax(nodes)
    margin = 0.01 * (last - nodes[0])
    middles = np.r_[nodes[0] - margin, (nodes[:-1] + nodes[1:]) / 2, np.nan]
    middles[np.isfinite(nodes).sum()] = last + margin
    points = np.full(2 * len(nodes) + 1, np.nan)
    points[0::2], points[1::2] = middles, nodes
    return points


def probe_cdfs(
    eigenvalues: torch.Tensor, vectors: torch.Tensor, probes: torch.Tensor, points: np.ndarray
) -> np.ndarray:
    """F(t) = Σ_i (v·q_i)² [λ_i ≤ t] of each probe v at its points t; both (n_v, k)."""
    weights = ((vectors.T @ probes) ** 2).cpu().numpy()  # (p, n_v)
    sums = np.vstack([np.zeros(weights.shape[1]), np.cumsum(weights, axis=0)])
    below = np.searchsorted(eigenvalues.cpu().numpy(), points, side="right")
    return np.take_along_axis(sums.T, below, axis=1)


def ritz_values(risk: Risk, reorthogonalize: str, generator: torch.Generator) -> np.ndarray:
    operator = hessian(risk)
    start = draw_probe(operator, generator)
    run = lanczos(operator, start, min(GHOST_STEPS, risk.num_parameters), reorthogonalize=reorthogonalize)
    return run.ritz()[0]


def product_error(eigenvalues: torch.Tensor, vectors: torch.Tensor, risk: Risk, v: torch.Tensor) -> float:
    """‖Hess₃₂ v − Hess v‖ / ‖Hess v‖ of one single-precision product."""
    exact = vectors @ (eigenvalues * (vectors.T @ v))
    return float((hessian(risk) @ v.to(risk.dtype) - exact).norm() / exact.norm())
