"""G taken apart into the spread of means: A1 + A2 + B1 + B2 (P18a, P20) and G0 + G1 + G2 + G3 (P19).

Both are G = (1/N) Σ_n Σ_{c'} δ_{n,c'} δ_{n,c'}ᵀ, δ_{n,c'} = √p_{n,c'} g_{n,c'}, with the functions of (n, c')
cut into four orthogonal subspaces:

    class     v_c on c' ≠ c                  A1, G1
    own       v_{c,c} on c' = c              A2, G0
    cross     v_{c,c'} − v_c on c' ≠ c       B1, G2
    within    what is left in (c, c')        B2, G3

So a product costs what a G product costs, plus sums over classes of C numbers an example, whatever C is. Where the
means themselves fit in memory, F diag(s) Fᵀ is returned instead.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hspec.curvature.class_means import ClassMeans
from hspec.curvature.hessian import RiskOperator
from hspec.curvature.risk import Risk
from hspec.linalg.low_rank import LowRank, weighted_eigenvalues
from hspec.linalg.operator import LinearOperator

LEVELS = ("class", "own", "cross", "within")


class Level(RiskOperator):
    """One of the four levels, streamed: J v for all examples, means over classes, Jᵀ. No mean is formed as a vector."""

    def __init__(self, means: ClassMeans, level: str, name: str):
        super().__init__(means.risk, name)
        self.means, self.level = means, level

    def _matmat(self, X):
        graphs, means, V = self.risk.graphs, self.means, X.T.contiguous()
        t = torch.cat(graphs.each(lambda graph: graphs.in_blocks(graph.jacobian, V)), 1)  # (k, N, C)
        U = means.softmax.spread(project(means, self.level, means.softmax.centre(t)))
        rows = graphs.sum(lambda graph: graphs.in_blocks(graph.jacobian_transpose, U[:, graph.rows]))
        return rows.div_(self.risk.num_examples).T

    def eigenvalues(self, callback: Callable[[int, int], None] | None = None) -> np.ndarray:
        """The nonzero eigenvalues and some zeros, descending: exact, from a Gram matrix of C or C² streamed vectors.

        callback is that of `ClassMeans.gram`.
        """
        recipe, weights = level_recipe(self.means, self.level)
        gram = self.means.gram(recipe, callback)
        return weighted_eigenvalues(gram, weights.double().reshape(-1) / self.risk.num_examples)


def project(means: ClassMeans, level: str, s: Tensor) -> Tensor:
    """Coefficients of the g_{n,c'} in N·(level) v, from s_{n,c'} = g_{n,c'}ᵀ v; both (k, N, C)."""
    table = means.membership.T @ (means.kappa * s)  # (k, C, C): v_{c,c'}ᵀ v
    labels = means.risk.labels
    if level == "within":
        return means.softmax.p * s - means.beta * table[:, labels]
    own = torch.eye(len(means.counts), dtype=s.dtype, device=s.device)
    of_class = (means.shares * table).sum(-1, keepdim=True)  # v_cᵀ v
    part = {
        "class": (1 - own) * of_class,
        "own": own * table,
        "cross": (1 - own) * (table - of_class),
    }[level]
    return means.beta * part[:, labels]


def level_recipe(means: ClassMeans, level: str) -> tuple[Tensor, Tensor]:
    """(recipe (C, m, C), weights w (C, m)) of a level: (1/N) Σ w_{c,i} u_{c,i} u_{c,i}ᵀ, u = means.vectors(recipe)."""
    own = torch.eye(len(means.counts), dtype=means.shares.dtype, device=means.shares.device)
    if level == "class":
        return means.shares[:, None, :], means.class_weights[:, None]
    if level == "own":
        return own[:, None, :], means.weights.diagonal()[:, None]
    return own - means.shares[:, None, :], means.weights * (1 - own)


def _level(means: ClassMeans, level: str, name: str, definition: str) -> LinearOperator:
    _refuse_other_definition(means, name, definition)
    recipe, weights = level_recipe(means, level)
    if not means.fits(weights.numel()):
        return Level(means, level, name)
    vectors = means.class_vectors[:, None] if level == "class" else means.vectors(recipe)
    low_rank = LowRank(vectors.flatten(0, 1).T, weights.reshape(-1) / means.risk.num_examples, name=name)
    low_rank.exact = means.risk.precision == "exact"
    return low_rank


def _within(risk: Risk, means: ClassMeans, name: str, definition: str) -> LinearOperator:
    _refuse_other_definition(means, name, definition)
    if means.risk is not risk:
        raise ValueError(f"{name}: the means were taken of another risk; use class_means(risk) of this one")
    return Level(means, "within", name)


def _refuse_other_definition(means: ClassMeans, name: str, definition: str) -> None:
    if means.definition != definition:
        maker = "class_means(risk)" if definition == "2020" else "delta_means(risk)"
        raise ValueError(
            f"{name} is made of the {definition} means: pass {maker}, not means of {means.definition}"
        )


def A1(means: ClassMeans) -> LinearOperator:
    """A1 = Σ_c (p_c/N) g_c g_cᵀ, class means; rank ≤ C.  Source: P20, G_class; P18a."""
    return _level(means, "class", "A1", "2020")


def A2(means: ClassMeans) -> LinearOperator:
    """A2 = Σ_c (p_{c,c}/N) g_{c,c} g_{c,c}ᵀ, the c' = c means; rank ≤ C.  Source: P20, G_{c=c'}; P18a."""
    return _level(means, "own", "A2", "2020")


def B1(means: ClassMeans) -> LinearOperator:
    """B1 = Σ_c (1/N) Σ_{c'≠c} p_{c,c'} (g_{c,c'} − g_c)(·)ᵀ, cross-class spread; rank ≤ C(C−2).

    Source: P20, G_cross; P18a.
    """
    return _level(means, "cross", "B1", "2020")


def B2(risk: Risk, means: ClassMeans) -> LinearOperator:
    """B2 = (1/N) Σ_n Σ_{c'} p_{n,c'} (g_{n,c'} − g_{c(n),c'})(·)ᵀ = G − A1 − A2 − B1, within-class spread.

    Source: P20, G_within; P18a.
    """
    return _within(risk, means, "B2", "2020")


def G0(means: ClassMeans) -> LinearOperator:
    """G0 = Σ_c π_c δ_{c,c} δ_{c,c}ᵀ, π_c = N_c/N; means = delta_means(risk).  Source: P19."""
    return _level(means, "own", "G0", "2019")


def G1(means: ClassMeans) -> LinearOperator:
    """G1 = (C−1) Σ_c π_c δ_c δ_cᵀ; means = delta_means(risk).  Source: P19."""
    return _level(means, "class", "G1", "2019")


def G2(means: ClassMeans) -> LinearOperator:
    """G2 = Σ_c π_c Σ_{c'≠c} (δ_{c,c'} − δ_c)(·)ᵀ; means = delta_means(risk).  Source: P19."""
    return _level(means, "cross", "G2", "2019")


def G3(risk: Risk, means: ClassMeans) -> LinearOperator:
    """G3 = Σ_c π_c Σ_{c'} Cov_{n of c}(δ_{n,c'}) = G − G0 − G1 − G2; means = delta_means(risk).  Source: P19."""
    return _within(risk, means, "G3", "2019")
