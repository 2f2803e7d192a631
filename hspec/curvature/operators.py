"""The Hessian and its two parts as operators.

Hess = ∂²L/∂θ² = G + H,    G = (1/N) Σ_n J_nᵀ (diag p_n − p_n p_nᵀ) J_n,    H = (1/N) Σ_n Σ_k (p_n − y_n)_k ∂²f_k/∂θ².
"""

from abc import abstractmethod

import torch
from torch import Tensor

from hspec.curvature.products import BatchGraph
from hspec.curvature.risk import Risk
from hspec.linalg.operator import LinearOperator


class RiskOperator(LinearOperator):
    """A p-by-p matrix made of derivatives of a risk; `exact` is False where the risk's precision is "fast"."""

    def __init__(self, risk: Risk, name: str):
        super().__init__(risk.num_parameters, risk.dtype, risk.device, name)
        self.risk = risk
        self.exact = risk.precision == "exact"

    def __repr__(self) -> str:
        facts = f"p={self.risk.num_parameters}, N={self.risk.num_examples}, {self.risk.graphs}"
        size = self.risk.blocks.sizes.get(self.name)
        return f"{self.name}({facts}{'' if size is None else f', blocks of {size}'})"

    def _matmat(self, X: Tensor) -> Tensor:
        return self._rows(X.T.contiguous()).div_(self.risk.num_examples).T

    @abstractmethod
    def _rows(self, V: Tensor) -> Tensor:
        """N times the matrix, times each row of V (k, p); memory of its own, which the caller may overwrite."""


class _Hessian(RiskOperator):
    def _rows(self, V):
        return self.risk.graphs.sum(lambda graph: self.risk.blocks.map(self.name, graph.hess, V))


class _GaussNewton(RiskOperator):
    def _rows(self, V):
        def product(graph: BatchGraph) -> Tensor:
            return self.risk.blocks.map(self.name, lambda W: _gauss_newton_rows(graph, W), V)

        return self.risk.graphs.sum(product)


class _Residual(RiskOperator):
    def _rows(self, V):
        return self.risk.graphs.sum(lambda graph: self.risk.blocks.map(self.name, graph.residual, V))


def _gauss_newton_rows(graph: BatchGraph, V: Tensor) -> Tensor:
    return graph.jacobian_transpose(graph.softmax.middle(graph.jacobian(V)))


def _split_rows(graph: BatchGraph, V: Tensor) -> Tensor:
    """(H, G) V for one batch, (k, 2, p)."""
    h, t = graph.split(V)
    return torch.stack([h, graph.jacobian_transpose(graph.softmax.middle(t))], 1)


def hessian(risk: Risk) -> LinearOperator:
    """Hess = ∂²L/∂θ² (p, p).  Source: P20, section 2."""
    return _Hessian(risk, "Hess")


def gauss_newton(risk: Risk) -> LinearOperator:
    """G = (1/N) Σ_n J_nᵀ (diag p_n − p_n p_nᵀ) J_n (p, p), the softmax model's Fisher information.

    Source: P20, section 2.
    """
    return _GaussNewton(risk, "G")


def residual(risk: Risk) -> LinearOperator:
    """H = Hess − G = (1/N) Σ_n Σ_k (p_n − y_n)_k ∂²f_k(x_n; θ)/∂θ² (p, p), computed by itself.

    Source: P20, section 2.
    """
    return _Residual(risk, "H")


def split_product(risk: Risk, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(Hess X, G X, H X) for X (p,) or (p, k), in one go over the data: cheaper than two products.

    Raises ValueError for X of another shape, dtype or device.
    """
    hessian(risk)._check(X, "multiplied by")
    V = X.reshape(len(X), -1).T.contiguous()
    both = risk.graphs.sum(lambda graph: risk.blocks.map("split", lambda W: _split_rows(graph, W), V))
    H, G = (part.T.reshape(X.shape) for part in (both / risk.num_examples).unbind(1))
    return H + G, G, H
