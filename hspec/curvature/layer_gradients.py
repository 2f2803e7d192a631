"""Spectra of a layer's gradients with and without class means, from their inner products (P20-1).

With V of columns √(p_{n,c'}/N) vec(ε hᵀ), one for every example and label, G = V Vᵀ has the
eigenvalues of K = Vᵀ V, of inner products (ε·ε')(h·h'). So do all knock-outs: a part by levels is a
projection of functions of (n, c'), G − G_class = V (I − Π) Vᵀ and (I − Π) K (I − Π); and outside of
directions Q of the weights' space G leaves K − (Vᵀ Q)(Vᵀ Q)ᵀ. No gradient is formed but the means.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hspec.curvature.classes.levels import Levels
from hspec.curvature.engine.memory import ANY_BUDGET
from hspec.curvature.layers import LayerData
from hspec.linalg.autocast import without_autocast
from hspec.linalg.deflation import deflate, orthonormal_basis
from hspec.linalg.eigsh import eigsh
from hspec.linalg.low_rank import LowRank
from hspec.linalg.operator import LinearOperator

RANKS = 32  # largest eigenvalues of each spectrum, of matrices of more rows than EXACT
EXACT = 500  # rows up to which all are found
TOLERANCE = 1e-4  # residual of an eigenvalue, relative to the last one wanted
ROWS = 1024  # of the matrix at a time


@without_autocast
def gradient_knock_outs(data: LayerData, generator: torch.Generator) -> dict[str, np.ndarray]:
    """The largest eigenvalues of the layer's G, whole and after knock-outs, of all its examples.

    Source: P20, definitions 3.1 to 3.3 and equation 6.4.
    """
    K, cells = InnerProducts(data), cell_functions(data.error_levels)
    of_class, cross = level_coefficients(data.error_levels)
    means = class_gradients(data)
    several = cells.shape[0] > cells.shape[1]  # examples of some class: one is its own mean
    drawn = torch.randn(means.shape, generator=generator, dtype=means.dtype).to(means.device)
    matrices = {
        "all": K,
        "subtracted": deflate(K, cells @ of_class),
        "within": deflate(K, cells) if several else 0.0 * K,
        "projected": outside_of(K, data, means),
        "random": outside_of(K, data, drawn),
    }
    found = {which: largest(A, generator) for which, A in matrices.items()}
    small = cells.double().T @ (K @ cells).double()  # of what the means of cells make
    return found | {"cross": np.linalg.eigvalsh((cross @ small @ cross).cpu().numpy())[::-1]}


class InnerProducts(LinearOperator):
    """K (N·C, N·C): multiplied as a matrix, or by way of the weights' space, Vᵀ (V x), where that
    takes fewer operations a vector, or the matrix does not fit in the risk's memory budget.

    Raises:
        ValueError: for a layer with several positions an example, such as a convolution.
    """

    def __init__(self, data: LayerData) -> None:
        (N, C, T, d_out), d_in = data.errors.shape, data.features.shape[2]
        if T > 1:
            raise ValueError(
                f"layer {data.name!r} has {T} positions an example: take a perceptron, "
                "model='mlp:…'"
            )
        super().__init__(N * C, data.errors.dtype, data.errors.device, f"G[{data.name}]")
        self.h = data.features[:, 0] / N**0.5
        self.e = data.error_levels.root[..., None] * data.errors[:, :, 0]
        cheaper = 2 * N * d_out * (C + d_in) >= (N * C) ** 2
        fits = (N * C) ** 2 * self.dtype.itemsize <= max(data.risk.memory_budget, ANY_BUDGET)
        self.matrix = self._entries() if cheaper and fits else None

    def _entries(self) -> Tensor:
        N, C, _ = self.e.shape
        of_features, K = self.h @ self.h.T, self.e.new_empty(N, C, N, C)
        for examples in torch.arange(N).split(max(1, ROWS // C)):
            here = slice(int(examples[0]), int(examples[-1]) + 1)
            K[here] = torch.einsum("nco,mko->ncmk", self.e[here], self.e)
            K[here] *= of_features[here, None, :, None]
        return K.view(N * C, N * C)

    def _matmat(self, X: Tensor) -> Tensor:
        if self.matrix is not None:
            return self.matrix @ X
        x = X.T.reshape(-1, *self.e.shape[:2])
        G = torch.einsum("kno,ni->koi", torch.einsum("knc,nco->kno", x, self.e), self.h)
        along = torch.einsum("ni,koi->kno", self.h, G)
        return torch.einsum("nco,kno->knc", self.e, along).flatten(1).T


def cell_functions(levels: Levels) -> Tensor:
    """The functions ψ of all cells, orthonormal columns (N·L, K·L), which means of cells span."""
    (N, L), K = levels.unit.shape, len(levels.classes)
    found = levels.unit.new_zeros(N, L, K, L)
    n, labels = torch.arange(N, device=levels.unit.device)[:, None], torch.arange(L)
    found[n, labels, levels.index[:, None], labels] = levels.unit
    return found.view(N * L, K * L)


def level_coefficients(levels: Levels) -> tuple[Tensor, Tensor]:
    """In coordinates of the functions of cells: those of the level "class" as columns (K·L, K), and
    the projection (K·L, K·L) on the level "cross", float64.
    """
    root, own = levels.shares.sqrt(), levels.own.flatten()
    of_class = torch.block_diag(*root[:, :, None])
    others = torch.diag((~own).double())
    return of_class, others - of_class.double() @ of_class.double().T


def class_gradients(data: LayerData) -> Tensor:
    """The class means g_c of the layer's gradients, (d_out·d_in, K)."""
    levels, h = data.error_levels, data.features[:, 0]
    a = levels.kappa * levels.shares[levels.index]  # of g_c = Σ_{n of c, c'} a γ_{n,c'}
    e = torch.einsum("nc,nco->no", a, data.errors[:, :, 0])
    members = [levels.index == row for row in range(len(levels.classes))]
    return torch.stack([(e[here].T @ h[here]).flatten() for here in members], 1)


def outside_of(K: LinearOperator, data: LayerData, directions: Tensor) -> LinearOperator:
    """(I − QQᵀ) G (I − QQᵀ) by inner products, Q a basis of the directions (d_out·d_in, k)."""
    levels, h = data.error_levels, data.features[:, 0]
    columns = []
    for Q in orthonormal_basis(directions).T.reshape(-1, *data.weight.shape):
        along = torch.einsum("nco,no->nc", data.errors[:, :, 0], h @ Q.T)
        columns.append((levels.root * along / len(h) ** 0.5).flatten())
    F = torch.stack(columns, 1)
    return K - LowRank(F, F.new_ones(F.shape[1]))


def largest(A: LinearOperator, generator: torch.Generator) -> np.ndarray:
    """The :data:`RANKS` largest eigenvalues, descending; all of a matrix of no more rows than
    :data:`EXACT`.
    """
    if A.shape[0] <= EXACT:
        return np.linalg.eigvalsh(A.to_dense().double().cpu().numpy())[::-1].clip(min=0)
    return eigsh(A, RANKS, tol=TOLERANCE, generator=generator).values.clip(min=0)
