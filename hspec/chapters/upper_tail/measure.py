"""Who owns the upper tail of the Hessian's bulk, G or H? (P18-4)"""

from __future__ import annotations

import numpy as np
import torch

from hspec.curvature import class_means, gauss_newton, hessian
from hspec.experiments.facts import performance
from hspec.experiments.measure import measure
from hspec.experiments.task import Task
from hspec.linalg import LinearOperator, Tridiagonal, deflate, eigenpairs_from, eigsh, lanczos
from hspec.linalg.ritz_weights import ritz_weights
from hspec.linalg.trace import draw_probe

OUTLIER_TOLERANCE = (
    1e-2  # residual relative to λ_C: the deflated space is then that of the outliers
)
BLOCK = 8  # Ritz vectors multiplied at a time


@measure(version=1)
def upper_tail(
    task: Task,
    *,
    epoch: int | None = None,
    tail: float = 1e-2,
    num_steps: int = 60,
    num_probes: int = 2,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The largest eigenvalues of the bulk, and how much of each is G's.

    epoch  after which the net is taken; None: the last
    tail   share of the bulk's eigenvalues to look at, from the top

    The bulk is B = (I − QQᵀ) Hess (I − QQᵀ), Q the top C eigenvectors. A Lanczos run on B from a
    random probe gives Ritz pairs (θ_k, u_k) with quadrature weights w_k. As u_k is orthogonal to Q
    and Hess = G + H, every Ritz value
    splits, without rest: θ_k = u_kᵀ G u_k + u_kᵀ H u_k. One G product each finds the parts.

    Arrays, for n_v probes, rows in descending θ, padded with NaN and weight 0: nodes, g_parts,
    weights, residuals (n_v, r), the r Ritz pairs of the tail; smallest (n_v,), the lowest Ritz
    value; top and top_residuals (C,), the outliers; dimension p − C; loss, error_rate, test_loss,
    test_error; num_classes, num_examples, num_parameters. P18a section 4; mathematics: the chapter.
    """
    check_tail(tail)
    risk = task.risk(step=task.step_after(epoch))
    full, generator = hessian(risk), task.generator(seed)
    means = class_means(risk)
    start = means.class_vectors.T if means.fits(risk.num_classes) else None
    with task.counting("outliers") as advance:
        pairs = eigsh(
            full,
            risk.num_classes,
            start=start,
            tol=OUTLIER_TOLERANCE,
            generator=generator,
            checkpoint=task.folder / "outliers",
            callback=advance,
        )
    bulk = deflate(full, pairs)
    rows, smallest = [], []
    with task.counting("bulk", num_steps * num_probes) as advance:
        for i in range(num_probes):
            run = lanczos(
                bulk,
                draw_probe(bulk, generator),
                min(num_steps, risk.num_parameters - len(pairs)),
                checkpoint=task.folder / f"probe-{i}",
                callback=lambda step, _, i=i: advance(i * num_steps + step),
            )
            rows.append(tail_of(run, gauss_newton(risk), risk.num_parameters - len(pairs), tail))
            smallest.append(run.ritz()[0][0])
    names = ("nodes", "g_parts", "weights", "residuals")
    return {
        **{name: padded([row[name] for row in rows]) for name in names},
        "smallest": smallest,
        "top": pairs.values,
        "top_residuals": pairs.residuals,
        "dimension": risk.num_parameters - len(pairs),
        **performance(task, risk, epoch),
    }


def check_tail(tail: float, measured: float = 1.0) -> float:
    """``tail`` itself, if it is a share of the bulk and no more than was ``measured``;
    ValueError otherwise.
    """
    if not 0 < tail < 1 or tail > measured:
        most = "below 1" if measured == 1 else f"at most {measured:g}, the largest tail measured"
        raise ValueError(f"tail is a share of the bulk, above 0 and {most}; got {tail:g}")
    return tail


def tail_of(
    run: Tridiagonal, G: LinearOperator, dimension: int, tail: float
) -> dict[str, np.ndarray]:
    """The Ritz pairs of one run that hold the upper ``tail`` of its mass: θ, uᵀ G u,
    w and residual; all (r,).
    """
    weights = ritz_weights([run], dimension)[0][::-1]
    count = min(1 + int(np.searchsorted(np.cumsum(weights), tail)), len(weights))
    pairs = eigenpairs_from(run, count)
    return {
        "nodes": pairs.values,
        "g_parts": rayleigh_quotients(G, pairs.vectors),
        "weights": weights[:count],
        "residuals": pairs.residuals,
    }


def rayleigh_quotients(A: LinearOperator, vectors: torch.Tensor) -> np.ndarray:
    """uᵀ A u for unit columns u: (p, r) -> (r,)."""
    found = [
        (block * (A @ block)).sum(0, dtype=torch.float64) for block in vectors.split(BLOCK, dim=1)
    ]
    return torch.cat(found).cpu().numpy()


def padded(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of different lengths as one array, filled up with NaN."""
    table = np.full((len(rows), max(map(len, rows))), np.nan)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table
