"""The Hessian and its two parts as operators.

Hess = ∂²L/∂θ² = G + H,    G = (1/W) Σ Jᵀ M J,    H = (1/W) Σ_k z_k ∂²f_k/∂θ²,

with z and M the first and second derivative of the loss in the outputs f. For the cross-entropy
z = p − y and M = diag p − p pᵀ.
"""

from collections.abc import Callable

from torch import Tensor

from hspec.curvature.engine.batch_graph import BatchGraph
from hspec.curvature.risk import Risk
from hspec.linalg.operator import LinearOperator


class RiskOperator(LinearOperator):
    """A matrix made of derivatives of a risk, p-by-p by default;
    `exact` is False where its precision is "fast".
    """

    def __init__(self, risk: Risk, name: str, dimension: int | None = None) -> None:
        exact, p = risk.precision == "exact", dimension or risk.num_parameters
        super().__init__(p, risk.dtype, risk.device, name, exact=exact)
        self.risk, self.ranks = risk, risk.ranks

    def __repr__(self) -> str:
        facts = f"p={self.shape[0]}, N={self.risk.num_examples}, {self.risk.graphs}"
        return f"{self.name}({facts})"

    def diagnosis(self) -> str:
        """What the risk's checks have found (see `Risk.checks`)."""
        if not self.risk.check:
            return (
                "The risk was made with check=False: without it, derivatives are compared with "
                "differences first."
            )
        found = "; ".join(f"the {kind} {said}" for kind, said in self.risk.checks.items())
        return (
            f"Of the net's derivatives, {found}. If a layer is at fault, parameters=… finds it "
            "block by block."
        )


class Summed(RiskOperator):
    """(1/W) Σ over batches of what a graph gives for rows of vectors."""

    def __init__(
        self,
        risk: Risk,
        name: str,
        product: Callable[[BatchGraph, Tensor], Tensor],
        dimension: int | None = None,
    ) -> None:
        super().__init__(risk, name, dimension)
        self.product = product

    def _matmat(self, X: Tensor) -> Tensor:
        risk = self.risk
        return risk.graphs.apply(self.product, X.T.contiguous()).div_(risk.num_terms).T


def hessian(risk: Risk) -> LinearOperator:
    """Hess = ∂²L/∂θ² (p, p).  Source: P20, section 2."""
    return Summed(risk, "Hess", BatchGraph.hess)


def gauss_newton(risk: Risk) -> LinearOperator:
    """G = (1/N) Σ_n J_nᵀ (diag p_n − p_n p_nᵀ) J_n (p, p), the softmax model's Fisher information.

    Source: P20, section 2.
    """
    return Summed(risk, "G", BatchGraph.gauss_newton)


def residual(risk: Risk) -> LinearOperator:
    """H = Hess − G = (1/N) Σ_n Σ_k (p_n − y_n)_k ∂²f_k(x_n; θ)/∂θ² (p, p), computed by itself.

    Source: P20, section 2.
    """
    return Summed(risk, "H", BatchGraph.residual)


def split_product(risk: Risk, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(Hess X, G X, H X) for X (p,) or (p, k), in one go over the data: cheaper than two products.

    Raises ValueError for X of another shape, dtype or device.
    """
    hessian(risk)._check(X, "multiplied by")
    V = X.reshape(len(X), -1).T.contiguous()
    both = risk.graphs.apply(BatchGraph.split, V, (len(V), 2, risk.num_parameters)) / risk.num_terms
    H, G = (part.T.reshape(X.shape) for part in both.unbind(1))
    return H + G, G, H
