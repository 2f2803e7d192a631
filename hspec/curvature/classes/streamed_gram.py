"""Inner products of more vectors of R^p than fit in memory: by blocks of parameters,
and by groups of vectors.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hspec.curvature.engine.network import num_coordinates

GRAM_BYTES, GRAM_ROWS = (
    1 << 28,
    1 << 11,
)  # of vectors converted to float64, and of rows multiplied, at a time


def streamed_gram(
    vectors_of: Callable[[range, list[Tensor]], Tensor],
    shape: tuple[int, int],
    parameters: list[Tensor],
    budget: int,
    callback: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Inner products of k groups of m vectors, float64 (k·m, k·m), group major.

    Args:
        vectors_of: (groups, parameters) ↦ their vectors' entries in these parameters, (groups, m,
            entries).
        shape: (k, m).
        parameters: whose entries, in order, make up a vector.
        budget: bytes; two groups on one parameter tensor are held whatever it is.
        callback: called with (done, total), in parameters times pairs of tiles of groups.
    """
    k, m = shape
    K = torch.zeros(k * m, k * m, dtype=torch.float64, device=parameters[0].device)
    blocks = parameter_blocks(parameters, k * m, budget)
    plan = [(block, _tiles(k, budget // (2 * m * bytes_of(block)))) for block in blocks]
    total = sum(
        num_coordinates_of(block) * len(tiles) * (len(tiles) + 1) // 2 for block, tiles in plan
    )
    done = 0
    for block, tiles in plan:
        for i, I in enumerate(tiles):
            left = vectors_of(I, block)
            for J in tiles[i:]:
                right = left if J is I else vectors_of(J, block)
                rows, columns = (slice(m * T.start, m * T.stop) for T in (I, J))
                for summed in _add_inner_products(K[rows, columns], left, right):
                    done += summed
                    if callback is not None:
                        callback(done, total)
    return K.triu_() + K.triu(1).T


def parameter_blocks(
    parameters: list[Tensor], num_vectors: int, budget: int
) -> Iterator[list[Tensor]]:
    """Consecutive parameters, as many at a time as two copies of so many vectors on them
    fit (at least one).
    """
    block, size = [], 0
    for q in parameters:
        if block and 2 * num_vectors * (size + q.nbytes) > budget:
            yield block
            block, size = [], 0
        block, size = [*block, q], size + q.nbytes
    if block:
        yield block


def _tiles(k: int, size: int) -> list[range]:
    size = max(1, size)
    return [range(start, min(start + size, k)) for start in range(0, k, size)]


def _add_inner_products(K: Tensor, left: Tensor, right: Tensor) -> Iterator[int]:
    """K (a·m, b·m) += the inner products of left (a, m, p) and right (b, m, p), summed in float64.

    Yields the number of coordinates summed, a block of them at a time. Where both are the same
    vectors, only what lies on and above the diagonal blocks of GRAM_ROWS.
    """
    same, left, right = left is right, left.flatten(0, 1), right.flatten(0, 1)
    columns = max(1, GRAM_BYTES // (8 * (len(left) + len(right))))
    for start in range(0, left.shape[1], columns):
        A = left[:, start : start + columns].double()
        B = A if same else right[:, start : start + columns].double()
        for row in range(0, len(A), GRAM_ROWS):
            first = row if same else 0
            K[row : row + GRAM_ROWS, first:].addmm_(A[row : row + GRAM_ROWS], B[first:].T)
        yield A.shape[1]


def num_coordinates_of(parameters: list[Tensor]) -> int:
    """Entries of a vector on these parameters, real ones."""
    return sum(map(num_coordinates, parameters))


def bytes_of(parameters: list[Tensor]) -> int:
    """Of a vector on these parameters."""
    return sum(q.nbytes for q in parameters)
