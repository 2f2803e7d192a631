"""A layer's Gauss-Newton matrix, and what Kronecker products make of it: KFAC, CFAC and their kin.

With features h and errors ε of `layers`, H_n = Σ_t h hᵀ and D_n = (1/T) Σ_t Σ_{c'} p_{n,c'} ε εᵀ,

    G     = (1/N) Σ_{n,c'} p_{n,c'} γ γᵀ,  γ_{n,c'} = vec(Σ_t ε hᵀ)     = mean_n D_n ⊗ H_n for T = 1
    KFAC  = Δ ⊗ H,                the product of the means over n
    CFAC  = Σ_c π_c Δ_c ⊗ H_c,    means taken within classes           = (1/C) Σ_c for balanced ones

in the order in which torch flattens a weight (d_out, d_in). So CFAC − KFAC = Σ_c π_c (Δ_c − Δ) ⊗
(H_c − H), the covariance of the factors between classes, and G − CFAC (T = 1) is that within
classes.
"""

import numpy as np
import torch
from torch import Tensor

from hspec.curvature.engine.memory import ANY_BUDGET, ask
from hspec.curvature.layers import LayerData, error_moment, feature_moment
from hspec.linalg.autocast import without_autocast
from hspec.linalg.kronecker import Kronecker, entries, outer_products
from hspec.linalg.operator import LinearOperator

TOLERANCE, MAX_STEPS = (
    1e-14,
    10_000,
)  # of the singular value's growth in a step of the power iteration


@without_autocast
def kfac(data: LayerData) -> Kronecker:
    """KFAC = Δ ⊗ H (p_l, p_l); its eigenvalues are exact products of the factors'.

    For convolutions features are summed and errors averaged over positions (our extension; it is
    the KFC of Grosse and Martens 2016).

    Args:
        data: of one layer, from `layer_data`; p_l = d_out d_in.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> K = kfac(layer_data(risk)[""])  # a net that is one layer, which has no name
        >>> K.shape, K.A.shape, K.B.shape
        ((12, 12), torch.Size([3, 3]), torch.Size([4, 4]))

    Source: P20, definition 7.1; Martens and Grosse 2015.
    """
    return _product(data, error_moment(data), feature_moment(data), f"KFAC[{data.name}]")


@without_autocast
def cfac(data: LayerData) -> LinearOperator:
    """CFAC = Σ_c π_c Δ_c ⊗ H_c (p_l, p_l), means within classes; (1/C) Σ_c where classes are
    balanced.

    With one example a class it is the layer's G itself, for T = 1.

    Args:
        data: of one layer, from `layer_data`; p_l = d_out d_in.

    Raises:
        MemoryError: where the factors of all classes do not fit in the risk's memory budget.

    Example:
        >>> batch = torch.randn(3, 4), torch.tensor([0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> data, v = layer_data(risk)[""], torch.randn(12, dtype=torch.float64)
        >>> torch.allclose(cfac(data) @ v, layer_gauss_newton(data) @ v)
        True

    Source: P20, definition 7.2 ("class-distinct factorized approximate curvature").
    """
    (N, C), T = data.log_probabilities.shape, data.features.shape[1]
    _ask(data, [(C * rows, rows) for rows in data.error_levels.counts.tolist()])
    terms = []
    for c in data.classes:
        rows = data.risk.labels == c
        n = int(rows.sum())
        errors = outer_products(data.weighted_errors[rows].flatten(0, 2), 1 / (n * T))
        features = outer_products(data.features[rows].flatten(0, 1), 1 / n)
        terms.append(n / N * Kronecker(errors, features, f"KFAC[{data.name}, {int(c)}]"))
    return _sum(data, terms, f"CFAC[{data.name}]")


@without_autocast
def cross_class_factors(data: LayerData) -> LinearOperator:
    """Σ_{c,c'} (p_{c,c'}/N) Δ_{c,c'} ⊗ H_{c,c'} (p_l, p_l), means over class c weighted by
    p_{n,c'}: C² products.

    Pairs factors by cross-class, where CFAC pairs them by class. Not in the papers: ours.

    Source: ours, after P20, definition 7.2.
    """
    (N, C), T = data.log_probabilities.shape, data.features.shape[1]
    _ask(data, [(rows, rows) for rows in data.error_levels.counts.tolist() for _ in range(C)])
    terms = []
    for c in data.classes:
        rows = data.risk.labels == c
        for label in range(C):
            log_p = data.log_probabilities[rows, label]
            weight = float(log_p.exp().sum())
            root = ((log_p - log_p.logsumexp(0)) / 2).exp()[:, None, None]
            errors = outer_products((root * data.errors[rows, label]).flatten(0, 1), 1 / T)
            features = outer_products((root * data.features[rows]).flatten(0, 1))
            name = f"KFAC[{data.name}, {int(c)}, {label}]"
            terms.append(weight / N * Kronecker(errors, features, name))
    return _sum(data, terms, f"cross-class KFAC[{data.name}]")


@without_autocast
def best_kronecker(data: LayerData) -> Kronecker:
    """The single product A ⊗ B (p_l, p_l) nearest to the layer's G in the Frobenius norm.

    The leading singular pair of G's rearrangement (d_out² by d_in²), which is not formed: by power
    iteration from KFAC's Δ, A = (1/N) Σ_{n,c'} p ε (hᵀ B h) εᵀ and B = (1/N) Σ_{n,c'} p h (εᵀ A ε)
    hᵀ in
    turn. Not in the papers: ours.

    Raises:
        RuntimeError: where the iteration has not settled.

    Source: Van Loan and Pitsianis 1993.
    """
    h, e = data.features.double(), data.weighted_errors.double()
    A, sigma = error_moment(data), 0.0
    for _ in range(MAX_STEPS):
        A = A / torch.linalg.matrix_norm(A)
        seen_by_A = torch.einsum("ncto,ncso->nts", e @ A, e)
        B = torch.einsum("nti,ntj->ij", h, seen_by_A @ h) / len(h)
        before, sigma = sigma, float(torch.linalg.matrix_norm(B))
        if abs(sigma - before) <= TOLERANCE * sigma:
            A, B = ((M + M.T) / 2 for M in (A, B))
            return _product(data, A, B, f"best A ⊗ B[{data.name}]")
        B = B / sigma
        seen_by_B = torch.einsum("nti,nsi->nts", h @ B, h)
        A = torch.einsum("ncto,nctp->op", e, seen_by_B[:, None] @ e) / len(h)
    raise RuntimeError(
        f"the best Kronecker product of layer {data.name!r} has not settled in {MAX_STEPS} steps"
    )


class LayerGaussNewton(LinearOperator):
    """The block of G of a layer's weight, from its features and errors;
    made by `layer_gauss_newton`.
    """

    def __init__(self, data: LayerData) -> None:
        self.features, self.errors = data.features, data.weighted_errors  # √p ε
        self.d_out, self.d_in = self.errors.shape[3], self.features.shape[2]
        self.num_columns = self.errors.shape[0] * self.errors.shape[1]
        self.budget = max(data.risk.memory_budget, ANY_BUDGET)
        size = self.d_out * self.d_in
        name, of = f"G[{data.name}]", data.features
        super().__init__(size, of.dtype, of.device, name, exact=_exact(data))

    def _matmat(self, X: Tensor) -> Tensor:
        V = X.T.reshape(-1, self.d_out, self.d_in)
        s = torch.einsum(
            "ncto,knto->knc", self.errors, torch.einsum("koi,nti->knto", V, self.features)
        )
        back = torch.einsum("knc,ncto->knto", s, self.errors)
        return torch.einsum("knto,nti->koi", back, self.features).flatten(1).T / len(self.features)

    @without_autocast
    def eigenvalues(self) -> np.ndarray:
        """The min(N·C, p_l) eigenvalues that can be nonzero, descending, float64: exact, by the
        smaller Gram matrix.

        Raises:
            MemoryError: where that does not fit in the risk's memory budget.
        """
        size = min(self.num_columns, self.shape[0])
        remedy = "take fewer examples, raise Risk.from_module(memory_budget=…), or use slq or eigsh"
        ask(
            3 * 8 * size**2,
            self.budget,
            f"the exact eigenvalues of {self}, a matrix of {size} rows,",
            remedy,
        )
        K = torch.zeros(size, size, dtype=torch.float64, device=self.device)
        by_examples = size < self.num_columns
        for rows in self._pieces(by_examples):
            K.addmm_(*((rows.T, rows) if by_examples else (rows, rows.T)))
        return torch.linalg.eigvalsh(K / len(self.features)).flip(0).cpu().numpy()

    def _pieces(self, by_examples: bool):
        """γ √p as rows (N·C, p_l), float64, a few examples at a time,
        or a few output coordinates.
        """
        bytes_of_all = 8 * self.num_columns * self.shape[0]
        pieces = max(1, -(-4 * bytes_of_all // self.budget))
        if by_examples:
            chunks = zip(self.errors.chunk(pieces), self.features.chunk(pieces), strict=True)
        else:
            chunks = ((e, self.features) for e in self.errors.chunk(pieces, 3))
        for e, h in chunks:
            yield torch.einsum("ncto,nti->ncoi", e.double(), h.double()).flatten(0, 1).flatten(1)


@without_autocast
def layer_gauss_newton(data: LayerData) -> LayerGaussNewton:
    """G^l = (1/N) Σ_{n,c'} p_{n,c'} γ γᵀ (p_l, p_l), γ_{n,c'} = vec(Σ_t ε hᵀ): the exact block of
    the layer's weight.

    The same matrix as the weight's block of `blocks(risk, by=lambda name: name)`, whose products go
    through the net; these go through features and errors, and its spectrum is exact:
    `.eigenvalues()`.

    Args:
        data: of one layer, from `layer_data`; p_l = d_out d_in, in the order in which torch
            flattens the weight.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> A, v = layer_gauss_newton(layer_data(risk)[""]), torch.randn(12, dtype=torch.float64)
        >>> block = blocks(risk, by=lambda name: name).gauss_newton("weight")
        >>> torch.allclose(A @ v, block @ v)
        True

    Source: P20, equations 7.3 to 7.8.
    """
    return LayerGaussNewton(data)


def _product(data: LayerData, A: Tensor, B: Tensor, name: str) -> Kronecker:
    """A ⊗ B in the risk's dtype, and as exact as the risk's products."""
    A, B = (M.to(data.features.dtype) for M in (A, B))
    return Kronecker(A, B, name, exact=_exact(data))


def _sum(data: LayerData, terms: list[LinearOperator], name: str) -> LinearOperator:
    """Their sum, likewise; no digits are lost in it, since no term is negative."""
    total = sum(terms[1:], terms[0]).named(name)
    total.exact = _exact(data)
    return total


def _exact(data: LayerData) -> bool:
    return data.risk.precision == "exact"


def _ask(data: LayerData, rows: list[tuple[int, int]]) -> None:
    """Of every product: how many rows its two factors are sums over."""
    d_out, d_in = data.errors.shape[3], data.features.shape[2]
    needed = sum(entries(of_e, d_out) + entries(of_h, d_in) for of_e, of_h in rows)
    what = f"{len(rows)} pairs of factors of layer {data.name!r}"
    remedy = "raise Risk.from_module(memory_budget=…)"
    ask(needed * data.features.dtype.itemsize, data.risk.memory_budget, what, remedy)
