"""Kronecker products A ⊗ B of small symmetric matrices: products by two small ones,
exact spectra from theirs.
"""

import numpy as np
import torch
from torch import Tensor

from hspec.linalg.operator import Combination, Dense, LinearOperator, Named, aslinearoperator
from hspec.linalg.pairs import EigenPairs
from hspec.linalg.tridiagonal import select


class Kronecker(LinearOperator):
    """A ⊗ B (mn, mn) of symmetric A (m, m) and B (n, n): (A ⊗ B) vec(X) = vec(A X B), X (m, n) row
    by row.

    Args:
        A, B: dense symmetric tensors, of one dtype and device.

    Raises:
        ValueError: for one that is not square, finite, symmetric, or of another dtype or device.

    Source: P20, definitions 7.1 and 7.2 (factors of a layer's curvature).

    Example:
        >>> A, B = torch.diag(torch.tensor([1.0, 2.0])), torch.diag(torch.tensor([1.0, 10.0]))
        >>> print(Kronecker(A, B).eigenvalues())
        [20. 10.  2.  1.]
    """

    def __init__(self, A: Tensor, B: Tensor, name: str = "A ⊗ B") -> None:
        self.A, self.B = (_checked(M, which, name) for M, which in ((A, "first"), (B, "second")))
        if (self.A.dtype, self.A.device) != (self.B.dtype, self.B.device):
            raise ValueError(
                f"{name}: the factors are {self.A.dtype} on {self.A.device} and {self.B.dtype} on "
                f"{self.B.device}: "
                "convert one."
            )
        super().__init__(len(self.A) * len(self.B), self.A.dtype, self.A.device, name)

    def _matmat(self, X: Tensor) -> Tensor:
        blocks = X.T.reshape(-1, len(self.A), len(self.B))
        return (self.A @ blocks @ self.B).flatten(1).T

    def eigenvalues(self) -> np.ndarray:
        """All α_i β_j, descending, (mn,) float64: exact,
        from the factors' eigenvalues α and β."""
        alpha, beta = (torch.linalg.eigvalsh(M.double()) for M in (self.A, self.B))
        return torch.outer(alpha, beta).flatten().sort(descending=True).values.cpu().numpy()

    def eigenpairs(self, k: int, which: str = "largest") -> EigenPairs:
        """The k largest ("smallest", "both": 2k) pairs: α_i β_j with a_i ⊗ b_j, values descending.

        Raises ValueError for more pairs than there are.
        """
        (alpha, U), (beta, V) = (torch.linalg.eigh(M.double()) for M in (self.A, self.B))
        products = torch.outer(alpha, beta).flatten()
        order = products.argsort(stable=True)
        indices = select(products[order].cpu().numpy(), k, which, f"of {self}: it has no more")
        chosen = order[torch.from_numpy(indices.copy()).to(order.device)]
        values, i, j = products[chosen], chosen // len(beta), chosen % len(beta)
        vectors = torch.einsum("ak,bk->abk", U[:, i], V[:, j]).flatten(0, 1).to(self.dtype)
        off = self._matmat(vectors) - vectors * values.to(self.dtype)
        residuals = torch.linalg.vector_norm(off, dim=0, dtype=torch.float64)
        return EigenPairs(values.cpu().numpy(), vectors, residuals.cpu().numpy())


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


def _checked(M: Tensor, which: str, name: str) -> Tensor:
    operator = aslinearoperator(M, f"the {which} factor of {name}")
    if not isinstance(operator, Dense):
        raise TypeError(f"{name}: the {which} factor must be a dense matrix; got {operator}.")
    return operator.matrix
