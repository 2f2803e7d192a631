"""Who owns the outliers, and who the bulk: the spectra of Hess, G and H,
and of Hess without G's top C (P18-2).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hspec.curvature import class_means, gauss_newton, hessian, residual
from hspec.experiments.facts import risk_facts
from hspec.experiments.measure import measure
from hspec.experiments.outliers import BEYOND, TOLERANCE, start_vectors, top_pairs
from hspec.experiments.quadrature import quadrature
from hspec.experiments.task import Task
from hspec.keys import Added
from hspec.linalg import LinearOperator, deflate, eigsh, inner_products, subspace_cosines


@measure(version=1)
def ownership(
    task: Task,
    *,
    epoch: Annotated[int | None, Added(None)] = None,
    split: str = "train",
    sample_per_class: int | None = None,
    num_steps: int = 48,
    num_probes: int = 3,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Spectra of Hess = G + H and of its two parts, from the same probes; overlap of the top
    eigenspaces.

    epoch: after which the net is taken; None for the last. sample_per_class: images per class over
    which the matrices are averaged; None for all of the split.

    Arrays: hess_top, g_top (C + 3,) with …_residuals; h_ends (2,), the largest and the smallest
    eigenvalue of H; cosines (C,), of the principal angles between the top C eigenspaces of Hess and
    G; overlaps (C, C), the squared inner products of their eigenvectors, Hess first; quadratures
    hess_ (top C deflated), g_ (top C deflated), h_, and knocked_ (Hess with G's top C projected
    out, one probe); facts of the risk.
    Source: P18a section 3; P20 section 4.
    """
    risk = task.risk(split, step=task.step_after(epoch), per_class=sample_per_class)
    hess, g, h = hessian(risk), gauss_newton(risk), residual(risk)
    start = start_vectors(class_means(risk))
    of_hess, of_g = (
        top_pairs(task, risk, A, risk.num_classes + BEYOND, start, seed) for A in (hess, g)
    )
    own_hess, own_g = of_hess.top(risk.num_classes), of_g.top(risk.num_classes)
    spectra = {
        "hess_": deflate(hess, own_hess),
        "g_": deflate(g, own_g),
        "h_": h,
        "knocked_": deflate(hess, own_g),
    }
    results = {}
    for prefix, operator in spectra.items():
        probes = 1 if prefix == "knocked_" else num_probes  # only its upper end is asked for
        results |= quadrature(task, operator, operator.name, prefix, num_steps, probes, seed)
    return results | {
        "hess_top": of_hess.values,
        "hess_residuals": of_hess.residuals,
        "g_top": of_g.values,
        "g_residuals": of_g.residuals,
        "h_ends": both_ends(task, h, seed),
        "cosines": subspace_cosines(own_hess.vectors, own_g.vectors),
        "overlaps": (inner_products.cross(own_hess.vectors.T, own_g.vectors.T) ** 2).cpu().numpy(),
        **risk_facts(risk),
    }


def both_ends(task: Task, operator: LinearOperator, seed: int) -> np.ndarray:
    """The largest and the smallest eigenvalue (2,)."""
    with task.counting(f"both ends of {operator.name}") as advance:
        ends = eigsh(
            operator,
            1,
            which="both",
            tol=TOLERANCE,
            generator=task.generator(seed),
            checkpoint=task.folder / f"ends-{operator.name}",
            callback=advance,
        )
    return ends.values
