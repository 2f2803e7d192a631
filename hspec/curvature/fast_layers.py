"""Layers whose second derivatives autograd computes wastefully, rewritten.

* Convolution is bilinear in (input, weight), so its double backward is two convolutions and two of their
  transposes: all of them calls of `convolution_backward` and `conv2d`. Autograd's own goes through transposed,
  grouped convolutions.
* A linear layer is bilinear, too. Autograd's double backward is right for one vector; under a block of them it
  multiplies one by one, or copies the layer's input for each. Here a block is folded into one matrix product.
* Batch normalisation with fixed statistics is an affine map y = s x + b: two small nodes instead of a double
  backward that knows about statistics. Right after a convolution it is a part of that one's weights,
  s ∗(w, x) + b = ∗(s w, x) + b, and makes no pass over activations.
* A ReLU has no second derivative. Autograd writes that down as a tensor of zeros and adds it to another.

Anything these do not know (string padding, transposed or complex convolution) is left to autograd.
"""

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hspec.curvature.switches import Switches

_convolution_backward = torch.ops.aten.convolution_backward


def _input_and_weight_grad(go, x, w, geometry, wanted):
    stride, padding, dilation, groups = geometry
    mask = (*wanted, False)
    return _convolution_backward(go, x, w, None, stride, padding, dilation, False, [0, 0], groups, mask)[:2]


def _sum(a, b):
    return b if a is None else a if b is None else a + b


class _Conv2dBackward(torch.autograd.Function):
    """(go, x, w) ↦ (gradient in x, gradient in w); linear in go, in w and in x respectively."""

    @staticmethod
    def forward(ctx, go, x, w, geometry, wanted, switches):
        ctx.save_for_backward(go, x, w)
        ctx.set_materialize_grads(False)
        ctx.geometry, ctx.switches = geometry, switches
        return _input_and_weight_grad(go, x, w, geometry, wanted)

    @staticmethod
    def backward(ctx, ux, uw):
        go, x, w = ctx.saved_tensors
        need_go, need_x, need_w = ctx.needs_input_grad[:3]
        need_x, need_w = need_x and ctx.switches.to_forward, need_w and ctx.switches.to_forward
        stride, padding, dilation, groups = ctx.geometry
        ggo = gx = gw = None
        if uw is not None:
            if need_go:
                ggo = F.conv2d(x, uw, None, stride, padding, dilation, groups)
            if need_x:
                gx, _ = _input_and_weight_grad(go, x, uw, ctx.geometry, (True, False))
        if ux is not None:
            if need_go:
                ggo = _sum(ggo, F.conv2d(ux, w, None, stride, padding, dilation, groups))
            if need_w:
                _, gw = _input_and_weight_grad(go, ux, w, ctx.geometry, (False, True))
        return ggo, gx, gw, None, None, None


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, geometry, switches):
        ctx.save_for_backward(x, w)
        ctx.geometry, ctx.switches = geometry, switches
        return F.conv2d(x, w, None, *geometry)

    @staticmethod
    def backward(ctx, go):
        x, w = ctx.saved_tensors
        gx, gw = _Conv2dBackward.apply(go, x, w, ctx.geometry, ctx.needs_input_grad[:2], ctx.switches)
        return gx, gw, None, None


def _times(u: Tensor, fixed: Tensor, switches: Switches) -> Tensor:
    """u @ fixed for a u that carries the vectors: under a block, one matrix product for all of them.

    It is `mm` that is folded under is_grads_batched (`matmul` is not), where a contiguous block stands on its left.
    """
    return torch.mm(u if switches.single else u.contiguous(), fixed)


def _under(fixed: Tensor, u: Tensor, switches: Switches) -> Tensor:
    """fixed @ u, likewise."""
    return torch.mm(fixed, u) if switches.single else _times(u.T, fixed.T, switches).T


def _linear_gradients(go, x, w, wanted, switches):
    """(go w, goᵀ x), the gradients in x and w of y = x wᵀ."""
    gx = _times(go, w, switches) if wanted[0] else None
    gw = _times(go.T, x, switches) if wanted[1] else None
    return gx, gw


class _LinearBackward(torch.autograd.Function):
    """`_linear_gradients` as a function of (go, x, w), linear in each."""

    @staticmethod
    def forward(ctx, go, x, w, wanted, switches):
        ctx.save_for_backward(go, x, w)
        ctx.set_materialize_grads(False)
        ctx.switches = switches
        return _linear_gradients(go, x, w, wanted, switches)

    @staticmethod
    def backward(ctx, ux, uw):
        go, x, w = ctx.saved_tensors
        switches = ctx.switches
        need_go, need_x, need_w = ctx.needs_input_grad[:3]
        need_x, need_w = need_x and switches.to_forward, need_w and switches.to_forward
        ggo = gx = gw = None
        if uw is not None:
            if need_go:
                ggo = _under(x, uw.T, switches)
            if need_x:
                gx = _under(go, uw, switches)
        if ux is not None:
            if need_go:
                ggo = _sum(ggo, _times(ux, w.T, switches))
            if need_w:
                gw = _under(go.T, ux, switches)
        return ggo, gx, gw, None, None


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, switches):
        ctx.save_for_backward(x, w)
        ctx.switches = switches
        return x @ w.T

    @staticmethod
    def backward(ctx, go):
        x, w = ctx.saved_tensors
        gradients = _LinearBackward.apply if torch.is_grad_enabled() else _linear_gradients
        gx, gw = gradients(go, x, w, ctx.needs_input_grad[:2], ctx.switches)
        return gx, gw, None


def _linear(switches, input, weight, bias=None):
    if weight.dim() != 2 or input.dim() < 2 or input.is_complex():
        return F.linear(input, weight, bias)
    y = _Linear.apply(input if input.dim() == 2 else input.flatten(0, -2), weight, switches)
    y = y if input.dim() == 2 else y.unflatten(0, input.shape[:-1])
    return y if bias is None else y + bias


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
        go = go if ctx.switches.single else go.contiguous()  # in y's own layout, as what follows wants it
        return torch.ops.aten.threshold_backward(go, y.detach(), 0), None, None


def _relu(switches, input, inplace=False):
    return _Relu.apply(input, inplace, switches)


def _pair(n) -> list[int]:
    return [n, n] if isinstance(n, int) else list(n) * (2 // len(n))


def _conv2d(switches, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    if isinstance(padding, str) or input.dim() != 4 or input.is_complex():
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    y = _Conv2d.apply(input, weight, (_pair(stride), _pair(padding), _pair(dilation), groups), switches)
    return y if bias is None else y + bias.view(1, -1, 1, 1)


@dataclass
class _Convolved:
    """The latest convolution: what it was made of, and where it stands in the graph."""

    output: Tensor
    input: Tensor
    weight: Tensor
    bias: Tensor | None
    geometry: tuple

    def __post_init__(self):
        self.node, self.versions = self.output.grad_fn, self._versions()

    def _versions(self) -> list[int]:
        return [t._version for t in (self.output, self.input, self.weight, self.bias) if t is not None]

    def gave(self, y: Tensor) -> bool:
        """Whether y is its output, channels second, and as it was: in its place in the graph, no gradient hooks on it,
        and nobody has written into it or into what it was made of (other than through `.data`, which leaves no trace).
        """
        untouched = y is self.output and y.grad_fn is self.node and not y._backward_hooks
        return untouched and y.dim() == 4 and self.versions == self._versions()


class _Convolutions:
    """`conv2d` and `batch_norm` of one forward pass; a batch norm that follows a convolution goes into its weights.

    The convolution is then computed again, with the new weights: its output may be wanted elsewhere, too. That is
    once for each graph that is built, and saves several passes over the activations at each product.
    """

    def __init__(self, switches: Switches):
        self.switches, self.latest = switches, None

    def conv2d(self, input, weight, bias=None, *geometry, **named):
        y = _conv2d(self.switches, input, weight, bias, *geometry, **named)
        self.latest = _Convolved(y, input, weight, bias, (geometry, named)) if y.requires_grad else None
        return y

    def batch_norm(
        self, input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
    ):
        if training or running_mean is None:
            return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        scale = torch.rsqrt(running_var + eps)
        scale = scale if weight is None else weight * scale
        shift = -running_mean * scale
        shift = shift if bias is None else bias + shift
        latest, self.latest = self.latest, None
        if latest is None or not latest.gave(input):
            shape = (1, -1) + (1,) * (input.dim() - 2)
            return input * scale.view(shape) + shift.view(shape)
        shift = shift if latest.bias is None else latest.bias * scale + shift
        geometry, named = latest.geometry
        folded = latest.weight * scale.view(-1, 1, 1, 1)
        return _conv2d(self.switches, latest.input, folded, shift, *geometry, **named)


class FastLayers(torch.overrides.TorchFunctionMode):
    """While active, the layers above build graphs that are cheap to differentiate twice."""

    def __init__(self, switches: Switches):
        super().__init__()
        convolutions, linear = _Convolutions(switches), functools.partial(_linear, switches)
        relu, relu_ = functools.partial(_relu, switches), functools.partial(_relu, switches, inplace=True)
        self.replacements = {
            torch.conv2d: convolutions.conv2d,
            F.conv2d: convolutions.conv2d,
            F.linear: linear,
            F.batch_norm: convolutions.batch_norm,
            F.relu: relu,
            torch.relu: relu,
            torch.Tensor.relu: relu,
            torch.relu_: relu_,
            torch.Tensor.relu_: relu_,
        }

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return self.replacements.get(func, func)(*args, **(kwargs or {}))
