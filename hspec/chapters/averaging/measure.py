"""Averages beside an eigensolver.

Eigenvalues, subspaces, captured curvature, and what each costs (P19-1).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hspec.curvature import G12, ClassMeans, Risk, class_means, delta_means, gauss_newton, hessian
from hspec.curvature.classes.levels import BETWEEN, Levels
from hspec.curvature.cost import seconds_of_product
from hspec.experiments.experiment import Experiment
from hspec.experiments.facts import risk_facts
from hspec.experiments.measure import measure
from hspec.experiments.outliers import BEYOND, top_pairs
from hspec.experiments.setting import Setting
from hspec.experiments.task import Task
from hspec.linalg import LinearOperator, LowRank, Tridiagonal, lanczos, subspace_cosines
from hspec.linalg.deflation import orthonormal_basis
from hspec.linalg.low_rank import weighted_eigenvalues
from hspec.linalg.quadrature import measure_from
from hspec.linalg.trace import draw_probe

# Of the C² means, that their principal space takes: them, scaled, their basis, and what is made of
# it.
COPIES = 4
PARTS = {
    "G0": "own",
    "G1": "class",
    "G2": "cross",
    "G12": BETWEEN,
}  # and the level that each is made of


def averaging_experiments(
    setting: Setting, models: Iterable[str], per_class: Iterable[int], options: Mapping[str, Any]
) -> list[Experiment]:
    """The measure on the setting with each of the nets and sample sizes.

    All sizes of a net follow each other.
    """
    settings = (
        replace(setting, model=model, per_class=size) for model in models for size in per_class
    )
    return [Experiment(averaging, each, options) for each in settings]


@dataclass(frozen=True)
class Averages:
    """Vectors made by averaging, as columns (p, k), and what making them took.

    products: in products with G, by counting operations; seconds: measured.
    """

    vectors: torch.Tensor
    products: float
    seconds: float


@measure(version=1)
def averaging(
    task: Task,
    *,
    epoch: int | None = None,
    split: str = "train",
    sample_per_class: int | None = None,
    num_steps: int = 40,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Averages over classes beside an eigensolver: the top C eigenpairs of G and Hess, and the
    price.

    epoch: after which the net is taken; None for the last. sample_per_class: images per class over
    which the matrices are averaged; None for all of the split. num_steps: of one Lanczos run of G
    from a random vector.

    Arrays: G_top, G_residuals and Hess_top, Hess_residuals (C + 3,); G0, G1, G2, G12 and A1: exact
    eigenvalues, descending; for each SPACE of delta (the span of the δ_c), cross (the top C
    eigenspace of G1+2, where C² vectors fit in memory) and weighted (the span of the g_c):
    SPACE_captured, tr(MᵀGM)/Σ_{i≤C} λ_i(G), SPACE_G_cosines and SPACE_Hess_cosines (C,), of the
    principal angles to the top C eigenspaces, SPACE_products and SPACE_seconds, the price of the
    averages; solver_products, of the eigensolver of G; seconds_per_product of G; lanczos_captured
    (num_steps,): Σ of the C largest Ritz values over Σ_{i≤C} λ_i(G), after each step; g_…: nodes
    and weights of that run; facts of the risk.
    Source: P19 figures 6 and 7, and section 4 on the principal subspace.
    """
    risk = task.risk(split, step=task.step_after(epoch), per_class=sample_per_class)
    G, count = gauss_newton(risk), risk.num_classes + BEYOND
    results = one_lanczos_run(task, G, num_steps, seed)
    spaces = averaged_spaces(risk)
    top = {"G": top_pairs(task, risk, G, count, None, seed)}
    top["Hess"] = top_pairs(task, risk, hessian(risk), count, top["G"].vectors, seed)
    for name, pairs in top.items():
        results |= {f"{name}_top": pairs.values, f"{name}_residuals": pairs.residuals}
    curvature = top["G"].values[: risk.num_classes].sum()
    for space, averages in spaces.items():
        for name, pairs in top.items():
            principal = pairs.top(risk.num_classes).vectors
            results[f"{space}_{name}_cosines"] = subspace_cosines(averages.vectors, principal)
        results[f"{space}_captured"] = curvature_in(averages.vectors, G) / curvature
        results |= {f"{space}_products": averages.products, f"{space}_seconds": averages.seconds}
    results["lanczos_captured"] = results.pop("ritz_sums") / curvature
    results |= {
        "solver_products": top["G"].num_products,
        "seconds_per_product": seconds_of_product(G),
    }
    return results | all_part_eigenvalues(task, risk) | risk_facts(risk)


def one_lanczos_run(
    task: Task, operator: LinearOperator, num_steps: int, seed: int
) -> dict[str, np.ndarray]:
    """g_…, the quadrature of one random vector, and its `ritz_sums`."""
    num_steps = min(num_steps, operator.shape[0])
    with task.counting("Lanczos run of G", num_steps) as advance:
        start = draw_probe(operator, task.generator(seed))
        run = lanczos(operator, start, num_steps, checkpoint=task.folder / "run", callback=advance)
    arrays = measure_from([run], operator.shape[0]).to_arrays()
    sums = ritz_sums(run, task.images("train").num_classes)
    return {f"g_{name}": value for name, value in arrays.items()} | {"ritz_sums": sums}


def ritz_sums(run: Tridiagonal, count: int) -> np.ndarray:
    """After each of m steps the sum of the ``count`` largest Ritz values, (m,).

    It is the curvature tr(MᵀGM) of the best subspace of that dimension in the Krylov space, so it
    grows with the steps.
    """
    T = run.T
    return np.array([np.linalg.eigvalsh(T[:j, :j])[-count:].sum() for j in range(1, len(T) + 1)])


def averaged_spaces(risk: Risk) -> dict[str, Averages]:
    """The δ_c, the top C vectors of G1+2 (where C² vectors fit), and the g_c; each timed."""
    spaces = {"delta": timed(lambda: delta_means(risk), class_vectors, "class")}
    if delta_means(risk).fits(COPIES * risk.num_classes**2):
        spaces["cross"] = timed(lambda: delta_means(risk), principal_of_means, BETWEEN)
    spaces["weighted"] = timed(lambda: class_means(risk), class_vectors, "class")
    return spaces


def timed(
    make: Callable[[], ClassMeans], vectors_of: Callable[[ClassMeans], torch.Tensor], level: str
) -> Averages:
    """``vectors_of(make())``, with what both take."""
    start = time.perf_counter()
    means = make()
    vectors = vectors_of(means)
    if vectors.is_cuda:
        torch.cuda.synchronize(vectors.device)
    return Averages(vectors, means.num_products(level), time.perf_counter() - start)


def class_vectors(means: ClassMeans) -> torch.Tensor:
    """The means of the classes as columns (p, C)."""
    return means.class_vectors.T


def principal_of_means(means: ClassMeans) -> torch.Tensor:
    """The top C eigenvectors of G1+2 (p, C), or as many as it has.

    From a Gram matrix of C² vectors.
    """
    parts = G12(means)
    if not isinstance(parts, LowRank):
        raise MemoryError("the cross-class means do not fit in the risk's memory budget")
    pairs = parts.eigenpairs()
    return pairs.top(min(len(means.classes), len(pairs))).vectors


def curvature_in(vectors: torch.Tensor, operator: LinearOperator) -> float:
    """tr(MᵀAM), M an orthonormal basis of the vectors' span (p, k).

    Source: P19 (the principal subspace by averaging).
    """
    M = orthonormal_basis(vectors)
    return float((M * (operator @ M)).sum(dtype=torch.float64))


def all_part_eigenvalues(task: Task, risk: Risk) -> dict[str, np.ndarray]:
    """G0, G1, G2, G12 of the δ_{c,c'}, and A1 of the g_c: exact eigenvalues, descending."""
    means, weighted = delta_means(risk), class_means(risk)
    with task.counting("inner products of the means") as advance:
        gram = means.gram(callback=advance)
    of_class = level_eigenvalues(
        weighted.levels, "class", weighted.gram("class"), risk.num_examples
    )
    return part_eigenvalues(means.levels, gram, risk.num_examples) | {"A1": of_class}


def part_eigenvalues(
    levels: Levels, gram: torch.Tensor, num_examples: int
) -> dict[str, np.ndarray]:
    """Of G0, G1, G2 and G1+2, from the inner products of all δ_{c,c'}, float64 (C², C²)."""
    found = {}
    for name, level in PARTS.items():
        blocks = [levels.combinations(level, row).double() for row in range(len(levels.classes))]
        of_level = torch.block_diag(*blocks).to(gram)
        found[name] = level_eigenvalues(levels, level, of_level @ gram @ of_level.T, num_examples)
    return found


def level_eigenvalues(
    levels: Levels, level: str, gram: torch.Tensor, num_examples: int
) -> np.ndarray:
    """Of the level's matrix (1/N) Σ w u uᵀ, from the inner products of its vectors u.

    Descending.
    """
    weights = levels.vector_weights(level).double().reshape(-1).to(gram)
    return weighted_eigenvalues(gram, weights / num_examples)
