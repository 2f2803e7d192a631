"""The Hessian and its two parts as operators.

Hess = ∂²L/∂θ² = G + H,    G = (1/W) Σ Jᵀ M J,    H = (1/W) Σ_k z_k ∂²f_k/∂θ²,

with z and M the first and second derivative of the loss in the outputs f. For the cross-entropy
z = p − y and M = diag p − p pᵀ.
"""

from collections.abc import Callable

from torch import Tensor

from hspec.curvature.engine.batch_graph import BatchGraph
from hspec.curvature.risk import Risk
from hspec.linalg.autocast import without_autocast
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
    """Hess = ∂²L/∂θ² (p, p).

    Of any loss. Its units are those of the loss (nats for a cross-entropy) over θ's squared. A
    product is one backward sweep through the graphs of the gradient; no matrix is formed.

    Raises:
        ValueError: at the first product, where differences contradict the derivatives (see
            `Risk.checks`) or the outputs do not depend on θ.

    Example:
        >>> net, x = torch.nn.Linear(2, 1, bias=False), torch.tensor([[1.0, 2.0]])
        >>> risk = Risk.from_module(net, [(x, torch.zeros(1, 1))], loss=torch.nn.MSELoss())
        >>> hessian(risk).to_dense()  # of (θ·x)²: 2 x xᵀ
        tensor([[2., 4.],
                [4., 8.]])

    Source: P20, section 2.
    """
    return Summed(risk, "Hess", BatchGraph.hess)


def gauss_newton(risk: Risk) -> LinearOperator:
    """G = (1/N) Σ_n J_nᵀ (diag p_n − p_n p_nᵀ) J_n (p, p), the softmax model's Fisher information.

    That is G for the cross-entropy of one label an example. In general it is
    (1/W) Σ_n J_nᵀ M_n J_n, M_n the second derivative of the loss in the outputs, and is the Fisher
    information for some losses only. J_n (C, p) is the derivative of the n-th outputs in θ. Units
    as for `hessian`.

    Raises:
        ValueError: at the first product, where differences contradict the derivatives (see
            `Risk.checks`), the outputs do not depend on θ, or the loss is no function of the
            outputs alone.

    Example:
        >>> net = torch.nn.Linear(1, 2, bias=False)
        >>> _ = torch.nn.init.zeros_(net.weight)  # so that p = (1/2, 1/2)
        >>> risk = Risk.from_module(net, [(torch.ones(1, 1), torch.tensor([0]))])
        >>> gauss_newton(risk).to_dense()
        tensor([[ 0.2500, -0.2500],
                [-0.2500,  0.2500]])

    Source: P20, section 2.
    """
    return Summed(risk, "G", BatchGraph.gauss_newton)


def residual(risk: Risk) -> LinearOperator:
    """H = Hess − G = (1/N) Σ_n Σ_k (p_n − y_n)_k ∂²f_k(x_n; θ)/∂θ² (p, p), computed by itself.

    That is H for the cross-entropy of one label an example; in general p_n − y_n is z_n, the first
    derivative of the loss in the outputs, and N is W. It is zero for a net that is linear in θ.
    Units as for `hessian`.

    Raises:
        ValueError: as for `gauss_newton`.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> batch = torch.randn(5, 4), torch.tensor([0, 1, 1, 0, 1])
        >>> risk = Risk.from_module(net, [batch], dtype=torch.float64)
        >>> v = torch.randn(risk.num_parameters, dtype=torch.float64)
        >>> torch.allclose(residual(risk) @ v, (hessian(risk) - gauss_newton(risk)) @ v)
        True

    Source: P20, section 2.
    """
    return Summed(risk, "H", BatchGraph.residual)


@without_autocast
def split_product(risk: Risk, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(Hess X, G X, H X) for X (p,) or (p, k), in one go over the data: cheaper than two products.

    Args:
        risk: whose Hess, G and H = Hess − G they are.
        X: a vector (p,) or a block of columns (p, k), of the risk's dtype and device.

    Returns:
        Three tensors of X's shape, with Hess X = G X + H X.

    Raises:
        ValueError: for X of another shape, dtype or device; and what `gauss_newton` raises at its
            products.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> batch = torch.randn(5, 4), torch.tensor([0, 1, 1, 0, 1])
        >>> risk = Risk.from_module(net, [batch], dtype=torch.float64)
        >>> v = torch.randn(risk.num_parameters, dtype=torch.float64)
        >>> of_hessian, of_G, of_H = split_product(risk, v)
        >>> torch.allclose(of_hessian, hessian(risk) @ v), torch.allclose(of_H, residual(risk) @ v)
        (True, True)

    Source: P20, section 2.
    """
    hessian(risk)._check(X, "multiplied by")
    if not X.numel():
        return X.clone(), X.clone(), X.clone()
    V = X.reshape(len(X), -1).T.contiguous()
    both = risk.graphs.apply(BatchGraph.split, V, (len(V), 2, risk.num_parameters)) / risk.num_terms
    H, G = (part.T.reshape(X.shape) for part in both.unbind(1))
    return H + G, G, H
