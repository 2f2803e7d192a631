"""How good is the instrument: quadrature against the exact spectrum of a net small enough
to have one (GKX-1).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hspec.curvature import Risk, hessian
from hspec.experiments.measure import measure
from hspec.experiments.quadrature import quadrature
from hspec.experiments.task import Task
from hspec.linalg import SpectralMeasure, aslinearoperator, deflate, eigsh, lanczos, slq
from hspec.linalg.trace import draw_probe

GHOST_STEPS = 128  # the number of steps of P19's code, which does not reorthogonalise


@measure(version=1)
def instrument(
    task: Task, *, num_steps: int = 90, num_probes: int = 10, seed: int = 0
) -> dict[str, np.ndarray]:
    """Exact spectrum of the Hessian by a dense float64 solve, beside its estimates by Lanczos
    quadrature.

    Arrays: eigenvalues (p,), ascending; double_… and single_…: the quadratures with float64 and
    float32 products; edges (n_v, 2m + 1): the nodes, the midpoints between them and one point
    beyond either end; exact_cdf of the same
    shape: the exact CDF of each probe's weighted measure there; ghosts and no_ghosts
    (GHOST_STEPS,): float32 Ritz values without and with reorthogonalisation; product_error:
    relative error of a float32 product; num_parameters, num_examples, loss, error_rate.
    Source: GKX19, section 3 and appendix.
    """
    risk = task.risk(dtype=torch.float64)
    eigenvalues, vectors = dense_eigenpairs(task, risk)
    double = hessian_quadrature(task, risk, "double", num_steps, num_probes, seed)
    single_risk = task.risk(dtype=torch.float32)
    single = hessian_quadrature(task, single_risk, "single", num_steps, num_probes, seed)
    probes = draw_probes(risk, num_probes, task.generator(seed))
    edges = np.stack([between(nodes) for nodes in double.nodes])
    return {
        "eigenvalues": eigenvalues.cpu().numpy(),
        **{f"double_{name}": value for name, value in double.to_arrays().items()},
        **{f"single_{name}": value for name, value in single.to_arrays().items()},
        "edges": edges,
        "exact_cdf": probe_cdfs(eigenvalues, vectors, probes, edges),
        "ghosts": ritz_values(single_risk, "none", task.generator(seed)),
        "no_ghosts": ritz_values(single_risk, "full", task.generator(seed)),
        "product_error": product_error(eigenvalues, vectors, single_risk, probes[:, 0]),
        "num_parameters": risk.num_parameters,
        "num_examples": risk.num_examples,
        "loss": risk.loss(),
        "error_rate": risk.error_rate(),
    }


def dense_eigenpairs(task: Task, risk: Risk) -> tuple[torch.Tensor, torch.Tensor]:
    """All eigenvalues (p,) and eigenvectors (p, p) of the Hessian, from its p columns."""
    with task.counting("dense Hessian, then its eigenpairs", 2) as advance:
        dense = hessian(risk).to_dense()
        advance()
        pairs = torch.linalg.eigh((dense + dense.T) / 2)
        advance()
    return pairs


def hessian_quadrature(
    task: Task, risk: Risk, name: str, num_steps: int, num_probes: int, seed: int
) -> SpectralMeasure:
    with task.counting(f"quadrature, {name} precision", num_steps * num_probes) as advance:
        return slq(
            hessian(risk),
            num_steps,
            num_probes,
            generator=task.generator(seed),
            checkpoint=task.folder / name,
            callback=advance,
        )


def draw_probes(risk: Risk, num_probes: int, generator: torch.Generator) -> torch.Tensor:
    """The unit probes (p, n_v) that the quadrature drew from the same generator."""
    probes = torch.stack([draw_probe(hessian(risk), generator) for _ in range(num_probes)], dim=1)
    return probes / probes.norm(dim=0)


def between(nodes: np.ndarray) -> np.ndarray:
    """The nodes (m,), their midpoints, and a point beyond either end: (2m + 1,), ascending.
    NaN nodes stay NaN.
    """
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
    run = lanczos(
        operator, start, min(GHOST_STEPS, risk.num_parameters), reorthogonalize=reorthogonalize
    )
    return run.ritz()[0]


def product_error(
    eigenvalues: torch.Tensor, vectors: torch.Tensor, risk: Risk, v: torch.Tensor
) -> float:
    """‖Hess₃₂ v − Hess v‖ / ‖Hess v‖ of one single-precision product."""
    exact = vectors @ (eigenvalues * (vectors.T @ v))
    return float((hessian(risk) @ v.to(risk.dtype) - exact).norm() / exact.norm())


SPIKES = (5.0, 4.0, 3.0)
TOLERANCE = 1e-8  # residual relative to the smallest spike: a float64 product costs nothing here


@measure(version=1)
def synthetic(
    task: Task,
    *,
    matrix: str = "spiked",
    num_steps: int = 128,
    num_probes: int = 10,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Quadrature of a synthetic matrix, in float64, beside its exact eigenvalues.

    matrix   "spiked": diag(5, 4, 3, 0, …) + Z Zᵀ/2000, Z (2000, 2000) Gaussian; or "heavy-tailed":
             Z Zᵀ/1000, Z (500, 1000) of Pareto's law with exponent and scale 1

    Arrays: exact (p,), descending; plain_…: nodes and weights; of the spiked matrix also top and
    top_residuals (3,), and deflated_…: the quadrature without these three. num_parameters p;
    num_examples 0.
    Source: P20, figure 15: (a) 128 steps, (b) 256, ten probes.
    """
    if matrix not in MATRICES:
        raise ValueError(f"unknown matrix {matrix!r}: choose one of {', '.join(MATRICES)}")
    dense = MATRICES[matrix](task.generator(seed))
    operator = aslinearoperator(dense)
    results = {"exact": torch.linalg.eigvalsh(dense).flip(0).numpy()}
    results |= quadrature(task, operator, matrix, "plain_", num_steps, num_probes, seed + 1)
    if matrix == "spiked":
        pairs = eigsh(operator, len(SPIKES), tol=TOLERANCE, generator=task.generator(seed + 2))
        bulk = deflate(operator, pairs)
        results |= quadrature(task, bulk, "deflated", "deflated_", num_steps, num_probes, seed + 1)
        results |= {"top": pairs.values, "top_residuals": pairs.residuals}
    return results | {"num_parameters": len(dense), "num_examples": 0}


def spiked(generator: torch.Generator) -> Tensor:
    """diag(5, 4, 3, 0, …) + Z Zᵀ/2000, Z (2000, 2000) standard normal.

    Source: P20, figure 15a
    """
    Z = torch.randn(2000, 2000, generator=generator, dtype=torch.float64)
    Y = Z @ Z.T / 2000
    Y.diagonal()[: len(SPIKES)] += torch.tensor(SPIKES, dtype=torch.float64)
    return (Y + Y.T) / 2


def heavy_tailed(generator: torch.Generator) -> Tensor:
    """Z Zᵀ/1000, Z (500, 1000) with P(z > t) = 1/t for t ≥ 1.

    Source: P20, figure 15b
    """
    u = 1 - torch.rand(500, 1000, generator=generator, dtype=torch.float64)  # in (0, 1]
    Z = 1 / u
    Y = Z @ Z.T / 1000
    return (Y + Y.T) / 2


MATRICES = {"spiked": spiked, "heavy-tailed": heavy_tailed}
