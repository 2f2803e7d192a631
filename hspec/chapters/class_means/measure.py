"""Whose the outliers of G are: A1's exact eigenvalues,
and the spectrum of G with its parts knocked out (P18-5).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch

from hspec.curvature import (
    A1,
    A2,
    B1,
    ClassMeans,
    class_means,
    exact_knock_out_spectra,
    gauss_newton,
)
from hspec.experiments.facts import risk_facts
from hspec.experiments.measure import measure
from hspec.experiments.outliers import BEYOND, start_vectors, top_pairs
from hspec.experiments.quadrature import quadrature
from hspec.experiments.task import Task
from hspec.keys import Added
from hspec.linalg import EigenPairs, LinearOperator, subspace_cosines
from hspec.linalg.low_rank import weighted_eigenvalues

KNOCKED_OUT = {"": (), "_a1": ("A1",), "_a1_a2": ("A1", "A2"), "_a1_a2_b1": ("A1", "A2", "B1")}
MAX_EXACT_ROWS = 12_000  # of the Gram matrix: 1.2 GB


@measure(version=1)
def class_structure(
    task: Task,
    *,
    epoch: Annotated[int | None, Added(None)] = None,
    split: str = "train",
    sample_per_class: int | None = None,
    num_steps: int = 48,
    num_probes: int = 2,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """G's top eigenvalues beside those of A1, A2, A1 + A2 and B1; and G as A1, A2 and B1 are taken
    away in turn.

    epoch: after which the net is taken; None for the last. sample_per_class: images per class over
    which the matrices are averaged; None for all of the split.

    Arrays: g_top and g_residuals (C + 3,); shares (C + 3, 4), what A1, A2, B1 and B2 give to each
        of these; a1, a2, a12
    (C,) and b1: exact eigenvalues of A1, A2, A1 + A2 and B1, descending; cosines (C,), of the
    angles between the span of the g_c and G's top C eigenspace, where C vectors fit in memory;
    quadratures g_, g_a1_, g_a1_a2_ and g_a1_a2_b1_ of G without these parts; what
    :func:`collinearity` tells; facts of the risk.
    Source: P18a section 4; P20 section 4.
    """
    risk = task.risk(split, step=task.step_after(epoch), per_class=sample_per_class)
    means = class_means(risk)
    parts = {"A1": A1(means), "A2": A2(means), "B1": B1(means)}
    start, count = start_vectors(means), risk.num_classes + BEYOND
    pairs = top_pairs(task, risk, gauss_newton(risk), count, start, seed)
    results = {"g_top": pairs.values, "g_residuals": pairs.residuals}
    results["shares"] = owner_shares(pairs, list(parts.values()))
    if start is not None:
        results["cosines"] = subspace_cosines(start, pairs.top(risk.num_classes).vectors)
    for suffix, without in KNOCKED_OUT.items():
        operator = without_parts(gauss_newton(risk), [parts[name] for name in without])
        results |= quadrature(
            task, operator, operator.name, f"g{suffix}_", num_steps, num_probes, seed
        )
    return (
        results
        | exact_eigenvalues(means)
        | {"b1": parts["B1"].eigenvalues()}
        | collinearity(means)
        | risk_facts(risk)
    )


def owner_shares(pairs: EigenPairs, parts: list[LinearOperator]) -> np.ndarray:
    """What each part gives to each eigenvalue, vᵀ(part)v/λ, last what is left for B2: (k, parts +
    1), rows sum to 1.

    All parts are positive semidefinite, so the shares are a true division of λ = vᵀGv.
    """
    v = pairs.vectors
    given = (
        torch.stack([(v * (part @ v)).sum(0, dtype=torch.float64) for part in parts], dim=1)
        .cpu()
        .numpy()
    )
    shares = given / pairs.values[:, None]
    return np.column_stack([shares, 1 - shares.sum(1)])


def without_parts(operator: LinearOperator, parts: list[LinearOperator]) -> LinearOperator:
    """G − A1 − …, named as it reads."""
    for part in parts:
        operator = operator - part
    return operator


def exact_eigenvalues(means: ClassMeans) -> dict[str, np.ndarray]:
    """a1, a2, a12 (C,): the eigenvalues of A1, A2 and A1 + A2, from Gram matrices of C vectors, in
    float64.

    A1 + A2 = Σ_c (p_c/N)(1 + p_c/p_{c,c}) g_c g_cᵀ, because p_c g_c = −p_{c,c} g_{c,c}.
    """
    others, own, examples = (
        means.class_weights.double(),
        means.own_weights.double(),
        means.risk.num_examples,
    )
    of_others, of_own = means.gram("class"), means.gram("own")
    return {
        "a1": weighted_eigenvalues(of_others, others / examples),
        "a2": weighted_eigenvalues(of_own, own / examples),
        "a12": weighted_eigenvalues(of_others, others / examples * (1 + others / own)),
    }


def collinearity(means: ClassMeans) -> dict[str, np.ndarray]:
    """How nearly p_c g_c = −p_{c,c} g_{c,c} holds in this arithmetic; all (C,), class by class.

    p_off and p_own: p_c/N and p_{c,c}/N; cosine: of the angle between g_c and g_{c,c}; mismatch:
    ‖p_c g_c + p_{c,c} g_{c,c}‖/‖p_c g_c‖. One class at a time, so two vectors of R^p in memory.
    """
    own, off = means.own_weights.double().cpu(), means.class_weights.double().cpu()
    cosine, mismatch = np.empty(len(own)), np.empty(len(own))
    for c in range(len(own)):
        pair = torch.cat([means.vectors_of([c], level)[0] for level in ("class", "own")]).double()
        g_off, g_own = pair / torch.linalg.vector_norm(pair, dim=1, keepdim=True)
        norms = torch.linalg.vector_norm(pair, dim=1).cpu()
        cosine[c] = float(g_off @ g_own)
        ratio = float(own[c] * norms[1] / (off[c] * norms[0]))
        mismatch[c] = float(torch.linalg.vector_norm(g_off + ratio * g_own))
    examples = means.risk.num_examples
    return {
        "p_off": (off / examples).numpy(),
        "p_own": (own / examples).numpy(),
        "cosine": cosine,
        "mismatch": mismatch,
    }


def check_exact_rows(rows: int) -> None:
    if rows > MAX_EXACT_ROWS:
        raise ValueError(
            f"exact spectra of N·C = {rows:,} rows are too many: at most {MAX_EXACT_ROWS:,} are "
            "solved. "
            "Take fewer examples per class for them (exact_per_class in the chapter), or fewer "
            "classes."
        )


@measure(version=1)
def exact_knock_out(
    task: Task,
    *,
    split: str = "train",
    sample_per_class: int = 15,
    num_steps: int = 48,
    num_probes: int = 2,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The exact spectra of G and of G without its parts over a small sample, and the quadrature of
    the same G.

    sample_per_class: images per class; the exact spectra take (N·C)² numbers, and the linear
        algebra (N·C)³ products.

    Arrays: exact, exact_a1, exact_a1_a2, exact_a1_a2_b1 (N·C,): eigenvalues, descending, by the
    Gram route; a1 (C,); quadrature g_; facts of the risk.

    Raises ValueError for a sample whose exact spectra would take more than MAX_EXACT_ROWS² numbers.
    Source: P20 section 4; the Gram route is this package's own yardstick.
    """
    risk = task.risk(split, per_class=sample_per_class)
    check_exact_rows(risk.num_examples * risk.num_classes)
    results = quadrature(
        task, gauss_newton(risk), "G, small sample", "g_", num_steps, num_probes, seed
    )
    with task.counting("exact spectra by the Gram route", 1) as advance:
        spectra = exact_knock_out_spectra(risk, list(KNOCKED_OUT.values()))
        advance()
    results |= {
        f"exact{suffix}": values for suffix, values in zip(KNOCKED_OUT, spectra, strict=True)
    }
    return results | {"a1": exact_eigenvalues(class_means(risk))["a1"]} | risk_facts(risk)
