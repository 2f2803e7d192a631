"""The law of the bulk: the spectrum of H on a logarithmic axis,
and of matrices whose law is known (P18-3).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch

from hspec.curvature import residual
from hspec.experiments.facts import risk_facts
from hspec.experiments.measure import measure
from hspec.experiments.quadrature import quadrature
from hspec.experiments.task import Task
from hspec.keys import Added
from hspec.linalg import LinearOperator, LowRank, aslinearoperator

LAWS = ("semicircle", "power law")


@measure(version=1)
def log_spectrum(
    task: Task,
    *,
    epoch: Annotated[int | None, Added(None)] = None,
    split: str = "train",
    sample_per_class: int | None = None,
    num_steps: int = 200,
    num_probes: int = 2,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The spectrum of H to many steps, since small eigenvalues need them; ``h_`` and the facts of
    the risk.

    epoch: after which the net is taken; None for the last. sample_per_class: images per class over
    which H is averaged; None for all of the split.
    Source: P20, C.7.
    """
    risk = task.risk(split, step=task.step_after(epoch), per_class=sample_per_class)
    h = residual(risk)
    return quadrature(task, h, "H", "h_", num_steps, num_probes, seed) | risk_facts(risk)


@measure(version=1)
def known_law(
    task: Task,
    *,
    law: str = "semicircle",
    dimension: int = 2000,
    exponent: float = 1.5,
    decades: float = 3.0,
    num_steps: int = 200,
    num_probes: int = 2,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The same quadrature of a matrix whose law is known, as ``h_``: the control of every fit to H.

    law        "semicircle": a Gaussian orthogonal matrix of radius 1; "power law": eigenvalues of
               both signs with density ∝ |λ|^(−exponent) over ``decades`` decades up to 1, in a
               random orthogonal basis
    dimension  p of the matrix
    """
    if law not in LAWS:
        raise ValueError(f"unknown law {law!r}: choose one of {', '.join(LAWS)}")
    generator = task.generator(seed)
    make = wigner if law == "semicircle" else pareto
    operator = make(dimension, exponent, decades, generator)
    results = quadrature(task, operator, law, "h_", num_steps, num_probes, seed + 1)
    return results | {"num_parameters": dimension, "num_examples": 0}


def wigner(
    dimension: int, exponent: float, decades: float, generator: torch.Generator
) -> LinearOperator:
    """(M + Mᵀ)/√(8p), M Gaussian: its spectrum tends to the semicircle of radius 1,
    whatever the other numbers.
    """
    M = torch.randn(dimension, dimension, generator=generator, dtype=torch.float64)
    return aslinearoperator((M + M.T) / (8 * dimension) ** 0.5)


def pareto(
    dimension: int, exponent: float, decades: float, generator: torch.Generator
) -> LinearOperator:
    """Q diag(±|λ|) Qᵀ, Q random; |λ| are the quantiles of the power law on [10^−decades, 1],
    signs alternate.
    """
    u = (torch.arange(dimension, dtype=torch.float64) + 0.5) / dimension
    sign = 1 - 2 * (torch.arange(dimension, dtype=torch.float64) % 2)
    lowest, rate = 10.0**-decades, 1 - exponent
    size = lowest ** (1 - u) if rate == 0 else (lowest**rate + u * (1 - lowest**rate)) ** (1 / rate)
    M = torch.randn(dimension, dimension, generator=generator, dtype=torch.float64)
    return LowRank(torch.linalg.qr(M).Q, sign * size, name="Q diag(λ) Qᵀ")
