"""The instrument on matrices that anybody can make: a spiked Wishart matrix, and one with heavy tails."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hspec.experiments.bench import Bench
from hspec.experiments.measures.spectra import quadrature
from hspec.linalg import aslinearoperator, deflate, eigsh

SPIKES = (5.0, 4.0, 3.0)
TOLERANCE = 1e-8  # residual relative to the smallest spike: a float64 product costs nothing here


def synthetic(
    bench: Bench,
    *,
    matrix: str = "spiked",
    num_steps: int = 128,
    num_probes: int = 10,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Quadrature of a synthetic matrix, in float64, beside its exact eigenvalues.

    matrix   "spiked": diag(5, 4, 3, 0, …) + Z Zᵀ/2000, Z (2000, 2000) Gaussian; or "heavy-tailed": Z Zᵀ/1000,
             Z (500, 1000) of Pareto's law with exponent and scale 1

    Arrays: exact (p,), descending; plain_…: nodes and weights; of the spiked matrix also top and top_residuals (3,),
    and deflated_…: the quadrature without these three. num_parameters p; num_examples 0.
    Source: P20, figure 15: (a) 128 steps, (b) 256, ten probes.
    """
    if matrix not in MATRICES:
        raise ValueError(f"unknown matrix {matrix!r}: choose one of {', '.join(MATRICES)}")
    dense = MATRICES[matrix](bench.generator(seed))
    operator = aslinearoperator(dense)
    results = {"exact": torch.linalg.eigvalsh(dense).flip(0).numpy()}
    results |= quadrature(bench, operator, matrix, "plain_", num_steps, num_probes, seed + 1)
    if matrix == "spiked":
        pairs = eigsh(operator, len(SPIKES), tol=TOLERANCE, generator=bench.generator(seed + 2))
        bulk = deflate(operator, pairs)
        results |= quadrature(bench, bulk, "deflated", "deflated_", num_steps, num_probes, seed + 1)
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
