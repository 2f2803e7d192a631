"""A layer in coordinates of the spans of its features and errors: few, where examples are few.

γ = vec(Σ_t ε hᵀ) lies in span{ε} ⊗ span{h}, and so do the eigenvectors with nonzero eigenvalues of
G and of every sum of Kronecker products whose factors are sums over examples: N C T by N T
coordinates at most, however wide the layer is. It is a rotation, which changes no norm, trace,
angle or nonzero eigenvalue.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hspec.curvature.layers import LayerData
from hspec.linalg.kronecker import Embedded
from hspec.linalg.operator import LinearOperator


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Made by `coordinates`.

    Attributes:
        data: the layer with features h Q and errors ε P, and the weight Pᵀ W Q.
        shape: (d_out, d_in) of the layer itself.
        P, Q: orthonormal columns (d_out, r), (d_in, s) whose spans hold all errors and all
            features; None where there are no fewer of those than coordinates.
    """

    data: LayerData
    shape: tuple[int, int]
    P: Tensor | None
    Q: Tensor | None

    def embedded(self, A: LinearOperator) -> LinearOperator:
        """An operator in these coordinates as one of the layer's own weight, (p_l, p_l)."""
        if self.P is None and self.Q is None:
            return A
        return Embedded(A, self.shape, self.P, self.Q)


def coordinates(data: LayerData) -> Coordinates:
    """The layer in min(d_out, N C T) by min(d_in, N T) coordinates; unchanged where these are no
    fewer.

    Example:
        >>> from hspec.curvature import Risk, layer_data
        >>> net = torch.nn.Linear(50, 40)
        >>> risk = Risk.from_module(net, [(torch.ones(3, 50), torch.tensor([0, 1, 1]))])
        >>> coordinates(layer_data(risk, "")[""]).data
        LayerData(, 3 → 40, N=3, C=40)
    """
    P, Q = _basis(data.errors.flatten(0, 2)), _basis(data.features.flatten(0, 1))
    here = replace(
        data,
        features=_rotated(data.features, Q),
        errors=_rotated(data.errors, P),
        weight=_rotated(_rotated(data.weight, Q).T, P).T,
    )
    return Coordinates(here, tuple(data.weight.shape), P, Q)


def _basis(rows: Tensor) -> Tensor | None:
    """Orthonormal columns whose span holds all rows (r, d); None where r ≥ d."""
    r, d = rows.shape
    return None if r >= d else torch.linalg.qr(rows.double().T).Q.to(rows)


def _rotated(rows: Tensor, Q: Tensor | None) -> Tensor:
    return rows if Q is None else (rows.double() @ Q.double()).to(rows)
