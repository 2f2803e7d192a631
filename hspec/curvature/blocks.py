"""Layer by layer: the blocks of Hess, G and H that belong to some of the parameters, from one set
of graphs.

With θ cut into blocks θ_1, …, θ_L, the block of a matrix A in rows i and columns j is

    A_ij = ∂²/∂θ_i ∂θ_jᵀ of what A is the second derivative of,    A_ij = A_jiᵀ.

The first-order graph of a batch holds g = Jᵀz piece by piece. A product with A_ij differentiates
the pieces of block j in the parameters of block i, and so visits the layers between them only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hspec.curvature.engine.batch_graph import BatchGraph
from hspec.curvature.hessian import RiskOperator, Summed
from hspec.curvature.risk import Risk
from hspec.linalg.operator import LinearOperator

Between = Callable[[BatchGraph, Tensor, BatchGraph], Tensor]  # (columns' graph, V, rows' graph)


def layer_of(parameter: str) -> str:
    """The layer that a parameter belongs to: its name without the last part.

    Example:
        >>> layer_of("encoder.0.weight")
        'encoder.0'
    """
    return parameter.rpartition(".")[0] or parameter


def blocks(risk: Risk, by: Callable[[str], str] = layer_of) -> "Blocks":
    """The coordinates of θ in blocks, and the blocks of Hess, G and H that they cut out.

    Args:
        risk: whose graphs are used; they are built once, for all blocks.
        by: a parameter's name ↦ its block's name. By default one block a layer (a module that has
            parameters of its own); `lambda name: name` makes each parameter a block,
            `lambda name: name.split(".")[0]` each child of the network.

    Returns:
        The blocks in θ's order, as `parts.hessian("0")`, `parts.gauss_newton("0", "2")`, …

    Raises:
        TypeError: `by` gives something else than a name.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 1, 0, 1]))])
        >>> parts = blocks(risk)
        >>> parts.sizes
        {'0': 15, '2': 8}
        >>> parts.hessian("2").shape, parts.hessian("0", "2").shape
        ((8, 8), (15, 8))

    Source: P20, section 5 (layers); the blocks are by definition.
    """
    members: dict[str, list[str]] = {}
    for parameter in risk.parameter_slices:
        name = by(parameter)
        if not isinstance(name, str):
            raise TypeError(f"by({parameter!r}) is {name!r}: the name of a block is needed")
        members.setdefault(name, []).append(parameter)
    return Blocks(risk, {name: tuple(parameters) for name, parameters in members.items()})


@dataclass(frozen=True)
class Blocks:
    """θ in blocks; made by `blocks`.

    Attributes:
        parameters: {block: the names of its parameters}, in θ's order.
    """

    risk: Risk
    parameters: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The blocks' names."""
        return tuple(self.parameters)

    @property
    def sizes(self) -> dict[str, int]:
        """By block its number of coordinates p_i; they add up to p."""
        return {name: len(self.coordinates(name)) for name in self.names}

    def coordinates(self, name: str) -> Tensor:
        """Where the block's coordinates stand in θ: (p_i,) integers, ascending.

        Raises:
            KeyError: there is no such block; says which there are.
        """
        slices = [self.risk.parameter_slices[parameter] for parameter in self._members(name)]
        return torch.cat([torch.arange(s.start, s.stop) for s in slices]).to(self.risk.device)

    def hessian(self, row: str, column: str | None = None) -> "LinearOperator | CrossBlock":
        """The block of Hess: symmetric (p_i, p_i) for one name, (p_i, p_j) for two.   Source:
        by definition.
        """
        return self._block("Hess", BatchGraph.hess, row, column)

    def gauss_newton(self, row: str, column: str | None = None) -> "LinearOperator | CrossBlock":
        """The block (1/W) Σ J_iᵀ M J_j of G.   Source: P20, section 5."""
        return self._block("G", BatchGraph.gauss_newton, row, column)

    def residual(self, row: str, column: str | None = None) -> "LinearOperator | CrossBlock":
        """The block of H = Hess − G, computed by itself.   Source: by definition."""
        return self._block("H", BatchGraph.residual, row, column)

    def _members(self, name: str) -> tuple[str, ...]:
        if name not in self.parameters:
            raise KeyError(f"there is no block {name!r}; there are {', '.join(self.names)}")
        return self.parameters[name]

    def _block(self, matrix: str, between: Between, row: str, column: str | None):
        rows, size = self._members(row), len(self.coordinates(row))
        if column is not None and column != row:
            return CrossBlock(self, matrix, between, row, column)

        def product(graph: BatchGraph, V: Tensor) -> Tensor:
            part = graph.restricted(rows)
            return between(part, V, part)

        return Summed(self.risk, f"{matrix}[{row}]", product, size)


class CrossBlock:
    """An off-diagonal block A_ij (p_i, p_j), known by its products; made by `Blocks`.

    `block @ X` for X (p_j,) or (p_j, k), `block.T`, `block.to_dense()`; and `block.dilation()`, the
    symmetric operator whose eigenvalues are ± the block's singular values, for `eigsh` and `slq`.
    """

    def __init__(self, parts: Blocks, matrix: str, between: Between, row: str, column: str) -> None:
        self.parts, self.matrix, self.between, self.row, self.column = (
            parts,
            matrix,
            between,
            row,
            column,
        )
        self.shape = (len(parts.coordinates(row)), len(parts.coordinates(column)))
        self.name = f"{matrix}[{row}, {column}]"
        self._forward = _OneWay(self)

    def __repr__(self) -> str:
        return self.name

    def __matmul__(self, X: Tensor) -> Tensor:
        """A_ij X: (p_j,) or (p_j, k) to (p_i,) or (p_i, k).

        Raises:
            ValueError: X of another shape, dtype or device.
        """
        self._forward._check(X, "multiplied by")
        Y = self._forward._matmat(X[:, None] if X.ndim == 1 else X)
        return Y[:, 0] if X.ndim == 1 else Y

    @property
    def T(self) -> "CrossBlock":
        """A_ijᵀ = A_ji."""
        return CrossBlock(self.parts, self.matrix, self.between, self.column, self.row)

    def to_dense(self) -> Tensor:
        """The block itself, (p_i, p_j): by columns or by rows, whichever are fewer."""
        if self.shape[0] < self.shape[1]:
            return self.T.to_dense().T
        risk = self.parts.risk
        return self @ torch.eye(self.shape[1], dtype=risk.dtype, device=risk.device)

    def dilation(self) -> LinearOperator:
        """[[0, A_ij], [A_ijᵀ, 0]], symmetric of p_i + p_j: its eigenvalues are ±σ_k and zeros.

        Source: Golub and Kahan 1965 (the Jordan-Wielandt matrix).
        """
        return _Dilation(self)


class _OneWay(RiskOperator):
    """What checks the vectors that a cross block is multiplied by, and multiplies; not symmetric,
    so private.
    """

    def __init__(self, block: CrossBlock) -> None:
        super().__init__(block.parts.risk, block.name, block.shape[1])
        self.rows, self.columns = (
            block.parts.parameters[name] for name in (block.row, block.column)
        )
        self.between, self.num_rows = block.between, block.shape[0]

    def _matmat(self, X: Tensor) -> Tensor:
        def product(graph: BatchGraph, V: Tensor) -> Tensor:
            return self.between(graph.restricted(self.columns), V, graph.restricted(self.rows))

        shape = X.shape[1], self.num_rows
        return self.risk.graphs.apply(product, X.T.contiguous(), shape).div_(self.risk.num_terms).T


class _Dilation(RiskOperator):
    """[[0, B], [Bᵀ, 0]]."""

    def __init__(self, block: CrossBlock) -> None:
        super().__init__(block.parts.risk, f"dilation of {block.name}", sum(block.shape))
        self.block, self.transpose = block, block.T

    def _matmat(self, X: Tensor) -> Tensor:
        upper, lower = X.split(self.block.shape)
        return torch.cat([self.block @ lower, self.transpose @ upper])
