"""How far a sum of Kronecker products is from a layer's G: Frobenius norms without a matrix.

With S = Σ_i w_i A_i ⊗ B_i and γ_{n,c'} = vec(Σ_t ε hᵀ),

    ⟨S, S⟩ = Σ_{i,j} w_i w_j ⟨A_i, A_j⟩ ⟨B_i, B_j⟩

    ⟨G, S⟩ = (1/N) Σ_{n,c'} p_{n,c'} γᵀ S γ
           = Σ_i (w_i/N) Σ_n Σ_{t,s} (Σ_{c'} p ε_tᵀ A_i ε_s) (h_tᵀ B_i h_s)

    ⟨G, G⟩ = (1/N²) Σ_{n,c',m,k'} p_{n,c'} p_{m,k'} (γ_{n,c'}ᵀ γ_{m,k'})²
"""

from itertools import combinations_with_replacement

import torch
from torch import Tensor

from hspec.curvature.layers import LayerData
from hspec.linalg.autocast import without_autocast
from hspec.linalg.kronecker import Factor, double, halves, inner_product, kronecker_terms
from hspec.linalg.operator import LinearOperator

ROWS = 512  # of the Gram matrix of all γ, at a time


@without_autocast
def frobenius_error(data: LayerData, approximation: LinearOperator) -> float:
    """‖A − G‖_F / ‖G‖_F of a sum A of Kronecker products, exact up to rounding of a few 1e-8.

    Raises:
        TypeError: for another operator (see `hspec.linalg.kronecker.kronecker_terms`).

    Source: P20, definitions 7.1 and 7.2 (what is compared); the norms are by definition.
    """
    terms = [(w, double(K.A), double(K.B)) for w, K in kronecker_terms(approximation)]
    weights, A, B = zip(*terms, strict=True)
    w = torch.tensor(weights, dtype=torch.float64, device=data.weight.device)
    itself = w @ (_inner_products(A) * _inner_products(B)) @ w
    with_G = w @ torch.stack([_along(data, *pair) for pair in zip(A, B, strict=True)])
    of_G = squared_norm(data)
    return float((of_G - 2 * with_G + itself).clamp(min=0) / of_G) ** 0.5


@without_autocast
def squared_norm(data: LayerData) -> Tensor:
    """‖G‖_F² of the layer's G, from inner products of all γ.   Source: by definition."""
    h, e = data.features.double(), data.weighted_errors.double()
    if h.shape[1] > 1:
        rows = torch.einsum("ncto,nti->ncoi", e, h).flatten(0, 1).flatten(1)
        blocks = (part @ rows.T for part in rows.split(ROWS))
    else:
        h, e = h[:, 0].repeat_interleave(e.shape[1], 0), e.flatten(0, 2)
        parts = zip(e.split(ROWS), h.split(ROWS), strict=True)
        blocks = ((of_e @ e.T) * (of_h @ h.T) for of_e, of_h in parts)
    return sum((block**2).sum() for block in blocks) / len(data.features) ** 2


def _inner_products(factors: tuple[Factor, ...]) -> Tensor:
    """⟨A_i, A_j⟩ (k, k)."""
    k, device = len(factors), factors[0].device
    found = torch.zeros(k, k, dtype=torch.float64, device=device)
    for i, j in combinations_with_replacement(range(k), 2):
        found[i, j] = found[j, i] = inner_product(factors[i], factors[j])
    return found


def _along(data: LayerData, A: Factor, B: Factor) -> Tensor:
    """⟨G, A ⊗ B⟩."""
    h, e = halves(B, data.features.double()), halves(A, data.weighted_errors.double())
    by_errors = torch.einsum("ncto,ncso->nts", *e)
    return (by_errors * torch.einsum("nti,nsi->nts", *h)).sum() / len(data.features)
