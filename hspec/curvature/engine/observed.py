"""Affine layers y = W h + b observed in a forward pass: their inputs, and the errors at their
outputs.

An error is the derivative of the network's outputs in y. Where a layer's rows are the examples, and
its weight is used there and nowhere else, the derivative of one example's outputs in W is Σ_t e_t
h_tᵀ, over
the positions t of that example: no Jacobian is needed. Neither is taken on trust, from a layer's
type or
from shapes that happen to fit: both are tried out on the batch itself, with random cotangents u,
which no other layer passes.

    ∂⟨u, f⟩/∂W = Σ_n Σ_t e_{n,t} h_{n,t}ᵀ              the weight's only use
    u = 0 on example n  ⇒  e_n = 0                      its rows are the examples

Both sides are linear in u, so that one random u decides the first; the second is tried on sets of
examples of which none contains another, so that every pair of examples is told apart.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hspec.curvature.engine.batch_graph import pull_back
from hspec.curvature.engine.graphs import Graphs
from hspec.curvature.engine.switches import Switches

EXACT = {torch.float64: 1e-10, torch.float32: 1e-4}  # of ∂⟨u, f⟩/∂W, relative to its size
LEAK = 100  # roundings of the largest error that rows of other examples may have


@dataclass(frozen=True)
class Observation:
    """A forward pass on one batch: the outputs f (n, C), and what each layer was given and gave.

    inputs: (n, T, d_in), positions T an example; outputs: as the layer gave them, with their graph.
    """

    f: Tensor
    switches: Switches
    layers: dict[str, nn.Module]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    def only(self, names: Iterable[str]) -> "Observation":
        """Of these layers alone."""
        names = list(names)
        layers, inputs, outputs = (
            {name: of[name] for name in names} for of in (self.layers, self.inputs, self.outputs)
        )
        return Observation(self.f, self.switches, layers, inputs, outputs)

    def errors(self, U: Tensor, block: int) -> dict[str, Tensor]:
        """Σ_n of the derivatives of ⟨U_n, f_n⟩ in each layer's output, for U (k, n, C):
        (k, n, T, d_out).
        """
        if not self.outputs:
            return {}
        outputs = list(self.outputs.values())
        found = torch.cat([pull_back(self.f, outputs, u, self.switches) for u in U.split(block)])
        pieces = found.split([y.numel() for y in outputs], 1)
        return {
            name: _by_position(self.layers[name], piece.unflatten(1, y.shape))
            for (name, y), piece in zip(self.outputs.items(), pieces, strict=True)
        }


def affine_layers(modules: Iterable[tuple[str, nn.Module]]) -> dict[str, nn.Module]:
    """Those of them that are y = W h + b by their type: linear layers,
    plain two-dimensional convolutions.
    """
    return {name: module for name, module in modules if _is_affine(module)}


def _is_affine(module: nn.Module) -> bool:
    weight = module._parameters.get("weight")  # not one that a parametrisation computes
    if weight is None or weight.is_complex():
        return False
    if type(module) is nn.Linear:
        return True
    zeros = type(module) is nn.Conv2d and module.groups == 1 and module.padding_mode == "zeros"
    return zeros and not isinstance(module.padding, str)


def observe(
    graphs: Graphs, x: Tensor, layers: dict[str, nn.Module]
) -> tuple[Observation, dict[str, str]]:
    """(the pass on inputs x, {layer: why its derivative is not Σ_t e_t h_tᵀ} for those that
    are left out).
    """
    block = graphs.block  # now, since it is tried by passes of its own
    calls, hooks = {name: [] for name in layers}, []
    for name, layer in layers.items():

        def note(_, args, output, name=name):
            calls[name].append((args[0].detach(), output))
            return output.clone()  # what flows on may be written into

        hooks.append(layer.register_forward_hook(note, prepend=True))
    try:
        f, switches = graphs.forward(x)
    finally:
        for hook in hooks:
            hook.remove()
    reached = _nodes(f)
    inputs, outputs, unfit = {}, {}, {}
    for name, layer in layers.items():
        why = _unfit(calls[name], f, reached)
        if why:
            unfit[name] = why
            continue
        h, outputs[name] = calls[name][0]
        inputs[name] = _patches(layer, h)
    seen = Observation(f, switches, layers, inputs, outputs)
    unfit |= _contradicted(seen, block) if outputs else {}
    return seen.only(name for name in layers if name not in unfit), unfit


def _unfit(calls: list[tuple[Tensor, Tensor]], f: Tensor, reached: set) -> str:
    if f.dim() != 2:
        return f"leads to outputs of shape {tuple(f.shape)}, not one row an example"
    if len(calls) != 1:
        return f"is called {len(calls)} times in a forward pass"
    h, y = calls[0]
    if y.grad_fn not in reached:
        return "does not lead to the outputs by a recorded derivative"
    if h.dim() < 2 or len(h) != len(f) or len(y) != len(f):
        return f"is given {tuple(h.shape)} for {len(f)} examples"
    if not h.dtype == y.dtype == f.dtype:
        return f"computes in {y.dtype}"
    return ""


def _nodes(f: Tensor) -> set:
    """The nodes of the graph of f."""
    waiting, found = [f.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return found


def _patches(layer: nn.Module, h: Tensor) -> Tensor:
    """The layer's inputs as vectors that its weight, as a matrix (d_out, d_in), multiplies:
    (n, T, d_in).
    """
    if isinstance(layer, nn.Linear):
        return h.reshape(len(h), -1, h.shape[-1])
    geometry = {"dilation": layer.dilation, "padding": layer.padding, "stride": layer.stride}
    return F.unfold(h, layer.kernel_size, **geometry).mT


def _by_position(layer: nn.Module, e: Tensor) -> Tensor:
    """Derivatives in the layer's output, (k, n, …), as (k, n, T, d_out)."""
    if isinstance(layer, nn.Linear):
        return e.reshape(*e.shape[:2], -1, e.shape[-1])
    return e.flatten(3).mT


def _contradicted(seen: Observation, block: int) -> dict[str, str]:
    """Why, for the layers that one of the two trials speaks against."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(1, *seen.f.shape, generator=generator, dtype=torch.float64).to(seen.f)
    errors = seen.errors(u, 1)
    used_elsewhere = (
        "has parameters that are used elsewhere too, or hooks that change what it gives"
    )
    why = {
        name: used_elsewhere
        for name, gradient in _gradients(seen, u).items()
        if not _agree(_affine_gradient(seen, name, errors[name][0]), gradient)
    }
    rounding = LEAK * torch.finfo(u.dtype).eps
    tolerated = {name: rounding * e.abs().max() for name, e in errors.items()}
    for members in _separating_sets(len(seen.f)).to(seen.f).split(block):
        for name, e in seen.errors(members[..., None] * u, block).items():
            leaks = e.abs().amax((2, 3)) * (1 - members)
            if leaks.max() > tolerated[name]:
                why[name] = "has rows that are not the examples, each by itself"
    return why


def _gradients(seen: Observation, u: Tensor) -> dict[str, Tensor]:
    """Of ⟨u, f⟩ in each layer's own parameters that are part of θ, by autograd."""
    parameters = {name: trainable(seen.layers[name]) for name in seen.outputs}
    every = [q for own in parameters.values() for q in own]
    sizes = [sum(q.numel() for q in own) for own in parameters.values()]
    flat = pull_back(seen.f, every, u, seen.switches)[0]
    return dict(zip(parameters, flat.split(sizes), strict=True))


def _affine_gradient(seen: Observation, name: str, e: Tensor) -> Tensor:
    """The same from errors e (n, T, d_out) and inputs: Σ e hᵀ for the weight,
    Σ e for the bias."""
    layer, h = seen.layers[name], seen.inputs[name]
    parts = {"weight": lambda: torch.einsum("nto,nti->oi", e, h), "bias": lambda: e.sum((0, 1))}
    own = [key for key in parts if _is_trainable(layer, key)]
    return torch.cat([parts[key]().flatten() for key in own]) if own else e.new_zeros(0)


def trainable(layer: nn.Module) -> list[Tensor]:
    """Its weight and its bias, as far as they are parameters of its own and part of θ."""
    return [layer._parameters[key] for key in ("weight", "bias") if _is_trainable(layer, key)]


def _is_trainable(layer: nn.Module, key: str) -> bool:
    q = layer._parameters.get(key)
    return q is not None and q.requires_grad


def _agree(a: Tensor, b: Tensor) -> bool:
    off, size = (torch.linalg.vector_norm(t, dtype=torch.float64) for t in (a - b, b))
    return bool(off <= EXACT[a.dtype] * size)


def _separating_sets(n: int) -> Tensor:
    """Indicators (k, n) of sets such that for i ≠ j some set holds i but not j, with the smallest
    k.

    Member i is marked by a choice of k // 2 of the sets: no choice contains another (Sperner).
    """
    k = next(k for k in range(1, n + 2) if math.comb(k, k // 2) >= n)
    marks = torch.zeros(k, n)
    for i, chosen in enumerate(islice(combinations(range(k), k // 2), n)):
        marks[list(chosen), i] = 1
    return marks
