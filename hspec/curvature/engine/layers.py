"""What a forward pass is made of while a graph is built: three rungs, from fast to plain.

* `FastLayers`: linear layers and convolutions by their own double backward (see `bilinear`), batch
  normalisation folded into the convolution before it (see `folding`), a ReLU that has no second
  derivative (autograd writes one down, as a tensor of zeros).
* `Corrections`: what PyTorch differentiates once only, or wrongly, written in functions that it
  differentiates twice.
* `Plain`: PyTorch as it is.

Anything these do not know (string padding, transposed or complex convolution) is left to autograd.
`trial` chooses the first rung whose derivatives are right for a net.
"""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from hspec.curvature.engine import bilinear
from hspec.curvature.engine.folding import Folding
from hspec.curvature.engine.switches import Switches


def _linear(switches: Switches, input, weight, bias=None):
    if weight.dim() != 2 or input.dim() < 2 or input.is_complex() or weight.is_complex():
        return F.linear(input, weight, bias)
    x = input if input.dim() == 2 else input.flatten(0, -2)
    y = bilinear.apply(bilinear.Linear(), x, weight, switches)
    y = y if input.dim() == 2 else y.unflatten(0, input.shape[:-1])
    return y if bias is None else y + bias


def _conv2d(
    switches: Switches, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    if isinstance(padding, str) or input.dim() != 4 or input.is_complex() or weight.is_complex():
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    layer = bilinear.Convolution(_pair(stride), _pair(padding), _pair(dilation), groups)
    y = bilinear.apply(layer, input, weight, switches)
    return y if bias is None else y + bias.view(1, -1, 1, 1)


def _pair(n) -> list[int]:
    return [n, n] if isinstance(n, int) else list(n) * (2 // len(n))


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, inplace, switches):
        y = x.relu_() if inplace else x.relu()
        if inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        ctx.switches = switches
        return y

    @staticmethod
    def backward(ctx, go):
        (y,) = ctx.saved_tensors
        go = (
            go if ctx.switches.single else go.contiguous()
        )  # in y's layout, as what follows wants it
        return torch.ops.aten.threshold_backward(go, y.detach(), 0), None, None


def _relu(switches: Switches, input, inplace=False):
    return _Relu.apply(input, inplace, switches)


def _weight_norm(v, g, dim=0):
    """g v / ‖v‖. PyTorch's own node has a wrong second derivative on the CPU (its gradgradcheck
    fails).

    The norm is taken over all dimensions but `dim`; −1 stands for none, so over all of them.
    """
    others = [d for d in range(v.dim()) if d != dim]
    return v * (g / torch.linalg.vector_norm(v, dim=others, keepdim=True))


def _hardsigmoid(input, inplace=False):
    """clamp(x/6 + 1/2, 0, 1), whose own backward has no derivative."""
    return (input / 6 + 0.5).clamp(0, 1)


def _embedding(
    input,
    weight,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    sparse=False,
):
    """The same rows with dense gradients: sparse ones cannot be differentiated again."""
    return F.embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, False)


def _embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """Bags of equal size (n, length), by `embedding`; other bags are left to autograd, which has no
    second derivative of them. What is padded is in no bag."""
    simple = input.dim() == 2 and offsets is None and max_norm is None and mode in ("sum", "mean")
    if not simple or scale_grad_by_freq:
        return F.embedding_bag(
            input,
            weight,
            offsets,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            per_sample_weights,
            include_last_offset,
            padding_idx,
        )
    inside = torch.ones_like(input, dtype=torch.bool)
    if padding_idx is not None:
        inside = input != padding_idx % len(weight)
    share = inside.to(weight.dtype)
    share = share if per_sample_weights is None else share * per_sample_weights
    total = (F.embedding(input, weight) * share.unsqueeze(-1)).sum(1)
    return total if mode == "sum" else total / inside.sum(1, keepdim=True).clamp(min=1)


CORRECTIONS: dict[Callable, Callable] = {
    torch._weight_norm: _weight_norm,
    F.hardsigmoid: _hardsigmoid,
    F.embedding: _embedding,
    F.embedding_bag: _embedding_bag,
}


class Corrections(TorchFunctionMode):
    """While active, layers without a right second derivative are computed by others that
    have one.
    """

    name = "PyTorch's own layers"

    def __init__(self, switches: Switches) -> None:
        super().__init__()
        self.replacements = dict(CORRECTIONS)

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Tensor:
        return self.replacements.get(func, func)(*args, **(kwargs or {}))


class FastLayers(Corrections):
    """While active, linear layers, convolutions and ReLUs build graphs cheap to
    differentiate twice.
    """

    name = "fast layers"

    def __init__(self, switches: Switches) -> None:
        super().__init__(switches)
        folding = Folding(functools.partial(_conv2d, switches))
        relu = functools.partial(_relu, switches)
        relu_ = functools.partial(_relu, switches, inplace=True)
        self.replacements |= {
            torch.conv2d: folding.conv2d,
            F.conv2d: folding.conv2d,
            F.linear: functools.partial(_linear, switches),
            F.batch_norm: folding.batch_norm,
            F.relu: relu,
            torch.relu: relu,
            torch.Tensor.relu: relu,
            torch.relu_: relu_,
            torch.Tensor.relu_: relu_,
        }


class Plain:
    """PyTorch as it is."""

    name = "PyTorch's own layers, uncorrected"

    def __init__(self, switches: Switches) -> None:
        pass

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *exception) -> None:
        pass


RUNGS = (FastLayers, Corrections, Plain)
