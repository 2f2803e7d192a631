"""Which layer it is: whose own derivatives are wrong, that couples examples,
or that draws at random.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hspec.curvature.contents import tensors
from hspec.curvature.data import Batch, Data, same
from hspec.curvature.engine import differences
from hspec.curvature.engine.network import Network, flat
from hspec.curvature.engine.padding import HeldPadding


@dataclass
class Call:
    """A module called in a forward pass, with what it was given and what it gave."""

    name: str
    module: nn.Module
    args: tuple
    kwargs: dict
    outputs: list[Tensor]


def recorded(network: Network, data: Data, batch: Batch) -> list[Call]:
    """The modules that one forward pass calls, in the order in which they end."""
    calls, hooks = [], []
    for name, module in network.module.named_modules():

        def note(module, args, kwargs, output, name=name):
            outputs = [t.detach().clone() for t in tensors(output) if t.is_floating_point()]
            calls.append(Call(name, module, args, kwargs, outputs))

        hooks.append(module.register_forward_hook(note, with_kwargs=True))
    try:
        data.evaluate(network.module, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def blame(network: Network, data: Data, batch: Batch) -> str:
    """The innermost module whose derivatives differences contradict, or autograd cannot compute;
    or "".
    """
    try:
        calls = recorded(network, data, batch)
    except Exception:  # the error is already being told; only the place is lost
        return ""
    for call in sorted(calls, key=lambda call: -call.name.count(".") - bool(call.name)):
        if _is_wrong(call):
            return described(call.name, call.module)
    return ""


def where_passes_differ(network: Network, data: Data, batch: Batch, least: float = 1.0) -> str:
    """The first module that gives another output at the second pass over one batch;
    "" if none does.
    """
    first, second = recorded(network, data, batch), recorded(network, data, batch)
    return _first_difference(first, second, slice(None), least)


def where_examples_couple(network: Network, data: Data, batch: Batch, least: float = 1.0) -> str:
    """The first module whose output for an example changes where every second one is left out;
    or "".
    """
    x, y = batch.content
    try:
        half = recorded(network, data, replace(batch, content=(x[::2], y[::2])))
    except (RuntimeError, ValueError):  # it takes batches of one size only
        return ""
    return _first_difference(recorded(network, data, batch), half, slice(None, None, 2), least)


def _first_difference(whole: list[Call], part: list[Call], rows: slice, least: float) -> str:
    for a, b in zip(whole, part, strict=False):
        for s, t in zip(a.outputs, b.outputs, strict=False):
            if s[rows].shape == t.shape and not same(s[rows].flatten(), t.flatten(), least):
                return described(a.name, a.module)
    return ""


def described(name: str, module: nn.Module) -> str:
    """A layer, as errors name it."""
    return f"layer {name!r} ({type(module).__name__})" if name else type(module).__name__


def _is_wrong(call: Call) -> bool:
    given = [t for t in tensors([call.args, call.kwargs]) if t.is_floating_point()]
    variables = [*given, *call.module.parameters()]
    if not variables or not call.outputs:
        return False
    generator = torch.Generator().manual_seed(0)
    base = [t.detach().clone() for t in variables]
    v = differences.direction(base, generator)
    weights = [torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in call.outputs]

    padding = HeldPadding()

    def scalar(t: float) -> tuple[Tensor, list[Tensor]]:
        padding.rewind()
        moved = [(b + t * d).requires_grad_(True) for b, d in zip(base, v, strict=True)]
        inputs = iter(moved[: len(given)])
        args, kwargs = _replaced([call.args, call.kwargs], inputs)
        parameters = dict(zip(_names(call.module), moved[len(given) :], strict=True))
        outputs = torch.func.functional_call(call.module, parameters, tuple(args), kwargs)
        found = [o for o in tensors(outputs) if o.is_floating_point()]
        pairs = zip(weights, found, strict=True)  # squares, so that cotangents depend on θ, too
        return sum((w.to(o) * (o + o.square() / 2)).sum() for w, o in pairs), moved

    def gradient(t: float, **options) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        s, at = scalar(t)
        g = (
            torch.autograd.grad(s, at, allow_unused=True, **options)
            if s.requires_grad
            else [None] * len(at)
        )
        return (
            s.detach(),
            at,
            [torch.zeros_like(a) if x is None else x for x, a in zip(g, at, strict=True)],
        )

    def evaluate(t: float) -> dict[str, Tensor]:
        s, _, g = gradient(t)
        return {"first": s, "second": flat(g).detach()}

    try:
        with torch.enable_grad(), padding:
            _, at, g = gradient(0.0, create_graph=True)
            slope = sum((x.detach() * d).real.sum() for x, d in zip(g, v, strict=True))
            pairing = [(x, d) for x, d in zip(g, v, strict=True) if x.requires_grad]
            hv = [None] * len(at)
            if pairing:
                xs, ds = zip(*pairing, strict=True)
                hv = torch.autograd.grad(xs, at, ds, allow_unused=True)
            second = flat(hv, at)
            size = sum(float((x.detach() * d).abs().sum()) for x, d in zip(g, v, strict=True))
            exact = {"first": (slope, size), "second": (second.detach(), float(second.norm()))}
            found = differences.compare(exact, evaluate, base[0].real.dtype)
    except RuntimeError:
        return True
    except Exception:  # this module cannot be tried by itself; the ones around it may be
        return False
    return any(finding.is_wrong for finding in found.values())


def _names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def _replaced(content, values):
    """The same nest of containers with its floating tensors taken from `values`, in order."""
    if isinstance(content, Tensor):
        return next(values) if content.is_floating_point() else content
    if isinstance(content, dict):
        return {key: _replaced(value, values) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(_replaced(value, values) for value in content)
    return content
