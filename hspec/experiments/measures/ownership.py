"""Who owns the outliers, and who the bulk: the spectra of Hess, G and H, and of Hess without G's top C (P18-2)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch

from hspec.curvature import ClassMeans, Risk, class_means, gauss_newton, hessian, residual
from hspec.experiments.bench import Bench
from hspec.experiments.measures.spectra import quadrature
from hspec.keys import Added
from hspec.linalg import EigenPairs, LinearOperator, deflate, eigsh, inner_products, subspace_cosines

BEYOND = 3  # eigenvalues computed beyond the top C, so that a gap after the C-th can be seen
# Residual relative to the smallest eigenvalue wanted. λ_1 can be fifty times that, and a float32 product is known to
# some 1e-5 λ_1: less cannot be asked for. Eigenvalues err by the residual's square over the gap.
TOLERANCE = 5e-3

# Of a basis: the LEAST vectors beyond those wanted, and the GENEROUS ones that `eigsh` takes by itself.
LEAST, GENEROUS = 10, 44


def ownership(
    bench: Bench,
    *,
    epoch: Annotated[int | None, Added(None)] = None,
    split: str = "train",
    sample_per_class: int | None = None,
    num_steps: int = 48,
    num_probes: int = 3,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Spectra of Hess = G + H and of its two parts, from the same probes; overlap of the top eigenspaces.

    epoch: after which the net is taken; None for the last. sample_per_class: images per class over which the
    matrices are averaged; None for all of the split.

    Arrays: hess_top, g_top (C + 3,) with …_residuals; h_ends (2,), the largest and the smallest eigenvalue of H;
    cosines (C,), of the principal angles between the top C eigenspaces of Hess and G; overlaps (C, C), the squared
    inner products of their eigenvectors, Hess first; quadratures hess_ (top C deflated), g_ (top C deflated), h_, and
    knocked_ (Hess with G's top C projected out, one probe); facts of the risk.
    Source: P18a section 3; P20 section 4.
    """
    risk = bench.risk(split, step=bench.step_after(epoch), per_class=sample_per_class)
    hess, g, h = hessian(risk), gauss_newton(risk), residual(risk)
    start = start_vectors(class_means(risk))
    of_hess, of_g = (top_pairs(bench, risk, A, risk.num_classes + BEYOND, start, seed) for A in (hess, g))
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
        results |= quadrature(bench, operator, operator.name, prefix, num_steps, probes, seed)
    return results | {
        "hess_top": of_hess.values,
        "hess_residuals": of_hess.residuals,
        "g_top": of_g.values,
        "g_residuals": of_g.residuals,
        "h_ends": both_ends(bench, h, seed),
        "cosines": subspace_cosines(own_hess.vectors, own_g.vectors),
        "overlaps": (inner_products.cross(own_hess.vectors.T, own_g.vectors.T) ** 2).cpu().numpy(),
        **risk_facts(risk),
    }


def start_vectors(means: ClassMeans) -> torch.Tensor | None:
    """The class means g_c as columns (p, C), near the top eigenvectors; None where they do not fit in memory."""
    return means.class_vectors.T if means.fits(len(means.counts)) else None


def top_pairs(
    bench: Bench,
    risk: Risk,
    operator: LinearOperator,
    count: int,
    start: torch.Tensor | None,
    seed: int,
) -> EigenPairs:
    """The largest ``count`` eigenpairs, to :data:`TOLERANCE`, within the risk's memory budget."""
    with bench.counting(f"top {count} of {operator.name}") as advance:
        return eigsh(
            operator,
            count,
            start=start,
            tol=TOLERANCE,
            max_basis=affordable_basis(operator, count, risk.memory_budget),
            generator=bench.generator(seed),
            checkpoint=bench.folder / f"top-{operator.name}",
            callback=advance,
        )


def affordable_basis(operator: LinearOperator, count: int, memory: int) -> int | None:
    """Vectors that `eigsh` may keep in so many bytes before it restarts; None where that is its own choice."""
    affordable = memory // (operator.shape[0] * operator.dtype.itemsize * 2)  # V and A V
    return None if affordable >= 2 * count + GENEROUS else max(count + LEAST, affordable)


def both_ends(bench: Bench, operator: LinearOperator, seed: int) -> np.ndarray:
    """The largest and the smallest eigenvalue (2,)."""
    with bench.counting(f"both ends of {operator.name}") as advance:
        ends = eigsh(
            operator,
            1,
            which="both",
            tol=TOLERANCE,
            generator=bench.generator(seed),
            checkpoint=bench.folder / f"ends-{operator.name}",
            callback=advance,
        )
    return ends.values


def risk_facts(risk: Risk) -> dict[str, float]:
    """What every record tells of the risk it is about."""
    return {
        "loss": risk.loss(),
        "error_rate": risk.error_rate(),
        "num_classes": risk.num_classes,
        "num_examples": risk.num_examples,
        "num_parameters": risk.num_parameters,
    }
