"""G = A1 + A2 + B1 + B2: the spectra of the four parts (P18-7, P18-8)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hspec.curvature import B2, class_means, exact_gauss_newton_spectrum, gauss_newton
from hspec.curvature.classes.parts import Level
from hspec.experiments.facts import performance
from hspec.experiments.measure import measure
from hspec.experiments.quadrature import quadrature
from hspec.experiments.task import Task

FEW_MEANS = {"A1": "class", "A2": "own", "B1": "cross"}  # spectra from at most C² vectors


@measure(version=1)
def level_spectra(
    task: Task,
    *,
    epoch: int | None = None,
    whole: bool = False,
    exact_limit: int = 0,
    num_steps: int = 80,
    num_probes: int = 2,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Exact spectra of A1, A2 and B1, by their Gram matrices; quadrature of B2, and of G where the
    ``whole`` is wanted.

    epoch        after which the net is taken; None: the last
    exact_limit  largest N·C at which B2 (and G) are also diagonalised, by the Gram matrix of all
    g_{n,c'}

    Arrays: A1 (C,), A2 (C,), B1 (C(C − 2),), their nonzero eigenvalues, descending, padded with
    zeros; B2_… and G_…: nodes and weights of the quadratures; exact_B2 and exact_G (N·C,) within
    the limit; loss, error_rate, test_loss, test_error; num_classes, num_examples, num_parameters.
    Source: P18a; P20, G_class, G_{c=c'}, G_cross and G_within.
    """
    risk = task.risk(step=task.step_after(epoch))
    means, c = class_means(risk), risk.num_classes
    exact = {}
    for name, level in FEW_MEANS.items():
        with task.counting(f"exact spectrum of {name}") as advance:
            rank = max(1, c * (c - 2) if name == "B1" else c)
            exact[name] = largest(Level(means, level, name), rank, advance)
    sampled = {"B2_": B2(risk, means)} | ({"G_": gauss_newton(risk)} if whole else {})
    for prefix, operator in sampled.items():
        exact |= quadrature(task, operator, operator.name, prefix, num_steps, num_probes, seed)
    if risk.num_examples * c <= exact_limit:
        exact["exact_B2"] = exact_gauss_newton_spectrum(risk, without=("A1", "A2", "B1"))
        if whole:
            exact["exact_G"] = exact_gauss_newton_spectrum(risk)
    return {**exact, **performance(task, risk, epoch)}


def largest(
    level: Level, rank: int, callback: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """The ``rank`` largest eigenvalues of a level of that rank, (rank,), descending;
    zeros where there are fewer.
    """
    found = level.eigenvalues(callback)[:rank]
    return np.pad(found, (0, rank - len(found)))
