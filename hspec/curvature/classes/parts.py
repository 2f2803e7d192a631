"""G taken apart into the spread of means: A1 + A2 + B1 + B2 (P18a, P20) and G0 + G1 + G2 + G3
(P19).

Both are G = (1/N) Σ_n Σ_{c'} δ_{n,c'} δ_{n,c'}ᵀ = (1/N) D Dᵀ, δ_{n,c'} = √p_{n,c'} g_{n,c'}, with
the functions of (n, c') cut into four orthogonal subspaces (see `levels`):

    class     v_c on c' ≠ c                  A1, G1
    own       v_{c,c} on c' = c              A2, G0
    cross     v_{c,c'} − v_c on c' ≠ c       B1, G2
    within    what is left in (c, c')        B2, G3

A part is D P Dᵀ/N. Dᵀv is √p_{n,c'} (e_{c'} − p_n)ᵀ J_n v, so a product costs what a G product
costs, plus sums over classes of C numbers an example, whatever C is. Where the means themselves fit
in memory, F diag(s) Fᵀ is returned instead.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hspec.curvature.classes.levels import BETWEEN
from hspec.curvature.classes.means import ClassMeans
from hspec.curvature.engine.memory import ANY_BUDGET
from hspec.curvature.hessian import RiskOperator
from hspec.curvature.risk import Risk
from hspec.linalg.autocast import without_autocast
from hspec.linalg.low_rank import LowRank, weighted_eigenvalues
from hspec.linalg.operator import LinearOperator


class Level(RiskOperator):
    """One of the levels, streamed: Dᵀv for all examples, its projection, D.
    No mean is formed as a vector.
    """

    def __init__(self, means: ClassMeans, level: str, name: str) -> None:
        super().__init__(means.risk, name)
        self.means, self.level = means, level
        self.num_entries = max(self.ranks.gather(means.kappa.numel()))  # of a table, on any rank

    def _matmat(self, X: Tensor) -> Tensor:
        columns = X.split(self._num_columns(), 1)
        return torch.cat([self._rows(block.T.contiguous()) for block in columns]).T

    def _num_columns(self) -> int:
        """Vectors at a time, so that the tables (N, C) of each fit in the budget."""
        tables = 8 * 8 * self.num_entries  # a projection's copies, in float64
        return max(1, max(self.risk.memory_budget, ANY_BUDGET) // tables)

    def _rows(self, V: Tensor) -> Tensor:
        graphs, levels, softmax = self.risk.graphs, self.means.levels, self.means.softmax
        nothing = V.new_zeros(len(V), 0, self.risk.num_classes)
        t = graphs.each(lambda graph: graphs.in_blocks(graph.jacobian, V))
        t = torch.cat([nothing, *t], 1)  # (k, N, C)
        d = levels.project(self.level, levels.root * softmax.centre(t))
        U = softmax.spread(levels.root * d)
        rows = graphs.sum(
            lambda graph: graphs.in_blocks(graph.jacobian_transpose, U[:, graph.rows]), V.shape
        )
        return rows.div_(self.risk.num_examples)

    @without_autocast
    def eigenvalues(self, callback: Callable[[int, int], None] | None = None) -> np.ndarray:
        """The nonzero eigenvalues and some zeros, descending, from a Gram matrix of streamed
        vectors: exact.

        One vector a class for "class" and "own", C − 1 for "cross". callback is that of
        `ClassMeans.gram`, as is MemoryError where the Gram matrix does not fit. The level "within"
        has as many as G has.
        """
        if self.level == "within":
            raise ValueError(
                f"{self.name} has as many eigenvalues as G: exact_gauss_newton_spectrum gives them "
                "for small "
                "N·C, slq and eigsh for any"
            )
        gram = self.means.gram(self.level, callback)
        weights = self.means.levels.vector_weights(self.level)
        return weighted_eigenvalues(gram, weights.double().reshape(-1) / self.risk.num_examples)


def _level(means: ClassMeans, level: str, name: str, definition: str) -> LinearOperator:
    _refuse_other_definition(means, name, definition)
    weights = means.levels.vector_weights(level)
    if not means.fits(weights.numel()):
        return Level(means, level, name)
    vectors = means.class_vectors[:, None] if level == "class" else means.vectors(level)
    F, s = vectors.flatten(0, 1).T, weights.reshape(-1) / means.risk.num_examples
    return LowRank(F, s, name=name, exact=means.risk.precision == "exact")


def _within(risk: Risk, means: ClassMeans, name: str, definition: str) -> LinearOperator:
    _refuse_other_definition(means, name, definition)
    if means.risk is not risk:
        raise ValueError(
            f"{name}: the means were taken of another risk; use class_means(risk) of this one"
        )
    return Level(means, "within", name)


def _refuse_other_definition(means: ClassMeans, name: str, definition: str) -> None:
    if means.definition != definition:
        maker = "class_means(risk)" if definition == "2020" else "delta_means(risk)"
        raise ValueError(
            f"{name} is made of the {definition} means: pass {maker}, not means of "
            f"{means.definition}"
        )


def A1(means: ClassMeans) -> LinearOperator:
    """A1 = Σ_c (p_c/N) g_c g_cᵀ (p, p), class means; rank ≤ C; means = class_means(risk).

    p_c = Σ_{c'≠c} p_{c,c'} and p_{c,c'} = Σ_n p_{n,c'} over class c, so that p_c/N is the share of
    probability that falls on wrong labels of examples of class c.

    Returns:
        `LowRank`, where its vectors (one a class) fit in the risk's memory budget; else an operator
        whose products go through the data. Both have `.eigenvalues()`, exact and descending.

    Raises:
        ValueError: means of `delta_means`.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> A1(class_means(risk)).eigenvalues().shape
        (3,)

    Source: P20, G_class; P18a.
    """
    return _level(means, "class", "A1", "2020")


def A2(means: ClassMeans) -> LinearOperator:
    """A2 = Σ_c (p_{c,c}/N) g_{c,c} g_{c,c}ᵀ (p, p), the c' = c means; rank ≤ C; means =
    class_means(risk).

    p_{c,c} = Σ_n p_{n,c} over class c. Since Σ_{c'} p_{n,c'} g_{n,c'} = 0 for each example,
    p_{c,c} g_{c,c} = −p_c g_c: A2 has the directions of A1, with other weights.

    Returns:
        As `A1`, of one vector a class.

    Raises:
        ValueError: means of `delta_means`.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> means = class_means(risk)
        >>> own = means.own_weights[:, None] * means.vectors("own")[:, 0]
        >>> torch.allclose(own, -means.class_weights[:, None] * means.class_vectors)
        True
        >>> A2(means).eigenvalues().shape
        (3,)

    Source: P20, G_{c=c'}; P18a.
    """
    return _level(means, "own", "A2", "2020")


def B1(means: ClassMeans) -> LinearOperator:
    """B1 = Σ_c (1/N) Σ_{c'≠c} p_{c,c'} (g_{c,c'} − g_c)(·)ᵀ (p, p), cross-class spread; rank ≤
    C(C−2).

    (·)ᵀ repeats the vector before it. Each class has C − 1 such vectors, whose mean, weighted by
    p_{c,c'}, is zero. means = class_means(risk).

    Returns:
        As `A1`, of C − 1 vectors a class.

    Raises:
        ValueError: means of `delta_means`.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> values = B1(class_means(risk)).eigenvalues()
        >>> values.shape, bool(abs(values[3:]).max() < 1e-9)  # C(C−1) vectors, of rank C(C−2)
        ((6,), True)

    Source: P20, G_cross; P18a.
    """
    return _level(means, "cross", "B1", "2020")


def B2(risk: Risk, means: ClassMeans) -> LinearOperator:
    """B2 = (1/N) Σ_n Σ_{c'} p_{n,c'} (g_{n,c'} − g_{c(n),c'})(·)ᵀ = G − A1 − A2 − B1, within-class
    spread.

    (·)ᵀ repeats the vector before it. It is computed by itself, not as that difference; a
    product costs about what a product with G does. Its rank grows with N: `slq` and `eigsh` give
    its spectrum.

    Args:
        risk: whose G it is a part of.
        means: class_means(risk), of this very risk.

    Raises:
        ValueError: means of another risk, or of `delta_means`.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> means, v = class_means(risk), torch.randn(15, dtype=torch.float64)
        >>> rest = gauss_newton(risk) - A1(means) - A2(means) - B1(means)
        >>> torch.allclose(B2(risk, means) @ v, rest @ v)
        True

    Source: P20, G_within; P18a.
    """
    return _within(risk, means, "B2", "2020")


def G0(means: ClassMeans) -> LinearOperator:
    """G0 = Σ_c π_c δ_{c,c} δ_{c,c}ᵀ (p, p), π_c = N_c/N; rank ≤ C; means = delta_means(risk).

    The counterpart of P20's A2, by means of √p_{n,c'} g_{n,c'} in which all examples of a class
    weigh alike.

    Returns:
        As `A1`, of one vector a class.

    Raises:
        ValueError: means of `class_means`.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> G0(delta_means(risk)).eigenvalues().shape
        (3,)

    Source: P19, section 3.
    """
    return _level(means, "own", "G0", "2019")


def G1(means: ClassMeans) -> LinearOperator:
    """G1 = (C−1) Σ_c π_c δ_c δ_cᵀ (p, p); rank ≤ C; means = delta_means(risk).

    π_c = N_c/N, and δ_c is the mean of δ_{c,c'} over c' ≠ c. The counterpart of P20's A1.

    Returns:
        As `A1`, of one vector a class.

    Raises:
        ValueError: means of `class_means`.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> G1(delta_means(risk)).eigenvalues().shape
        (3,)

    Source: P19, section 3.
    """
    return _level(means, "class", "G1", "2019")


def G2(means: ClassMeans) -> LinearOperator:
    """G2 = Σ_c π_c Σ_{c'≠c} (δ_{c,c'} − δ_c)(·)ᵀ (p, p); rank ≤ C(C−2); means = delta_means(risk).

    (·)ᵀ repeats the vector before it, π_c = N_c/N. The spread of the cross-class means about their
    class mean, and the counterpart of P20's B1.

    Returns:
        As `A1`, of C − 1 vectors a class.

    Raises:
        ValueError: means of `class_means`.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> values = G2(delta_means(risk)).eigenvalues()
        >>> values.shape, bool(abs(values[3:]).max() < 1e-9)  # C(C−1) vectors, of rank C(C−2)
        ((6,), True)

    Source: P19, section 3.
    """
    return _level(means, "cross", "G2", "2019")


def G12(means: ClassMeans) -> LinearOperator:
    """G1+2 = Σ_c π_c Σ_{c'} δ_{c,c'} δ_{c,c'}ᵀ = G0 + G1 + G2 = G − G3 (p, p); means =
    delta_means(risk).

    What the cross-class means alone make of G: λ_k(G) ≥ λ_k(G1+2) ≥ λ_k(G1) for every k. Its rank
    is at most C². π_c = N_c/N.

    Returns:
        As `A1`, of C vectors a class.

    Raises:
        ValueError: means of `class_means`.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> means, v = delta_means(risk), torch.randn(15, dtype=torch.float64)
        >>> torch.allclose(G12(means) @ v, (G0(means) + G1(means) + G2(means)) @ v)
        True

    Source: P19, figure 7.
    """
    return _level(means, BETWEEN, "G1+2", "2019")


def G3(risk: Risk, means: ClassMeans) -> LinearOperator:
    """G3 = Σ_c π_c Σ_{c'} Cov_{n of c}(δ_{n,c'}) = G − G0 − G1 − G2 (p, p); means =
    delta_means(risk).

    Cov_{n of c} is the covariance over the examples of class c, π_c = N_c/N. It is computed by
    itself, not as that difference; a product and the spectrum are as for `B2`.

    Args:
        risk: whose G it is a part of.
        means: delta_means(risk), of this very risk.

    Raises:
        ValueError: means of another risk, or of `class_means`.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> means, v = delta_means(risk), torch.randn(15, dtype=torch.float64)
        >>> torch.allclose(G3(risk, means) @ v, (gauss_newton(risk) - G12(means)) @ v)
        True

    Source: P19, section 3.
    """
    return _within(risk, means, "G3", "2019")
