"""The largest eigenpairs of a matrix, found from the class means:
what two chapters take apart."""

from __future__ import annotations

import torch

from hspec.curvature import ClassMeans, Risk
from hspec.experiments.task import Task
from hspec.linalg import EigenPairs, LinearOperator, eigsh

BEYOND = 3  # eigenvalues computed beyond the top C, so that a gap after the C-th can be seen
# Residual relative to the smallest eigenvalue wanted. λ_1 can be fifty times that, and a float32
# product is known to some 1e-5 λ_1: less cannot be asked for. Eigenvalues err by the residual's
# square over the gap.
TOLERANCE = 5e-3
# Of a basis: the LEAST vectors beyond those wanted, and the GENEROUS ones that `eigsh` takes by
# itself.
LEAST, GENEROUS = 10, 44


def start_vectors(means: ClassMeans) -> torch.Tensor | None:
    """The class means g_c as columns (p, C), near the top eigenvectors;
    None where they do not fit in memory.
    """
    return means.class_vectors.T if means.fits(len(means.counts)) else None


def top_pairs(
    task: Task,
    risk: Risk,
    operator: LinearOperator,
    count: int,
    start: torch.Tensor | None,
    seed: int,
) -> EigenPairs:
    """The largest ``count`` eigenpairs, to :data:`TOLERANCE`,
    within the risk's memory budget."""
    with task.counting(f"top {count} of {operator.name}") as advance:
        return eigsh(
            operator,
            count,
            start=start,
            tol=TOLERANCE,
            max_basis=affordable_basis(operator, count, risk.memory_budget),
            generator=task.generator(seed),
            checkpoint=task.folder / f"top-{operator.name}",
            callback=advance,
        )


def affordable_basis(operator: LinearOperator, count: int, memory: int) -> int | None:
    """Vectors that `eigsh` may keep in so many bytes before it restarts;
    None where that is its own choice.
    """
    affordable = memory // (operator.shape[0] * operator.dtype.itemsize * 2)  # V and A V
    return None if affordable >= 2 * count + GENEROUS else max(count + LEAST, affordable)
