"""The exact spectrum of G at small N, from inner products: G = V Vᵀ has the nonzero eigenvalues of K = Vᵀ V (N·C, N·C).

V's columns are δ_{n,c'} / √N, δ_{n,c'} = √p_{n,c'} J_nᵀ (e_{c'} − p_n). For a linear layer that sees one
feature vector h_n an example, δ is an outer product of the error at its output with h_n, so its share of K is a
Hadamard product,

    (errors' Gram matrix) ∘ (features' Gram matrix + 1 for the bias),

and no Jacobian is formed. Every other parameter goes by chunks of per-example gradients.
"""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from hspec.curvature.classes.levels import Levels
from hspec.curvature.classes.means import class_means
from hspec.curvature.engine.batch_graph import pull_back
from hspec.curvature.engine.memory import gib
from hspec.curvature.engine.precision import numerics
from hspec.curvature.risk import Risk
from hspec.curvature.softmax import Softmax

PARTS = {"A1": "class", "A2": "own", "B1": "cross", "B2": "within"}


def exact_gauss_newton_spectrum(
    risk: Risk, *, without: tuple[str, ...] = (), memory_limit: int | None = None
) -> np.ndarray:
    """Eigenvalues of G that can be nonzero, (N·C,) descending float64; the other p − N·C (if positive) are zero.

    without: names among "A1", "A2", "B1", "B2": the exact spectrum of G with those parts knocked out,
        without=("A1",) for G − A1. They are projections of the index set {(n, c')}, so K is projected on both sides.
    memory_limit: bytes; None for the risk's memory budget. Raises MemoryError, with the size needed, above it.

    Source: P20's G at small N; Hadamard form from the outer-product structure of layers.
    """
    return exact_knock_out_spectra(risk, [tuple(without)], memory_limit=memory_limit)[0]


def exact_knock_out_spectra(
    risk: Risk, knock_outs: Sequence[tuple[str, ...]], *, memory_limit: int | None = None
) -> list[np.ndarray]:
    """`exact_gauss_newton_spectrum` for each of several ``without``, from one Gram matrix, which is what takes long."""
    unknown = {name for without in knock_outs for name in without} - set(PARTS)
    if unknown:
        raise ValueError(f"without={sorted(unknown)}: the parts of G are {', '.join(PARTS)}")
    limit = risk.memory_budget if memory_limit is None else memory_limit
    with numerics(risk.device, "exact"):
        gram = gauss_newton_gram(risk, limit)
    means = class_means(risk) if any(knock_outs) else None
    spectra = []
    for without in knock_outs:
        K = gram
        for name in without:
            K = _knocked_out(means.levels, PARTS[name], K)
        spectra.append(torch.linalg.eigvalsh(K).flip(0).cpu().numpy())
    return spectra


def gauss_newton_gram(risk: Risk, limit: int) -> Tensor:
    """K (N·C, N·C) float64, rows (n, c') with n major."""
    layers = _plain_linear_layers(risk) if risk.independent else {}
    hadamard = {id(q) for layer in layers.values() for q in layer.parameters(recurse=False)}
    others = [q for q in risk.network.parameters if id(q) not in hadamard]
    _refuse_too_large(risk, others, layers, limit)
    U = _root_middle(risk)
    size = risk.num_examples * risk.num_classes
    K = torch.zeros(size, size, dtype=torch.float64, device=risk.device)
    if layers:
        for errors, features, has_bias in _errors_and_features(risk, layers, U):
            share = features @ features.T + has_bias
            K += (errors @ errors.T) * share.repeat_interleave(U.shape[0], 0).repeat_interleave(U.shape[0], 1)
    for block in _blocks(others, size, limit - 3 * K.nbytes):
        rows = torch.cat(list(_gradient_rows(risk, block, U)))
        for columns in rows.split(1 << 16, 1):
            K += columns.double() @ columns.double().T
    return K / risk.num_examples


def _root_middle(risk: Risk) -> Tensor:
    """√p_{n,c'} (e_{c'} − p_n), as (c', n, C)."""
    softmax = Softmax.of(risk.logits())
    eye = torch.eye(risk.num_classes, dtype=risk.dtype, device=risk.device)
    return softmax.spread(eye[:, None, :] * softmax.p.sqrt())


def _refuse_too_large(risk: Risk, others: list[Tensor], layers: dict[str, nn.Linear], limit: int) -> None:
    size = risk.num_examples * risk.num_classes
    largest = max((q.nbytes for q in others), default=0)
    widest = max((sum(layer.weight.shape) for layer in layers.values()), default=0)
    needed = 5 * 8 * size**2 + size * max(
        2 * largest, 8 * widest
    )  # K and its temporaries; rows and their copy
    if needed > limit:
        raise MemoryError(
            f"the exact spectrum of G on N={risk.num_examples} examples and C={risk.num_classes} classes needs "
            f"{gib(needed)} (a Gram matrix of {size} rows), the limit is {gib(limit)}: "
            "take fewer examples, fewer parameters, or raise memory_limit"
        )


def _linear_parameters(risk: Risk) -> list[tuple[Tensor, nn.Linear]]:
    """(parameter, its layer), for parameters of θ that belong to one plain nn.Linear and to nothing else."""
    named = [q for _, q in risk.network.module.named_parameters(remove_duplicate=False)]
    uses = {id(q): sum(other is q for other in named) for q in risk.network.parameters}
    return [
        (q, layer)
        for layer in risk.network.module.modules()
        if type(layer) is nn.Linear and isinstance(layer._parameters.get("weight"), nn.Parameter)
        for q in layer.parameters(recurse=False)
        if uses.get(id(q)) == 1
    ]


def _plain_linear_layers(risk: Risk) -> dict[str, nn.Linear]:
    """Linear layers, wholly in θ, that one pass calls once, on one feature vector (n, d) an example."""
    candidates = {id(layer): [] for _, layer in _linear_parameters(risk)}
    for q, layer in _linear_parameters(risk):
        candidates[id(layer)].append(q)
    layers = {
        name: layer
        for name, layer in risk.network.module.named_modules()
        if len(candidates.get(id(layer), [])) == len(list(layer.parameters(recurse=False))) > 0
    }
    x, _ = next(iter(risk.data)).content
    with _recording(layers) as calls, torch.no_grad():
        risk.network.module(x)
    return {
        name: layer
        for name, layer in layers.items()
        if len(calls[name]) == 1 and calls[name][0][0].shape == (len(x), layer.in_features)
    }


@contextlib.contextmanager
def _recording(layers: dict[str, nn.Linear]):
    """Records (input, output) of every call; what flows on is a copy, so that in-place activations spare the output."""
    calls = {name: [] for name in layers}

    def hook_for(name):
        def hook(_, inputs, output):
            calls[name].append((inputs[0].detach(), output))
            return output.clone()

        return hook

    hooks = [layer.register_forward_hook(hook_for(name)) for name, layer in layers.items()]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _errors_and_features(
    risk: Risk, layers: dict[str, nn.Linear], U: Tensor
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """For each layer: errors (N·C, d_out), rows (n, c'); features (N, d_in); and 1 if it has a bias; float64."""
    errors, features = {name: [] for name in layers}, {name: [] for name in layers}
    start = 0
    for x, y in (batch.content for batch in risk.data):
        with _recording(layers) as calls:
            logits = risk.network.module(x)
        outputs = [calls[name][0][1] for name in layers]
        cotangents = U[:, start : start + len(y)]
        start += len(y)
        found = torch.autograd.grad(logits, outputs, cotangents, is_grads_batched=True)
        for name, error in zip(layers, found, strict=True):
            errors[name].append(error.transpose(0, 1).flatten(0, 1).double())
            features[name].append(calls[name][0][0].double())
    for name, layer in layers.items():
        yield torch.cat(errors[name]), torch.cat(features[name]), float(layer.bias is not None)


def _blocks(parameters: list[Tensor], num_rows: int, room: int) -> Iterator[list[Tensor]]:
    block, size = [], 0
    for q in parameters:
        if block and 2 * num_rows * (size + q.nbytes) > room:
            yield block
            block, size = [], 0
        block, size = [*block, q], size + q.nbytes
    if block:
        yield block


def _gradient_rows(risk: Risk, block: list[Tensor], U: Tensor) -> Iterator[Tensor]:
    """Rows (n, c'): √p_{n,c'} J_nᵀ (e_{c'} − p_n), on the parameters of `block`, in pieces."""
    if not risk.independent:
        yield from _rows_by_sweeps(risk, block, U)
        return
    names = {id(q): name for name, q in risk.network.module.named_parameters()}
    theta = {names[id(q)]: q.detach() for q in block}

    def of_example(x, u):  # u (C, C)
        _, pull = vjp(lambda t: functional_call(risk.network.module, t, (x[None],))[0], theta)
        return torch.cat([g.flatten(1) for g in vmap(pull)(u)[0].values()], 1)

    start = 0
    for x, y in (batch.content for batch in risk.data):
        with torch.no_grad():  # outside of vjp: the other parameters, not in `theta`, record nothing
            rows = vmap(of_example, in_dims=(0, 1), chunk_size=32)(x, U[:, start : start + len(y)])
        start += len(y)
        yield rows.flatten(0, 1)


def _rows_by_sweeps(risk: Risk, block: list[Tensor], U: Tensor) -> Iterator[Tensor]:
    """The same where examples are coupled by batch statistics: one cotangent for each (n, c')."""
    for graph in risk.graphs:
        u = U[:, graph.rows].transpose(0, 1)  # (n, c', C)
        for n in range(len(u)):
            cotangents = torch.zeros(len(u[n]), *graph.outputs.shape, dtype=u.dtype, device=u.device)
            cotangents[:, n] = u[n]
            yield pull_back(graph.outputs, block, cotangents, graph.switches)


def _knocked_out(levels: Levels, level: str, K: Tensor) -> Tensor:
    """(I − P) K (I − P), P the level's orthogonal projection of functions of (n, c')."""
    for _ in range(2):  # K is symmetric: its rows, then its columns
        tables = K.view(len(K), *levels.unit.shape)
        K = (K - levels.project(level, tables).flatten(1)).T.contiguous()
    return K
