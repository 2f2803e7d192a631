"""The exact spectrum of G at small N, from inner products: G = V Vᵀ has the nonzero eigenvalues of
K = Vᵀ V (N·C, N·C).

V's columns are δ_{n,c'} / √N, δ_{n,c'} = √p_{n,c'} J_nᵀ (e_{c'} − p_n). For a linear layer that
sees one feature vector h_n an example, δ is an outer product of the error at its output with h_n,
so its share of K is a Hadamard product,

    (errors' Gram matrix) ∘ (features' Gram matrix + 1 for the bias),

and no Jacobian is formed. Which layers these are is found out (see `engine.observed`), never read
off shapes; every other parameter goes by backward sweeps, one for each column. What comes out is
compared
with products: aᵀ K a = ‖V a‖² for a random a, whose right side is one backward sweep.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from hspec.curvature.classes.levels import WEIGHTINGS, Levels
from hspec.curvature.classes.means import refuse_other_losses
from hspec.curvature.classes.rows import Middle, gradient_rows
from hspec.curvature.classes.streamed_gram import parameter_blocks
from hspec.curvature.engine.memory import gib
from hspec.curvature.engine.observed import affine_layers, observe, trainable
from hspec.curvature.engine.precision import numerics
from hspec.curvature.refusals import refuse_ranks
from hspec.curvature.risk import Risk
from hspec.linalg.autocast import without_autocast

PARTS = {"A1": "class", "A2": "own", "B1": "cross", "B2": "within"}
AGREES = {
    torch.float64: 1e-8,
    torch.float32: 5e-3,
}  # of aᵀKa and ‖Va‖²; examples alone flip ReLUs in float32
COLUMNS = 1 << 16  # of rows converted to float64 at a time


@without_autocast
def exact_gauss_newton_spectrum(
    risk: Risk,
    *,
    without: tuple[str, ...] = (),
    memory_limit: int | None = None,
    check: bool = True,
) -> np.ndarray:
    """Eigenvalues of G that can be nonzero, (N·C,) descending float64; the other p − N·C (if
    positive) are zero.

    N counts the rows of the logits: positions, where an example has several.

    Args:
        without: names among "A1", "A2", "B1", "B2": the exact spectrum of G with those parts
            knocked out, without=("A1",) for G − A1. They are projections of the index set {(n,
            c')}, so K is projected on both sides.
        memory_limit: bytes; None for the risk's memory budget.
        check: compare the Gram matrix with a product by a random vector. False leaves that out.

    Raises:
        MemoryError: with the size needed, above the limit; before anything is computed.
        ValueError: for an unknown part, or parts of a loss that has none (see `class_means`).
        RuntimeError: where the check fails by either route.

    Source: P20's G at small N; Hadamard form from the outer-product structure of layers.

    Example:
        >>> net = nn.Linear(4, 3)
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1]))])
        >>> exact_gauss_newton_spectrum(risk).shape
        (15,)
    """
    return exact_knock_out_spectra(risk, [tuple(without)], memory_limit=memory_limit, check=check)[
        0
    ]


@without_autocast
def exact_knock_out_spectra(
    risk: Risk,
    knock_outs: Sequence[tuple[str, ...]],
    *,
    memory_limit: int | None = None,
    check: bool = True,
) -> list[np.ndarray]:
    """`exact_gauss_newton_spectrum` for each of several ``without``, from one Gram matrix,
    which is what takes long.

    Args:
        risk: whose G it is; in one process.
        knock_outs: for each spectrum the names among "A1", "A2", "B1", "B2" of the parts that are
            left out; () for G itself.
        memory_limit: bytes; None for the risk's memory budget.
        check: compare the Gram matrix with a product by a random vector. False leaves that out.

    Returns:
        The eigenvalues that can be nonzero, (N·C,) descending float64, for each of `knock_outs` in
        their order.

    Raises:
        MemoryError: with the size needed, above the limit; before anything is computed.
        ValueError: for an unknown part, parts of a loss that has none (see `class_means`), or a
            risk that several ranks share.
        RuntimeError: where the check fails by either route.

    Example:
        >>> batch = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        >>> risk = Risk.from_module(torch.nn.Linear(4, 3), [batch], dtype=torch.float64)
        >>> of_G, of_rest = exact_knock_out_spectra(risk, [(), ("A1",)])
        >>> of_A1 = A1(class_means(risk)).eigenvalues()
        >>> bool(abs(of_G.sum() - of_rest.sum() - of_A1.sum()) < 1e-9)  # tr G = tr (G − A1) + tr A1
        True

    Source: P20's G at small N; Hadamard form from the outer-product structure of layers.
    """
    unknown = {name for without in knock_outs for name in without} - set(PARTS)
    if unknown:
        raise ValueError(f"without={sorted(unknown)}: the parts of G are {', '.join(PARTS)}")
    if any(knock_outs):
        refuse_other_losses(risk)
    refuse_ranks(risk.ranks, "the exact spectrum of G")
    limit = risk.memory_budget if memory_limit is None else memory_limit
    with risk.graphs.lock, numerics(risk.device, "exact", recurrent=risk.network.recurrent):
        gram, signs = gauss_newton_gram(risk, limit, check)
    spectra = []
    for without in knock_outs:
        K = gram
        if without:
            log_p = risk.logits().double().log_softmax(1)
            levels, K = Levels.of(risk.labels, log_p, WEIGHTINGS["2020"]), gram.clone()
            for name in without:
                K = _knocked_out(levels, PARTS[name], K)
        spectra.append(_eigenvalues(K, signs))
    return spectra


def _eigenvalues(K: Tensor, signs: Tensor) -> np.ndarray:
    """Of V diag(signs) Vᵀ from K = VᵀV, descending."""
    if bool((signs < 0).any()):  # a loss that is not convex in the outputs
        D, U = torch.linalg.eigh(K)
        root = U * D.clamp(min=0).sqrt()
        K = root.T @ (signs[:, None] * root)
    return torch.linalg.eigvalsh(K).flip(0).cpu().numpy()


def _knocked_out(levels: Levels, level: str, K: Tensor) -> Tensor:
    """(I − P) K (I − P), P the level's orthogonal projection of functions of (n, c');
    K is written into.
    """
    for _ in range(2):  # its rows, then its columns
        for rows in K.split(max(1, COLUMNS // len(K))):
            rows -= levels.project(level, rows.unflatten(1, levels.unit.shape)).flatten(1)
        K = K.T.contiguous()
    return K


def gauss_newton_gram(risk: Risk, limit: int, check: bool) -> tuple[Tensor, Tensor]:
    """K (N·C, N·C) float64, rows (n, c') with n major,
    and the signs s (N·C,) of its columns in G = V diag(s) Vᵀ.
    """
    layers = _linear_layers(risk) if risk.data.is_paired else {}
    _refuse_too_large(risk, list(layers.values()), limit)
    middle = Middle.of(risk)
    found = None
    for trusted in (layers, {}) if layers else ({},):
        K, observed = _hadamard(risk, trusted, middle)
        _refuse_too_large(risk, observed, limit)
        known = {id(q) for layer in observed for q in trainable(layer)}
        others = [q for q in risk.network.parameters if id(q) not in known]
        for block in parameter_blocks(others, len(K), limit - 3 * K.nbytes):
            rows = torch.cat(list(gradient_rows(risk, block, middle.columns)))
            for columns in rows.split(COLUMNS, 1):
                K.addmm_(columns.double(), columns.double().T)
        K /= risk.num_terms
        found = _contradiction(risk, K, middle) if check else None
        if found is None:
            return K, middle.signs
    raise RuntimeError(
        f"the exact spectrum of G contradicts a product with it: {found}. Examples have other "
        "derivatives by "
        "themselves than in their batches; take float64 (dtype=torch.float64), or pass check=False"
    )


def _linear_layers(risk: Risk) -> dict[str, nn.Linear]:
    """Those with parameters in θ."""
    layers = affine_layers(risk.network.module.named_modules())
    return {name: a for name, a in layers.items() if isinstance(a, nn.Linear) and trainable(a)}


def _refuse_too_large(risk: Risk, layers: list[nn.Linear], limit: int) -> None:
    """Raise MemoryError where K, with `layers`' errors or any other parameter's rows,
    is beyond the limit.
    """
    size = risk.logits().numel()
    mine = {id(q) for layer in layers for q in trainable(layer)}
    largest = max((q.nbytes for q in risk.network.parameters if id(q) not in mine), default=0)
    width = sum(sum(layer.weight.shape) for layer in layers)
    # K and its temporaries; the rows of a parameter and their copy, or all errors and features
    needed = 5 * 8 * size**2 + size * max(2 * largest, 8 * width)
    if needed > limit:
        raise MemoryError(
            f"the exact spectrum of G on N={len(risk.logits())} examples and C={risk.num_classes} "
            "classes needs "
            f"{gib(needed)} (a Gram matrix of {size} rows), the limit is {gib(limit)}: "
            "take fewer examples, fewer parameters, or raise memory_limit"
        )


def _hadamard(
    risk: Risk, layers: dict[str, nn.Linear], middle: Middle
) -> tuple[Tensor, list[nn.Linear]]:
    """(the share of K of those layers for which every batch allows it, these layers)."""
    N, C = risk.logits().shape
    K = torch.zeros(N * C, N * C, dtype=torch.float64, device=risk.device)
    errors, features = {name: [] for name in layers}, {name: [] for name in layers}
    for batch in risk.data if layers else ():
        seen, _ = observe(risk.graphs, batch.content[0], layers)
        seen = seen.only(name for name, h in seen.inputs.items() if h.shape[1] == 1)
        layers = seen.layers
        found = seen.errors(middle.columns[:, batch.rows], risk.graphs.block)
        for name in layers:
            errors[name].append(found[name][:, :, 0].transpose(0, 1).flatten(0, 1))
            features[name].append(seen.inputs[name][:, 0])
    for name, layer in layers.items():
        e, h = torch.cat(errors[name]).double(), torch.cat(features[name]).double()
        own = {id(q) for q in trainable(layer)}
        share = (id(layer.weight) in own) * (h @ h.T) + (id(layer.bias) in own)
        K += (e @ e.T).view(N, C, N, C).mul_(share[:, None, :, None]).view_as(K)
    return K, list(layers.values())


def _contradiction(risk: Risk, K: Tensor, middle: Middle) -> str | None:
    """What the comparison of K with a product says against it; None if nothing."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(len(K), generator=generator, dtype=torch.float64).to(K.device)
    C = len(middle.columns)
    U = torch.einsum("ni,inc->nc", a.view(-1, C).to(middle.columns), middle.columns)
    row = (1, risk.num_parameters)
    z = risk.graphs.sum(lambda graph: graph.jacobian_transpose(U[None, graph.rows]), row)
    product = float(torch.linalg.vector_norm(z, dtype=torch.float64)) ** 2 / risk.num_terms
    found = float(a @ (K @ a))
    if abs(found - product) <= AGREES[risk.dtype] * product:
        return None
    return f"aᵀ K a = {found:.6g} for a random a, where ‖V a‖² = {product:.6g}"
