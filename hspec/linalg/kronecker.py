"""Kronecker products A ⊗ B of symmetric matrices: products by the two factors,
exact spectra from theirs.

A factor is a dense matrix, or F diag(s) Fᵀ of low rank where that takes fewer operations.
"""

import numpy as np
import torch
from torch import Tensor

from hspec.linalg.autocast import without_autocast
from hspec.linalg.inner_products import gram
from hspec.linalg.low_rank import LowRank
from hspec.linalg.operator import Combination, Dense, LinearOperator, Named, aslinearoperator
from hspec.linalg.pairs import EigenPairs
from hspec.linalg.tridiagonal import select

Factor = Tensor | LowRank


class Kronecker(LinearOperator):
    """A ⊗ B (mn, mn) of symmetric A (m, m) and B (n, n): (A ⊗ B) vec(X) = vec(A X B), X (m, n) row
    by row.

    Args:
        A, B: dense symmetric tensors or `LowRank` operators, of one dtype and device.
        exact: False for factors that come from products in reduced precision.

    Raises:
        ValueError: for one that is not square, finite, symmetric, or of another dtype or device.
        TypeError: for another operator.

    Source: P20, definitions 7.1 and 7.2 (factors of a layer's curvature).

    Example:
        >>> A, B = torch.diag(torch.tensor([1.0, 2.0])), torch.diag(torch.tensor([1.0, 10.0]))
        >>> print(Kronecker(A, B).eigenvalues())
        [20. 10.  2.  1.]
    """

    def __init__(self, A: Factor, B: Factor, name: str = "A ⊗ B", *, exact: bool = True) -> None:
        self.A, self.B = (_checked(M, which, name) for M, which in ((A, "first"), (B, "second")))
        if (self.A.dtype, self.A.device) != (self.B.dtype, self.B.device):
            raise ValueError(
                f"{name}: the factors are {self.A.dtype} on {self.A.device} and {self.B.dtype} on "
                f"{self.B.device}: "
                "convert one."
            )
        size = self.A.shape[0] * self.B.shape[0]
        super().__init__(size, self.A.dtype, self.A.device, name, exact=exact)

    def _matmat(self, X: Tensor) -> Tensor:
        left, right = (_chain(M) for M in (self.A, self.B))
        return _by_blocks(X, (self.A.shape[0], self.B.shape[0]), left, right)

    @without_autocast
    def eigenvalues(self) -> np.ndarray:
        """All α_i β_j, descending, (mn,) float64: exact,
        from the factors' eigenvalues α and β."""
        alpha, beta = (torch.linalg.eigvalsh(_matrix(M)) for M in (self.A, self.B))
        return torch.outer(alpha, beta).flatten().sort(descending=True).values.cpu().numpy()

    @without_autocast
    def eigenpairs(self, k: int, which: str = "largest") -> EigenPairs:
        """The k largest ("smallest", "both": 2k) pairs: α_i β_j with a_i ⊗ b_j, values descending.

        Raises ValueError for more pairs than there are.
        """
        (alpha, U), (beta, V) = (torch.linalg.eigh(_matrix(M)) for M in (self.A, self.B))
        products = torch.outer(alpha, beta).flatten()
        order = products.argsort(stable=True)
        indices = select(products[order].cpu().numpy(), k, which, f"of {self}: it has no more")
        chosen = order[torch.from_numpy(indices.copy()).to(order.device)]
        values, i, j = products[chosen], chosen // len(beta), chosen % len(beta)
        vectors = torch.einsum("ak,bk->abk", U[:, i], V[:, j]).flatten(0, 1).to(self.dtype)
        off = self._matmat(vectors) - vectors * values.to(self.dtype)
        residuals = torch.linalg.vector_norm(off, dim=0, dtype=torch.float64)
        return EigenPairs(values.cpu().numpy(), vectors, residuals.cpu().numpy())

    @without_autocast
    def trace(self) -> float:
        """tr A tr B, summed in float64."""
        return float(_trace(self.A) * _trace(self.B))


class Embedded(LinearOperator):
    """(P ⊗ Q) S (P ⊗ Q)ᵀ (mn, mn) of P (m, r) and Q (n, s) with orthonormal columns: S (rs, rs) in
    a larger space, where it has mn − rs more eigenvalues, all zero.

    Args:
        shape: (m, n).
        P, Q: None for the identity.

    Raises:
        ValueError: where S is not of size r s.

    Example:
        >>> S = aslinearoperator(torch.diag(torch.tensor([1.0, 2.0])), "S")
        >>> Embedded(S, (2, 3), Q=torch.eye(3, 1)) @ torch.ones(6)
        tensor([1., 0., 0., 2., 0., 0.])
    """

    def __init__(
        self,
        S: LinearOperator,
        shape: tuple[int, int],
        P: Tensor | None = None,
        Q: Tensor | None = None,
    ) -> None:
        self.S, self.matrix_shape, self.P, self.Q = S, tuple(shape), P, Q
        r, s = (d if M is None else M.shape[1] for d, M in zip(shape, (P, Q), strict=True))
        if S.shape[0] != r * s:
            raise ValueError(f"{S} has shape {S.shape}: coordinates ({r}, {s}) do not fit it.")
        self.inner_shape = (r, s)
        super().__init__(shape[0] * shape[1], S.dtype, S.device, S.name, exact=S.exact)

    def _matmat(self, X: Tensor) -> Tensor:
        P, Q = ([] if M is None else [M] for M in (self.P, self.Q))
        inside = _by_blocks(X, self.matrix_shape, [M.T for M in P], Q)
        return _by_blocks(self.S._matmat(inside), self.inner_shape, P, [M.T for M in Q])


def outer_products(rows: Tensor, scale: float = 1.0) -> Factor:
    """scale · Σ_i x_i x_iᵀ of rows x (r, m), in their dtype: `LowRank`, or the matrix (m, m),
    whichever takes fewer operations to multiply by, 2 r m or m² a vector.
    """
    r, m = rows.shape
    if 2 * r < m:
        return LowRank(rows.T, rows.new_full((r,), scale))
    return (scale * gram(rows)).to(rows)


def entries(r: int, m: int) -> int:
    """How many numbers `outer_products` of r rows (m,) keeps."""
    return r * m if 2 * r < m else m * m


def double(factor: Factor) -> Factor:
    """The factor in float64."""
    if isinstance(factor, Tensor):
        return factor.double()
    return LowRank(factor.F.double(), factor.s.double())


def kronecker_terms(operator: LinearOperator) -> list[tuple[float, Kronecker]]:
    """The (w_i, A_i ⊗ B_i) that an operator Σ_i w_i A_i ⊗ B_i is the sum of, in their order.

    Raises:
        TypeError: for an operator that is made of anything else.

    Example:
        >>> A = Kronecker(torch.eye(2), torch.eye(3), "A")
        >>> kronecker_terms((0.5 * A + A).named("S"))
        [(0.5, A), (1.0, A)]
    """
    if isinstance(operator, Kronecker):
        return [(1.0, operator)]
    if isinstance(operator, Named):
        return kronecker_terms(operator.parts[0])
    if isinstance(operator, Combination):
        return [(w * v, K) for w, part in operator.terms for v, K in kronecker_terms(part)]
    raise TypeError(f"{operator} is no sum of Kronecker products")


def halves(A: Factor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(Y, Z), rows like those given (..., m), with X A Xᵀ = Y Zᵀ: short ones where A is of low
    rank.
    """
    if isinstance(A, Tensor):
        return rows @ A, rows
    short = rows @ A.F
    return short * A.s, short


@without_autocast
def inner_product(A: Factor, B: Factor) -> Tensor:
    """⟨A, B⟩ = tr A B of two factors (m, m), in their dtype; ‖F_Aᵀ F_B‖_F², weighted, where both
    are of low rank.
    """
    if isinstance(B, LowRank):
        Y, Z = halves(A, B.F.T)
        return (B.s[:, None] * Y * Z).sum()
    return (A * B).sum() if isinstance(A, Tensor) else inner_product(B, A)


def _checked(M: Factor, which: str, name: str) -> Factor:
    operator = aslinearoperator(M, f"the {which} factor of {name}")
    if isinstance(operator, LowRank):
        return operator
    if not isinstance(operator, Dense):
        raise TypeError(
            f"{name}: the {which} factor must be a dense matrix or of low rank; got {operator}."
        )
    return operator.matrix


def _chain(factor: Factor) -> list[Tensor]:
    """Matrices whose product the factor is."""
    return [factor] if isinstance(factor, Tensor) else [factor.F * factor.s, factor.F.T]


def _trace(factor: Factor) -> Tensor:
    if isinstance(factor, Tensor):
        return factor.double().trace()
    return factor.s.double() @ factor.F.double().square().sum(0)


def _matrix(factor: Factor) -> Tensor:
    """(m, m), float64."""
    return _product(_chain(double(factor)))


def _by_blocks(
    X: Tensor, shape: tuple[int, int], left: list[Tensor], right: list[Tensor]
) -> Tensor:
    """left · X · right of every column of X, a block of this shape row by row;
    multiplied in the order that takes the fewest operations.
    """
    blocks = X.T.reshape(-1, *shape)
    return torch.stack([_product([*left, block, *right]) for block in blocks]).flatten(1).T


def _product(matrices: list[Tensor]) -> Tensor:
    return torch.linalg.multi_dot(matrices) if len(matrices) > 1 else matrices[0]
