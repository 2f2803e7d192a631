"""Traces and diagonals from a few products, with their standard errors: each probe leaves itself
out.

The range of Y = A Ω, k random probes, holds most of a matrix whose eigenvalues fall off. What is in
it is known exactly, and a probe estimates what is not. So that all k probes serve both purposes,
probe i estimates what is outside of the range of the others: with Y = Q R, that range is
Q (I − s_i s_iᵀ), s_i ∝ R⁻ᵀ e_i.

Source: Epperly, Tropp and Webber 2024, XTrace: making the most of every sample in stochastic trace
estimation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hspec.linalg.arguments import random_source, whole_number
from hspec.linalg.autocast import without_autocast
from hspec.linalg.deflation import orthonormal_basis
from hspec.linalg.inner_products import cross, inner
from hspec.linalg.operator import LinearOperator, aslinearoperator
from hspec.linalg.trace import draw_probe
from hspec.statistics import mean_and_error

# Standard errors of the k probes' estimates, by which the standard error of their mean is their
# spread over √k times this. Probe i's estimate is random by ω_i, and by the others, whose range it
# uses; a part that is made of pairs is in the estimates of both, and its share in the variance of
# the mean is twice that in spread²/k. All of it is of this kind where the range holds little.
PAIRS = 2**0.5


@without_autocast
def trace(
    A: LinearOperator | Tensor, num_products: int, *, generator: torch.Generator
) -> tuple[float, float]:
    """tr A and its standard error, from an even number of products.

    Where eigenvalues fall off, as those of Hess and G do, the error is that of many more random
    signs (`hutchinson_trace`): at 30 products a quarter for a net-like spectrum, half for
    λ_i = 1/i. Where they do not (a flat or an indefinite spectrum without outliers) it is one and a
    half times as large, and signs are the better choice. Exact for a matrix of rank below
    num_products/2, and for one of num_products rows or fewer. The error that is stated lies
    between the true one and √2 times it (see `PAIRS`), so that Student's interval with k − 1
    degrees of freedom, k = num_products/2, holds what it says.

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p). Of a deflated one the trace of what
            is left.
        num_products: two a probe, at least 4; it takes 2 · num_products vectors of memory.
        generator: the one source of randomness.

    Raises:
        FloatingPointError: a product that is not finite.

    Example:
        >>> A = torch.diag(torch.tensor([5.0, 3.0] + [0.0] * 98))
        >>> value, error = trace(A, 8, generator=torch.Generator().manual_seed(0))
        >>> print(round(value, 4))
        8.0

    Source: Epperly, Tropp and Webber 2024, algorithm 2 (XTrace).
    """
    A = aslinearoperator(A)
    random_source(generator)
    if A.shape[0] <= _number_of(num_products):
        return float(A.to_dense().trace()), 0.0
    f = _left_out(A, num_products, "gaussian", generator)
    n = A.shape[0] - (0 if A.removed_basis is None else A.removed_basis.shape[1])
    outside, products = (
        X.T.contiguous() for X in (f.probes - f.Q @ f.inside, f.Y - f.AQ @ f.inside)
    )
    squares, forms = inner(outside, outside), inner(outside, products)
    T, s = cross(f.Q.T, f.AQ.T), f.s.double()
    known = T.trace() - (s * (T @ s)).sum(0)
    rank = f.Q.shape[1] - (f.s != 0).any(0).long()
    guess = torch.where(squares > 0, (n - rank) * forms / squares, 0.0)
    mean, error = mean_and_error((known + guess).cpu().numpy())
    return float(mean), PAIRS * float(error)


@without_autocast
def diagonal(
    A: LinearOperator | Tensor, num_products: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The diagonal of A and its standard errors, two vectors (p,), from an even number of products.

    The sum of its entries over a layer's parameters is that layer's part of tr A. Both vectors are
    in A's units and have its dtype and device. Exact, and the errors up to √2 times the true ones,
    as in `trace`. The two probes of 4 products may agree by chance; take more where errors count.

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p). Of a deflated one the diagonal of
            what is left.
        num_products: two a probe, at least 4; it takes 2 · num_products vectors of memory. Of a
            matrix of lower rank than there are probes as many again.
        generator: the one source of randomness.

    Raises:
        FloatingPointError: a product that is not finite.
        TypeError: generator is no torch.Generator.
        ValueError: num_products is no whole number of at least 4.

    Example:
        >>> t = torch.linspace(0, 1, 50, dtype=torch.float64)
        >>> A = 1.0 + torch.outer(t, t)  # of rank 2
        >>> values, errors = diagonal(A, 8, generator=torch.Generator().manual_seed(0))
        >>> torch.allclose(values, A.diagonal()), bool(errors.max() < 1e-6)
        (True, True)

    Source: Epperly, Tropp and Webber 2024, section 5 (XDiag).
    """
    A = aslinearoperator(A)
    random_source(generator)
    if A.shape[0] <= _number_of(num_products):
        found = A.to_dense().diagonal().clone()
        return found, torch.zeros_like(found)
    f = _left_out(A, num_products, "rademacher", generator)
    if f.Q.shape[1] < f.probes.shape[1]:
        # Signs that coincide where A acts see less of its range than there is, and all alike, which
        # no spread among them would tell. Normal probes do not coincide.
        f = _left_out(A, num_products, "gaussian", generator)
    Qs, AQs = f.Q @ f.s, f.AQ @ f.s
    # what the others' range leaves of A ω_i, times the signs
    outside = f.Y - f.Q @ f.inside_products
    found = (f.Q * f.AQ).sum(1, keepdim=True) - Qs * AQs + f.probes * outside
    return found.mean(1), PAIRS * found.std(1) / found.shape[1] ** 0.5


def _number_of(num_products: int) -> int:
    return whole_number(num_products, "The number of products", least=4)


@dataclass(frozen=True)
class _LeftOut:
    """k probes, their products, and what the others' range holds of each;
    columns belong to probes.
    """

    probes: Tensor  # Ω (p, k)
    Y: Tensor  # A Ω
    Q: Tensor  # (p, r), the range of Y, and A Q
    AQ: Tensor
    # (r, k): Q s_i is what probe i alone brings into the range; 0 where the others span it
    s: Tensor
    inside: Tensor  # (r, k): (I − s_i s_iᵀ) Qᵀ ω_i, and the same of Qᵀ A ω_i
    inside_products: Tensor


def _left_out(
    A: LinearOperator, num_products: int, kind: str, generator: torch.Generator
) -> _LeftOut:
    probes = torch.stack([draw_probe(A, generator, kind) for _ in range(num_products // 2)], dim=1)
    Y = A @ probes
    if not torch.isfinite(Y).all():
        raise FloatingPointError(
            f"{A} @ v is not finite: look for overflow or nan in the operator."
        )
    Q = orthonormal_basis(Y) if bool((Y != 0).any()) else torch.zeros_like(Y[:, :1])
    R, W = cross(Q.T, Y.T), cross(Q.T, probes.T)
    s = torch.zeros_like(R)
    if Q.shape[1] == Y.shape[1]:  # of a matrix of lower rank the others' range is all of it
        s = torch.linalg.inv(R).T
        s = s / torch.linalg.vector_norm(s, dim=0)
    inside, inside_products = (M - s * (s * M).sum(0) for M in (W, R))
    small = (x.to(A.dtype) for x in (s, inside, inside_products))
    return _LeftOut(probes, Y, Q, A @ Q, *small)
