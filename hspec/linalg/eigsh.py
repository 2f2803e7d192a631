"""The ends of a spectrum, to a stated residual, from few products."""

import os
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch

from hspec.linalg.arguments import guards_of, positive_number, random_source, whole_number
from hspec.linalg.autocast import without_autocast
from hspec.linalg.copies import CHANCE, ROOM, Search
from hspec.linalg.deflation import orthonormal_basis
from hspec.linalg.operator import LinearOperator, aslinearoperator
from hspec.linalg.pairs import EigenPairs
from hspec.linalg.recurrence import left_of
from hspec.linalg.remembered import Remembered
from hspec.linalg.subspace import Ritz, Subspace
from hspec.linalg.trace import draw_probe
from hspec.linalg.tridiagonal import select

NOISE = 0.1  # of a random direction, beside the start vectors given


@without_autocast
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
    check: bool | str | Collection[str] = True,
) -> EigenPairs:
    """k eigenpairs at one end or both ends of the spectrum, each with residual ‖A q − λ q‖ ≤ tol ·
    |λ_k|.

    Rayleigh-Ritz on a growing orthonormal basis V with A V kept beside it: each round adds what the
    last products have outside of V, which is thick-restart Lanczos, or its block form. Residuals
    are estimated on the way, but computed for the pairs returned.

    A Krylov space holds each eigenvalue once, however multiple it is. So when the pairs have
    converged, a random direction is sent into what they leave, until it shows another that belongs
    to them (then the work goes on), or until the chance that it overlooked one is below 1e-3 (see
    `copies`). With that chance as `chance_missed`, each value is within tol · |λ_k| of the true
    i-th, up to the residuals. It takes about 8 products where a gap follows λ_k, and more the
    nearer λ_{k+1} is: 15 at a distance of 5 %, 50 of 0.5 %, in units of the spectrum's width.

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p).
        k: number of pairs wanted at an end, counted with their multiplicity.
        which: "largest", "smallest" (most negative), or "both" (k at each end: 2k pairs).
        start: (p, j) vectors near the ones wanted, such as the class means g_c; random by default.
        tol: relative to |λ_k|, the wanted eigenvalue nearest the bulk, at its own end.
        max_products: at which to stop, with a RuntimeWarning and what has been found (default 100 +
            40 per pair).
        block_size: residuals followed at a time: 1 takes the fewest products; more where blocks are
            cheap.
        max_basis: vectors kept before a restart, at twice the memory (default
            40 + 2 · wanted + 4 · block_size).
        generator: the one source of randomness.
        checkpoint: a folder in which products are kept, ten at a time; a later call that asks for
            the same ones takes them from there, after a kill or with another tol or max_products.
        callback: called with the number of products spent, after each round.
        check: the guards: "symmetry" (u·Av = v·Au, seen in VᵀAV at no cost) and "copies" (the
            search for further copies). True for both, False for none, or the names of those that
            stay on.

    Returns:
        The pairs, values descending.

    Raises:
        ValueError: k > p, a start that does not fit, an operator that is not symmetric, or the
            checkpoint of another.
        FloatingPointError: a product that is not finite.

    Example:
        >>> import torch
        >>> A = torch.diag(torch.tensor([3.0, 3.0, 2.0, 1.0, 0.0, 0.0]))
        >>> eigsh(A, 3, generator=torch.Generator().manual_seed(0)).values.round(4)
        array([3., 3., 2.])
    """
    A = aslinearoperator(A)
    if not A.exact:
        raise ValueError(
            f"{A} has products in reduced precision, too coarse for eigenvectors: use "
            'precision="exact"'
        )
    guards = guards_of(check, ("symmetry", "copies"))
    tol, block_size = positive_number(tol, "tol"), whole_number(block_size, "block_size")
    limit = None if max_products is None else whole_number(max_products, "max_products")
    space = Subspace(
        A if checkpoint is None else Remembered(A, checkpoint), which, check="symmetry" in guards
    )
    k, wanted = _number_of_pairs(A, k, which, space.dimension)
    space.allocate(_number_of_rows(max_basis, space.dimension, wanted, block_size))
    solver = _Solver(
        space, k, wanted, tol, limit or 100 + 40 * wanted, block_size, generator, callback
    )
    solver.extend(_start(A, start, min(block_size, space.dimension), random_source(generator)))
    ritz, chance = solver.converge(), float("nan")
    while "copies" in guards and solver.has_converged(ritz):
        found, chance = solver.search(ritz)
        if not found:
            break
        ritz = solver.converge()
    if checkpoint is not None:
        space.A.flush()
    solver.warn(ritz, chance)
    return EigenPairs(ritz.values, ritz.vectors, ritz.residuals, space.num_products, chance)


@dataclass(frozen=True)
class _Solver:
    """What is asked for, and the two things done about it by turns: converge,
    and search for more.
    """

    space: Subspace
    k: int
    wanted: int
    tol: float
    limit: int
    block_size: int
    generator: torch.Generator
    callback: Callable[[int], None] | None

    @property
    def is_over(self) -> bool:
        return self.space.num_products >= self.limit or self.space.is_whole

    def has_converged(self, ritz: Ritz) -> bool:
        return len(ritz.values) == self.wanted and not len(ritz.unconverged(self.tol))

    def extend(self, block: torch.Tensor) -> None:
        """The rows `block`, as far as dimensions are left,
        after a restart where memory is not."""
        space, block = self.space, block[: self.space.dimension - self.space.count]
        if space.count + len(block) > space.size:
            space.restart(
                max(self.wanted, min((self.wanted + space.size) // 2, space.size - len(block)))
            )
        space.extend(block)
        self.report()

    def converge(self) -> Ritz:
        """Extend the subspace until the wanted pairs have converged, or it is over."""
        exact = (
            False  # residuals are estimated until they look converged, and computed from then on
        )
        while True:
            ritz = self.space.ritz(self.k, exact=exact)
            if not exact and (self.is_over or not len(ritz.unconverged(self.tol))):
                exact, ritz = True, self.space.ritz(self.k, exact=True)
            if self.is_over or self.has_converged(ritz):
                return ritz
            left = ritz.unconverged(self.tol)
            if not len(left):  # an invariant subspace, with fewer pairs than are wanted
                exact, block = False, draw_probe(self.space.A, self.generator)[None]
            else:
                block = (
                    ritz.directions[:, left[: self.block_size]].T if exact else self.space.outside
                )
            self.extend(block)

    def search(self, ritz: Ritz) -> tuple[bool, float]:
        """Whether a random direction shows eigenvalues beyond these pairs;
        and the chance that it would not.
        """
        if self.space.is_whole:
            return False, 0.0
        search = Search(
            self.space, ritz, self.tol, lambda: draw_probe(self.space.A, self.generator)[None]
        )
        while not (search.found or search.chance <= CHANCE or self.is_over):
            search.step()
            self.report()
        return search.found, search.chance

    def report(self) -> None:
        if self.callback is not None:
            self.callback(self.space.num_products)

    def warn(self, ritz: Ritz, chance: float) -> None:
        """Say what is missing, where the products were too few."""
        left = ritz.unconverged(self.tol)
        missing = self.wanted - len(ritz.values) + len(left)
        if missing:
            worst = ritz.residuals[left].max() if len(left) else 0.0
            fact = (
                f"{missing} of {self.wanted} pairs have not converged, the largest residual is "
                f"{worst:.3g}."
            )
        elif chance > CHANCE:
            fact = (
                "all pairs have converged, but a multiple eigenvalue may have more copies than "
                "were found: that "
                f"none is missing is not yet certain, but to a chance of {chance:.2g}."
            )
        else:
            return
        warnings.warn(
            f"eigsh of {self.space.A} stopped after {self.space.num_products} products: {fact} "
            "Raise max_products, "
            "or tol.",
            RuntimeWarning,
            stacklevel=3,
        )


def _number_of_pairs(A: LinearOperator, k: int, which: str, dimension: int) -> tuple[int, int]:
    """(pairs at an end, pairs in all)."""
    k = whole_number(k, "The number of eigenpairs")
    chosen = select(np.empty(dimension), k, which, f"of {A}: its dimension is too small")
    return k, len(chosen)


def _number_of_rows(max_basis: int | None, dimension: int, wanted: int, block_size: int) -> int:
    size = 2 * wanted + 4 * block_size + 40
    if max_basis is not None:
        size, least = whole_number(max_basis, "max_basis"), wanted + max(2 * block_size, ROOM)
        if size < min(dimension, least):
            raise ValueError(
                f"max_basis = {size} is too small for {wanted} pairs: allow at least {least}."
            )
    return min(dimension, size)


def _start(
    A: LinearOperator, start: torch.Tensor | None, block_size: int, generator: torch.Generator
):
    """Start vectors (block_size, p): random, or random combinations of those given plus a little
    noise.

    A Krylov space from one combination needs about half the products of one from all the columns,
    each of which would have to be raised to a power of A by itself; the noise keeps it out of
    invariant subspaces.
    """
    X = torch.stack([_unit(draw_probe(A, generator)) for _ in range(block_size)], dim=1)
    if start is not None:
        A._check(start, "started from")
        hints = orthonormal_basis(start[:, None] if start.ndim == 1 else start)
        options = {"generator": generator, "device": generator.device, "dtype": torch.float64}
        mixed = hints @ torch.randn(hints.shape[1], block_size, **options).to(hints)
        X = A.ranks.first(mixed / torch.linalg.vector_norm(mixed, dim=0) + NOISE * X)
    return left_of(A.removed_basis, X.T)


def _unit(v: torch.Tensor) -> torch.Tensor:
    return v / torch.linalg.vector_norm(v)
