"""A matrix seen in other units: D A D."""

import torch

from hspec.linalg.operator import LinearOperator, Wrapper, aslinearoperator


class Scaled(Wrapper):
    """D A D, D = diag(d); made by `scaled`."""

    def __init__(self, A: LinearOperator, d: torch.Tensor) -> None:
        super().__init__(f"D {A.name} D", A)
        self.d = d[:, None]

    def _matmat(self, X: torch.Tensor) -> torch.Tensor:
        return self.d * self.parts[0]._matmat(self.d * X)


def scaled(A: LinearOperator | torch.Tensor, d: torch.Tensor) -> LinearOperator:
    """D A D with D = diag(d): the curvature that an optimiser with a step of its own for each
    weight sees.

    A step P g with a diagonal P > 0 is a gradient step in the coordinates P^(−1/2) θ, in which the
    Hessian is P^(1/2) Hess P^(1/2): so d = P^(1/2). For Adam P is 1/(√v̂ + ε), and the largest
    eigenvalue times the learning rate is what must stay below 2(1 + β₁)/(1 − β₁).

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p).
        d: (p,) finite factors of A's dtype and device.

    Raises:
        ValueError: d does not fit, or is not finite; or A is deflated, for the complement of its
            vectors is not that of D A D's: scale first, then deflate.

    Example:
        >>> A = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
        >>> scaled(A, torch.tensor([1.0, 10.0])).to_dense()
        tensor([[  2.,  10.],
                [ 10., 200.]])

    Source: Cohen et al. 2022, Adaptive gradient methods at the edge of stability (preconditioned
    sharpness).
    """
    A = aslinearoperator(A)
    A._check(d, "scaled by")
    if d.ndim != 1 or not torch.isfinite(d).all():
        raise ValueError(
            f"d is a vector ({A.shape[0]},) of finite factors; got shape {tuple(d.shape)}."
        )
    if A.removed_basis is not None:
        raise ValueError(f"{A} is deflated: scale first, then deflate.")
    return Scaled(A, d.detach())
