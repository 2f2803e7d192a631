"""Symmetric linear operators and their algebra: a matrix is its products, a shape,
a dtype and a device.
"""

import math
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from hspec.linalg.base import OperatorBase
from hspec.linalg.foreign import Products, products_of


class LinearOperator(OperatorBase):
    """A symmetric p-by-p matrix known by its products.

    Subclasses implement `_matmat(X)`, X and the result (p, k); everything else follows and reads as
    on paper:

        A @ v, A @ X, v @ A    (p,), or a block of columns (p, k), which is one call of `_matmat`
        A + B, A - B, sum(...) lazily, named after their parts: repr(G - A1) == "G - A1"
        2.0 * A, A / 2, -A     multiples; A + 0.1 adds a multiple of the identity, "A + 0.1 I"
        A.T                    A itself

    Symmetry is the caller's promise; `lanczos`, `slq` and `eigsh` test it on the way, at no cost.

    Attributes:
        shape: (p, p).
        dtype: of the vectors that are multiplied, float32 or float64.
        device: where they are.
        name: how the matrix is called in formulas and messages.
        exact: False for products in reduced precision: good for a density, not for digits.
        removed_basis: None, or the orthonormal columns (p, k) that a deflation has taken out: `slq`
            then measures the p − k eigenvalues that are left (see `deflate`).
    """

    @property
    def T(self) -> "LinearOperator":
        """The transpose, which is the matrix itself."""
        return self

    def named(self, name: str) -> "LinearOperator":
        """The same operator under another name: `(G - A1 - A2 - B1).named("B2")`."""
        return Named(name, self)

    def __add__(self, other: object) -> "LinearOperator":
        shift = _number(other)
        if shift is None:
            return Combination([*_terms(self), *_terms(aslinearoperator(other))])
        if shift == 0:  # what sum() begins with
            return self
        return Combination(
            [*_terms(self), (shift, identity(self.shape[0], self.dtype, self.device))]
        )

    __radd__ = __add__

    def __sub__(self, other: object) -> "LinearOperator":
        shift = _number(other)
        return self + (-1.0 * aslinearoperator(other) if shift is None else -shift)

    def __rsub__(self, other: object) -> "LinearOperator":
        return -self + other

    def __mul__(self, factor: object) -> "LinearOperator":
        number = _number(factor)
        if number is None:
            return NotImplemented
        return Combination([(number * c, A) for c, A in _terms(self)])

    __rmul__ = __mul__

    def __truediv__(self, factor: object) -> "LinearOperator":
        number = _number(factor)
        return NotImplemented if number is None else self * (1.0 / number)

    def __neg__(self) -> "LinearOperator":
        return -1.0 * self


class Wrapper(LinearOperator):
    """An operator made of others, whose facts it hands on.

    It is exact where all parts are, what is removed from all of them is removed from it, and a
    diagnosis is that of its parts. Subclasses implement `_matmat` and, where one of these is not
    so, say so.
    """

    def __init__(self, name: str, *parts: LinearOperator) -> None:
        first = parts[0]
        for other in parts[1:]:
            for fact in ("shape", "dtype", "device"):
                a, b = getattr(first, fact), getattr(other, fact)
                if a != b:
                    raise ValueError(
                        f"{first} and {other} cannot be added: their {fact}s are {a} and {b}."
                    )
        exact, removed = all(A.exact for A in parts), _removed_from_all(parts)
        super().__init__(
            first.shape[0], first.dtype, first.device, name, exact=exact, removed_basis=removed
        )
        self.parts, self.ranks = parts, max((A.ranks for A in parts), key=lambda ranks: ranks.size)

    def diagnosis(self) -> str:
        return " ".join(dict.fromkeys(filter(None, (A.diagnosis() for A in self.parts))))


class Named(Wrapper):
    """Another name for an operator; made by `named`."""

    def _matmat(self, X: Tensor) -> Tensor:
        return self.parts[0]._matmat(X)


class Combination(Wrapper):
    """Σ c_i A_i, computed term by term when it is multiplied."""

    def __init__(self, terms: list[tuple[float, LinearOperator]]) -> None:
        super().__init__(_formula(terms), *(A for _, A in terms))
        if len(terms) > 1 and not self.exact:
            raise ValueError(
                f"{self.name}: sums and differences lose the digits that reduced precision leaves: "
                'use precision="exact"'
            )
        self.terms = tuple(terms)

    def _matmat(self, X: Tensor) -> Tensor:
        (c, A), *rest = self.terms
        total = c * A._matmat(X)
        for c, A in rest:
            total = total.add(A._matmat(X), alpha=c)
        return total


class Dense(LinearOperator):
    """A symmetric matrix given by its entries; `aslinearoperator` is the checked way to
    make one.
    """

    def __init__(self, matrix: Tensor, name: str = "A") -> None:
        super().__init__(matrix.shape[0], matrix.dtype, matrix.device, name)
        self.matrix = matrix

    def _matmat(self, X: Tensor) -> Tensor:
        return self.matrix @ X


class Foreign(LinearOperator):
    """Another library's matrix; made by `aslinearoperator`."""

    def __init__(self, products: Products, name: str) -> None:
        super().__init__(products.dimension, products.dtype, products.device, name)
        self.products = products

    def _matmat(self, X: Tensor) -> Tensor:
        return self.products.matmat(X)


class Identity(LinearOperator):
    """I; made by `identity`."""

    def _matmat(self, X: Tensor) -> Tensor:
        return X.clone()


def identity(
    p: int, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> LinearOperator:
    """The p-by-p identity I, as an operator.

    Sums need no call of it: `A + 0.1` is A + 0.1 I.

    Args:
        p: the dimension.
        dtype: of the vectors it multiplies, torch.float32 or torch.float64.
        device: where they are.

    Raises:
        ValueError: p below 1, or another dtype.

    Example:
        >>> print(2.0 * identity(3))
        2 I
        >>> (2.0 * identity(3)) @ torch.ones(3, dtype=torch.float64)
        tensor([2., 2., 2.], dtype=torch.float64)
    """
    return Identity(p, dtype, device, "I")


def aslinearoperator(A: object, name: str = "A") -> LinearOperator:
    """An operator from what is one: a symmetric matrix (p, p), or another library's operator.

    Args:
        A: a torch.Tensor or NumPy array, checked to be symmetric to √eps of its largest entry; a
            sparse matrix or LinearOperator of SciPy, or an operator of curvlinops, whose symmetry
            is tested when it is used; an operator of this package, returned unchanged.
        name: how it is called in messages.

    Raises:
        TypeError: anything else.
        ValueError: a matrix that is not square, finite, symmetric, or of float32 or float64.

    Example:
        >>> aslinearoperator(torch.eye(3), "I") @ torch.ones(3)
        tensor([1., 1., 1.])
    """
    if isinstance(A, LinearOperator):
        return A
    if isinstance(A, np.ndarray) and A.dtype in (np.float32, np.float64):
        A = torch.from_numpy(A)
    if isinstance(A, Tensor):
        return _dense(A, name)
    products = products_of(A)
    if products is None:
        raise TypeError(
            "A LinearOperator, a symmetric torch.Tensor, or an operator of SciPy or curvlinops is "
            "needed; "
            f"got {type(A).__name__}."
        )
    return Foreign(products, name)


def _dense(A: Tensor, name: str) -> LinearOperator:
    if A.layout != torch.strided:
        raise ValueError(
            f"{name} is a tensor of layout {A.layout}: pass {name}.to_dense(), or SciPy's sparse "
            "matrix."
        )
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"A symmetric matrix is needed; got a tensor of shape {tuple(A.shape)}.")
    operator = Dense(A.detach(), name)
    if not torch.isfinite(operator.matrix).all():
        raise ValueError("The matrix has entries that are not finite.")
    asymmetry = (operator.matrix - operator.matrix.T).abs().max()
    if asymmetry > torch.finfo(A.dtype).eps ** 0.5 * operator.matrix.abs().max():
        raise ValueError(
            "The matrix is not symmetric: an entry differs from its mirror image by "
            f"{asymmetry:.3g}. "
            "If that is noise, pass (A + A.T) / 2."
        )
    return operator


def _number(x: object) -> float | None:
    """A real number as a float: Python's, NumPy's or a tensor without dimensions;
    None for anything else.
    """
    if isinstance(x, Tensor | np.ndarray):
        x = x.item() if x.ndim == 0 else None
    if not isinstance(x, Real):
        return None
    if not math.isfinite(x):
        raise ValueError(f"A factor or shift must be finite; got {x}.")
    return float(x)


def _terms(A: LinearOperator) -> tuple[tuple[float, LinearOperator], ...]:
    """A sum's own terms, so that sums stay flat and read as written."""
    return A.terms if isinstance(A, Combination) else ((1.0, A),)


def _formula(terms: list[tuple[float, LinearOperator]]) -> str:
    parts = []
    for c, A in terms:
        sign = "-" if c < 0 else "+"
        size = "" if abs(c) == 1 else f"{abs(c):g} "
        parts.append(f"{sign} {size}{A.name}")
    text = " ".join(parts)
    return text[2:] if text.startswith("+ ") else "-" + text[2:]


def _removed_from_all(parts: tuple[LinearOperator, ...]) -> Tensor | None:
    """The basis that a deflation has taken out of every part; None where one part has it,
    or part of it.
    """
    first = parts[0].removed_basis
    if first is None or any(A.removed_basis is None for A in parts):
        return None
    return first if all(torch.equal(first, A.removed_basis) for A in parts[1:]) else None
