"""Symmetric linear operators and their algebra: a matrix is its products, a shape, a dtype and a device."""

from abc import ABC, abstractmethod
from numbers import Real

import torch

DTYPES = (torch.float32, torch.float64)


class LinearOperator(ABC):
    """A symmetric p-by-p matrix known by its products.

    Subclasses implement `_matmat(X)`, X and the result (p, k); everything else follows:

        A @ v, A @ X           (p,) or (p, k); a block of columns is one call of `_matmat`
        A + B, A - B, 2.0 * A  lazily, named after their parts: repr(G - A1) == "G - A1"

    Symmetry is the caller's promise; `lanczos`, `slq` and `eigsh` test it on the way, at no cost.

    `removed_basis` is None, or the orthonormal columns (p, k) that a deflation has taken out: `slq` then
    measures the p − k eigenvalues that are left (see `deflate`).
    """

    removed_basis: torch.Tensor | None = None
    exact: bool = True  # False for products in reduced precision: good for a density, not for digits

    def __init__(self, dimension: int, dtype: torch.dtype, device: torch.device | str, name: str):
        if dimension < 1:
            raise ValueError(f"An operator needs at least one dimension; {name} has {dimension}.")
        if dtype not in DTYPES:
            raise ValueError(f"Operators are float32 or float64; {name} is {dtype}: convert it first.")
        self.shape = (dimension, dimension)
        self.dtype = dtype
        self.device = torch.empty(0, device=device).device  # "cuda" → "cuda:0", so that devices compare equal
        self.name = name

    @abstractmethod
    def _matmat(self, X: torch.Tensor) -> torch.Tensor:
        """The product with a block of columns: (p, k) → (p, k), same dtype and device."""

    def __matmul__(self, X: torch.Tensor) -> torch.Tensor:
        self._check(X, "multiplied by")
        Y = self._matmat(X[:, None] if X.ndim == 1 else X)
        self._check(Y, "returned")
        return Y[:, 0] if X.ndim == 1 else Y

    def _check(self, X: torch.Tensor, role: str) -> None:
        if not isinstance(X, torch.Tensor):
            raise TypeError(f"{self.name} can be multiplied by a torch.Tensor only; got {type(X).__name__}.")
        if X.ndim not in (1, 2) or X.shape[0] != self.shape[0]:
            raise ValueError(
                f"{self.name} has shape {self.shape} and was {role} a tensor of shape {tuple(X.shape)}: "
                f"a vector ({self.shape[0]},) or a block ({self.shape[0]}, k) is needed."
            )
        if X.dtype != self.dtype:
            raise ValueError(
                f"{self.name} is {self.dtype} and was {role} a tensor of {X.dtype}: convert one."
            )
        if X.device != self.device:
            raise ValueError(
                f"{self.name} is on {self.device} and was {role} a tensor on {X.device}: move one."
            )

    def __repr__(self) -> str:
        return self.name

    def named(self, name: str) -> "LinearOperator":
        """The same operator under another name: `(G - A1 - A2 - B1).named("B2")`."""
        return Combination([(1.0, self)], name)

    def __add__(self, other) -> "LinearOperator":
        return Combination([*_terms(self), *_terms(aslinearoperator(other))])

    def __sub__(self, other) -> "LinearOperator":
        return self + -1.0 * aslinearoperator(other)

    def __mul__(self, scalar: float) -> "LinearOperator":
        if not isinstance(scalar, Real):
            return NotImplemented
        return Combination([(float(scalar) * c, A) for c, A in _terms(self)])

    __rmul__ = __mul__

    def __neg__(self) -> "LinearOperator":
        return -1.0 * self

    def to_dense(self, block_size: int = 64) -> torch.Tensor:
        """The matrix itself, (p, p), `block_size` columns a product. For small p."""
        eye = torch.eye(self.shape[0], dtype=self.dtype, device=self.device)
        return torch.cat([self @ columns for columns in eye.split(block_size, dim=1)], dim=1)


class Dense(LinearOperator):
    """A symmetric matrix given by its entries; `aslinearoperator` is the checked way to make one."""

    def __init__(self, matrix: torch.Tensor, name: str = "A"):
        super().__init__(matrix.shape[0], matrix.dtype, matrix.device, name)
        self.matrix = matrix

    def _matmat(self, X):
        return self.matrix @ X


class Identity(LinearOperator):
    """I; made by `identity`."""

    def _matmat(self, X):
        return X.clone()


def identity(
    p: int, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> LinearOperator:
    """The p-by-p identity."""
    return Identity(p, dtype, device, "I")


class Combination(LinearOperator):
    """Σ c_i A_i, computed term by term when it is multiplied."""

    def __init__(self, terms: list[tuple[float, LinearOperator]], name: str | None = None):
        first = terms[0][1]
        for _, other in terms[1:]:
            for fact in ("shape", "dtype", "device"):
                a, b = getattr(first, fact), getattr(other, fact)
                if a != b:
                    raise ValueError(f"{first} and {other} cannot be added: their {fact}s are {a} and {b}.")
        super().__init__(first.shape[0], first.dtype, first.device, name or _formula(terms))
        self.exact = all(A.exact for _, A in terms)
        if len(terms) > 1 and not self.exact:
            raise ValueError(
                f"{self.name}: sums and differences lose the digits that reduced precision leaves: "
                'use precision="exact"'
            )
        self.is_renamed = name is not None
        self.terms = tuple(terms)
        if len(terms) == 1:
            self.removed_basis = first.removed_basis

    def _matmat(self, X):
        (c, A), *rest = self.terms
        total = c * A._matmat(X)
        for c, A in rest:
            total = total.add(A._matmat(X), alpha=c)
        return total


def _terms(A: LinearOperator) -> tuple[tuple[float, LinearOperator], ...]:
    """A sum's own terms, so that sums stay flat and read as written; a renamed sum is one term under its name."""
    return A.terms if isinstance(A, Combination) and not A.is_renamed else ((1.0, A),)


def _formula(terms: list[tuple[float, LinearOperator]]) -> str:
    parts = []
    for c, A in terms:
        sign = "-" if c < 0 else "+"
        size = "" if abs(c) == 1 else f"{abs(c):g} "
        parts.append(f"{sign} {size}{A.name}")
    text = " ".join(parts)
    return text[2:] if text.startswith("+ ") else "-" + text[2:]


def aslinearoperator(A: torch.Tensor | LinearOperator, name: str = "A") -> LinearOperator:
    """An operator from a dense symmetric matrix (p, p); an operator is returned unchanged.

    Raises TypeError for anything else, ValueError for a matrix that is not square, not finite or not
    symmetric to √eps of its largest entry.
    """
    if isinstance(A, LinearOperator):
        return A
    if not isinstance(A, torch.Tensor):
        raise TypeError(f"A LinearOperator or a symmetric torch.Tensor is needed; got {type(A).__name__}.")
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"A symmetric matrix is needed; got a tensor of shape {tuple(A.shape)}.")
    operator = Dense(A.detach(), name)
    if not torch.isfinite(operator.matrix).all():
        raise ValueError("The matrix has entries that are not finite.")
    asymmetry = (operator.matrix - operator.matrix.T).abs().max()
    if asymmetry > torch.finfo(A.dtype).eps ** 0.5 * operator.matrix.abs().max():
        raise ValueError(
            f"The matrix is not symmetric: an entry differs from its mirror image by {asymmetry:.3g}. "
            "If that is noise, pass (A + A.T) / 2."
        )
    return operator
