"""Each layer's exact Gauss-Newton matrix beside its Kronecker approximations (P20-4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hspec.curvature import LayerData, cfac, kfac, layer_data, layer_gauss_newton
from hspec.curvature.kronecker_distance import frobenius_error
from hspec.curvature.kronecker_factors import LayerGaussNewton, best_kronecker, cross_class_factors
from hspec.curvature.layer_coordinates import coordinates
from hspec.curvature.layers import error_means, feature_means
from hspec.experiments.facts import risk_facts
from hspec.experiments.measure import measure
from hspec.experiments.perceptrons import require_perceptron
from hspec.experiments.quadrature import quadrature
from hspec.experiments.task import Task
from hspec.linalg import EigenPairs, Kronecker, LinearOperator, eigsh, subspace_cosines
from hspec.linalg.kronecker import kronecker_terms

APPROXIMATIONS: dict[str, Callable[[LayerData], LinearOperator]] = {
    "kfac": kfac,
    "best": best_kronecker,
    "cfac": cfac,
    "cross": cross_class_factors,
}
TOLERANCE = 1e-4  # residual of an eigenpair, relative to the smallest one wanted


@measure(version=1)
def layer_curvature(
    task: Task,
    *,
    split: str = "train",
    sample_per_class: int | None = None,
    num_steps: int = 40,
    num_probes: int = 2,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """KFAC, CFAC and two more beside the exact G of every layer: errors, eigenvalues, eigenspaces.

    sample_per_class: images per class over which everything is averaged; None for all of the split.

    Arrays, with L layers and the four of :data:`APPROXIMATIONS` in their order: layers (L,) names;
    sizes (L, 2), d_out and d_in; frobenius (L, 4), ‖A − G‖_F/‖G‖_F; overlap (L, 4), mean squared
    cosine of the angles between the top C eigenspaces of A and of G; trace (L, 4), tr A/tr G;
    top (L, 5, C), the C largest eigenvalues of G and of the four; products (L, K) and
    weighted_products (L, K), see :func:`class_products`; quadratures l0_g_, l0_kfac_, …, of layer
    0 and on; facts of the risk.
    Raises ValueError for a net with convolutions.
    Source: P20, section 7, definitions 7.1 and 7.2.
    """
    require_perceptron(task.setting)
    risk = task.risk(split, per_class=sample_per_class)
    layers, rows = layer_data(risk), {}
    for place, (name, layer) in enumerate(layers.items()):
        few = coordinates(layer)
        data = few.data
        matrices = {"g": layer_gauss_newton(data)}
        matrices |= {key: make(data) for key, make in APPROXIMATIONS.items()}
        count = min(risk.num_classes, data.weight.numel())
        pairs = {k: top_pairs(task, A, count, f"{place}-{k}", seed) for k, A in matrices.items()}
        exact, traces = pairs["g"].vectors, [trace_of(data, A) for A in matrices.values()]
        spaces = [subspace_cosines(exact, pairs[key].vectors) for key in APPROXIMATIONS]
        row = {
            "sizes": layer.weight.shape,
            "frobenius": [frobenius_error(data, matrices[key]) for key in APPROXIMATIONS],
            "overlap": [np.mean(cosines**2) for cosines in spaces],
            "trace": np.array(traces[1:]) / traces[0],
            "top": [padded(of.values, risk.num_classes) for of in pairs.values()],
        } | class_products(data)
        for key, value in row.items():
            rows.setdefault(key, []).append(np.asarray(value))
        for key, A in matrices.items():
            title, prefix = f"{A.name} of {name}", f"l{place}_{key}_"
            of_all = few.embedded(A)
            rows |= quadrature(task, of_all, title, prefix, num_steps, num_probes, seed)
    stacked = {key: np.stack(v) if isinstance(v, list) else v for key, v in rows.items()}
    return stacked | {"layers": np.array(list(layers))} | risk_facts(risk)


def top_pairs(task: Task, A: LinearOperator, count: int, name: str, seed: int) -> EigenPairs:
    """The largest pairs: of one product from its factors, of a sum or of G by `eigsh`."""
    if isinstance(A, Kronecker):
        return A.eigenpairs(count)
    with task.counting(f"top {count} of {A.name}") as advance:
        return eigsh(
            A,
            count,
            tol=TOLERANCE,
            generator=task.generator(seed),
            checkpoint=task.folder / f"pairs-{name}",
            callback=advance,
        )


def padded(values: np.ndarray, count: int) -> np.ndarray:
    """(count,): a layer of fewer weights than classes has fewer eigenvalues, then NaN."""
    return np.pad(values, (0, count - len(values)), constant_values=np.nan)


def class_products(data: LayerData) -> dict[str, np.ndarray]:
    """How far a class mean of the layer's gradients is from h_c times ε_c: ‖g_c − ε_c h_cᵀ‖/‖g_c‖.

    Arrays: products (K,), with the mean h_c over the class; weighted_products (K,), with h weighted
    by 1 − p_{n,c}, the probability that an example gives away.
    Source: P20, section 7.12 (g_c ≈ h_c ⊗ δ_c); the second is ours.
    """
    levels, features = data.error_levels, data.features[:, 0].double()
    a = (levels.kappa * levels.shares[levels.index]).double()  # of g_c = Σ_{n of c, c'} a γ_{n,c'}
    e = torch.einsum("nc,nco->no", a, data.errors[:, :, 0].double())
    away = a.sum(1)  # (1 − p_{n,c})/p_c: it sums to one in every class
    means, (errors, _) = feature_means(data).double(), error_means(data)
    found = {"products": [], "weighted_products": []}
    for row, c in enumerate(data.classes):
        here = data.risk.labels == c
        g = e[here].T @ features[here]
        weighted = away[here] @ features[here]
        for name, h in zip(found, (means[row], weighted), strict=True):
            found[name].append(off(torch.outer(errors[row].double(), h), g))
    return {name: np.array(values) for name, values in found.items()}


def off(A: Tensor, B: Tensor) -> float:
    """‖A − B‖/‖B‖."""
    return float(torch.linalg.matrix_norm(A - B) / torch.linalg.matrix_norm(B))


def trace_of(data: LayerData, A: LinearOperator) -> float:
    """tr A of a sum of Kronecker products; of the exact G, (1/N) Σ p ‖ε‖² ‖h‖²."""
    if isinstance(A, LayerGaussNewton):
        h, e = data.features[:, 0].double(), data.weighted_errors[:, :, 0].double()
        return float(((e**2).sum((1, 2)) * (h**2).sum(1)).mean())
    return sum(w * K.trace() for w, K in kronecker_terms(A))
