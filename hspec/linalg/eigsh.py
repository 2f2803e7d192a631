"""The ends of a spectrum, to a stated residual, from few products."""

import os
import warnings
from collections.abc import Callable

import numpy as np
import torch

from hspec.linalg.deflation import orthonormal_basis
from hspec.linalg.operator import LinearOperator, aslinearoperator
from hspec.linalg.pairs import EigenPairs
from hspec.linalg.remembered import Remembered
from hspec.linalg.subspace import Subspace
from hspec.linalg.trace import draw_probe
from hspec.linalg.tridiagonal import select

NOISE = 0.1  # of a random direction, beside the start vectors given


def eigsh(
    A: LinearOperator | torch.Tensor,
    k: int,
    *,
    which: str = "largest",
    start: torch.Tensor | None = None,
    tol: float = 1e-3,
    max_products: int | None = None,
    block_size: int = 1,
    max_basis: int | None = None,
    generator: torch.Generator,
    checkpoint: str | os.PathLike | None = None,
    callback: Callable[[int], None] | None = None,
    check: bool = True,
) -> EigenPairs:
    """k eigenpairs at one end or both ends of the spectrum, each with residual ‖A q − λ q‖ ≤ tol · |λ_k|.

    which          "largest", "smallest" (most negative), or "both" (k at each end: 2k pairs); values descend
    start          (p, j) vectors near the ones wanted, such as the class means g_c; random by default
    tol            relative to |λ_k|, the wanted eigenvalue nearest the bulk, at its own end
    max_products   at which to stop, with a RuntimeWarning and what has been found (default 100 + 40 per pair)
    block_size     residuals followed at a time: 1 takes the fewest products; more where blocks are cheap, or
                   where eigenvalues are multiple
    checkpoint     a folder in which products are kept, ten at a time; a later call that asks for the same ones takes
                   them from there, after a kill or with another tol or max_products
    callback       called with the number of products spent, after each round
    max_basis      vectors kept before a restart, at twice the memory (default 40 + 2 · wanted + 4 · block_size)

    Rayleigh-Ritz on a growing orthonormal basis V with A V kept beside it: each round adds what the last products
    have outside of V, which is thick-restart Lanczos, or its block form. Residuals are estimated on the way, but
    computed for the pairs returned. An exhausted (invariant) basis is refreshed at random.

    Raises ValueError for k > p, a start that does not fit, or an operator that is not symmetric (seen in
    VᵀAV, at no cost), or a checkpoint of another; FloatingPointError for a product that is not finite.
    """
    A = aslinearoperator(A)
    if not A.exact:
        raise ValueError(
            f'{A} has products in reduced precision, too coarse for eigenvectors: use precision="exact"'
        )
    select(np.empty(A.shape[0]), k, which, f"of {A}: its dimension is too small")
    wanted = 2 * k if which == "both" else k
    size = min(A.shape[0], max_basis or 2 * wanted + 4 * block_size + 40)
    _check_settings(A.shape[0], wanted, size, tol, block_size)
    limit = max_products or 100 + 40 * wanted
    space = Subspace(A if checkpoint is None else Remembered(A, checkpoint), size, check)
    space.extend(_start(A, start, min(block_size, size), generator).T)
    settled = None  # the values before the last refresh
    exact = False  # residuals are estimated until they look converged, and computed from then on
    while True:
        if callback is not None:
            callback(space.num_products)
        ritz = space.ritz(k, which, exact=exact)
        exhausted = space.num_products >= limit or space.count == A.shape[0]
        if not exact and (exhausted or not len(ritz.unconverged(tol))):
            exact, ritz = True, space.ritz(k, which, exact=True)
        left = ritz.unconverged(tol)
        found = len(ritz.values) == wanted and not len(left)
        if space.count == A.shape[0] or (found and ritz.is_final(settled)):
            break
        if exhausted:
            _warn(A, ritz, left, wanted, space.num_products)
            break
        if not len(left):
            settled = ritz.values
            block = draw_probe(A, generator)[None]
        else:
            block = ritz.directions[:, left[:block_size]].T if exact else space.outside
        block = block[: A.shape[0] - space.count]
        if space.count + len(block) > size:
            space.restart(which, keep=max(wanted, min((wanted + size) // 2, size - len(block))))
        space.extend(block)
    return EigenPairs(ritz.values, ritz.vectors, ritz.residuals, space.num_products)


def _check_settings(p: int, wanted: int, size: int, tol: float, block_size: int) -> None:
    if not tol > 0 or block_size < 1:
        raise ValueError(f"tol must be positive and block_size at least 1; got {tol} and {block_size}.")
    least = min(p, wanted + 2 * block_size)
    if size < least:
        raise ValueError(f"max_basis = {size} is too small for {wanted} pairs: allow at least {least}.")


def _start(A, start, block_size, generator) -> torch.Tensor:
    """Start vectors (p, block_size): random, or random combinations of those given plus a little noise.

    A Krylov space from one combination needs about half the products of one from all the columns, each of
    which would have to be raised to a power of A by itself; the noise keeps it out of invariant subspaces.
    """
    X = torch.stack([_unit(draw_probe(A, generator)) for _ in range(block_size)], dim=1)
    if start is not None:
        start = start[:, None] if start.ndim == 1 else start
        A._check(start, "started from")
        hints = orthonormal_basis(start)
        mixed = hints @ torch.randn(
            hints.shape[1], block_size, generator=generator, device=generator.device, dtype=torch.float64
        ).to(hints)
        X = mixed / torch.linalg.vector_norm(mixed, dim=0) + NOISE * X
    return X


def _unit(v: torch.Tensor) -> torch.Tensor:
    return v / torch.linalg.vector_norm(v)


def _warn(A, ritz, left, wanted, num_products) -> None:
    worst = ritz.residuals[left].max() if len(left) else 0.0
    warnings.warn(
        f"eigsh of {A} stopped after {num_products} products: {wanted - len(ritz.values) + len(left)} of {wanted} "
        f"pairs have not converged, the largest residual is {worst:.3g}. Raise max_products, or tol.",
        RuntimeWarning,
        stacklevel=3,
    )
