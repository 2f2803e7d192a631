"""Layers that are bilinear in (input, weight): one double backward for all of them.

    y = B(x, w),    its gradients  gx = B_xᵀ(go, w),  gw = B_wᵀ(go, x),    again bilinear, so that

the derivative of ⟨gx, ux⟩ + ⟨gw, uw⟩ is made of the same three maps:

    in go    B(ux, w) + B(x, uw)
    in x     B_xᵀ(go, uw)
    in w     B_wᵀ(go, ux)

Autograd's own double backward of a convolution goes through transposed, grouped convolutions; that
of a linear layer multiplies a block of vectors one by one, or copies the layer's input for each.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from hspec.curvature.engine.switches import Switches

_convolution_backward = torch.ops.aten.convolution_backward


class Bilinear(Protocol):
    """B and its two adjoints. `single` is whether one vector is under way,
    or a block of them."""

    def product(self, x: Tensor, w: Tensor, *, varying: str, single: bool) -> Tensor:
        """B(x, w); `varying` ("x", "w" or "") is the one that carries the vectors."""

    def gradients(
        self,
        go: Tensor,
        x: Tensor,
        w: Tensor,
        wanted: tuple[bool, bool],
        *,
        varying: str,
        single: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        """(B_xᵀ(go, w), B_wᵀ(go, x)) as far as wanted;
        of what is not multiplied the shape counts only.
        """


@dataclass(frozen=True)
class Convolution:
    """∗(w, x) in two dimensions, without bias."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def product(self, x: Tensor, w: Tensor, *, varying: str = "", single: bool = True) -> Tensor:
        return F.conv2d(x, w, None, self.stride, self.padding, self.dilation, self.groups)

    def gradients(
        self,
        go: Tensor,
        x: Tensor,
        w: Tensor,
        wanted: tuple[bool, bool],
        *,
        varying: str = "",
        single: bool = True,
    ) -> tuple[Tensor | None, Tensor | None]:
        geometry = (self.stride, self.padding, self.dilation, False, [0, 0], self.groups)
        return _convolution_backward(go, x, w, None, *geometry, (*wanted, False))[:2]


class Linear:
    """x wᵀ for x (n, d) and w (k, d).

    Under a block of vectors it is `mm` that is folded into one product for all of them (`matmul` is
    not), where what carries the vectors is contiguous and stands on the left.
    """

    def product(self, x: Tensor, w: Tensor, *, varying: str = "", single: bool = True) -> Tensor:
        if single:
            return torch.mm(x, w.T)
        return _under(x, w.T) if varying == "w" else torch.mm(x.contiguous(), w.T)

    def gradients(
        self,
        go: Tensor,
        x: Tensor,
        w: Tensor,
        wanted: tuple[bool, bool],
        *,
        varying: str = "go",
        single: bool = True,
    ) -> tuple[Tensor | None, Tensor | None]:
        if single:
            return torch.mm(go, w) if wanted[0] else None, torch.mm(go.T, x) if wanted[1] else None
        gx = gw = None
        if wanted[0]:
            gx = _under(go, w) if varying == "w" else torch.mm(go.contiguous(), w)
        if wanted[1]:
            gw = _under(go.T, x) if varying == "x" else torch.mm(go.T.contiguous(), x)
        return gx, gw


def _under(fixed: Tensor, u: Tensor) -> Tensor:
    """fixed @ u for a u that carries the vectors: transposed, so that it stands on the left."""
    return torch.mm(u.T.contiguous(), fixed.T).T


class _Apply(torch.autograd.Function):
    """y = B(x, w)."""

    @staticmethod
    def forward(ctx, x, w, layer, switches):
        ctx.save_for_backward(x, w)
        ctx.layer, ctx.switches = layer, switches
        return layer.product(x, w, varying="", single=True)

    @staticmethod
    def backward(ctx, go):
        x, w = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # the first-order graph is being built
            return *_Gradients.apply(go, x, w, ctx.layer, wanted, ctx.switches), None, None
        single = ctx.switches.single
        return *ctx.layer.gradients(go, x, w, wanted, varying="go", single=single), None, None


class _Gradients(torch.autograd.Function):
    """(go, x, w) ↦ (B_xᵀ(go, w), B_wᵀ(go, x)); linear in go, in w and in x respectively."""

    @staticmethod
    def forward(ctx, go, x, w, layer, wanted, switches):
        ctx.save_for_backward(go, x, w)
        ctx.set_materialize_grads(False)
        ctx.layer, ctx.switches = layer, switches
        return layer.gradients(go, x, w, wanted, varying="go", single=True)

    @staticmethod
    def backward(ctx, ux, uw):
        go, x, w = ctx.saved_tensors
        layer, single = ctx.layer, ctx.switches.single
        need_go, need_x, need_w = ctx.needs_input_grad[:3]
        need_x, need_w = need_x and ctx.switches.to_forward, need_w and ctx.switches.to_forward
        ggo = gx = gw = None
        if uw is not None:
            if need_go:
                ggo = layer.product(x, uw, varying="w", single=single)
            if need_x:
                gx, _ = layer.gradients(go, x, uw, (True, False), varying="w", single=single)
        if ux is not None:
            if need_go:
                through_x = layer.product(ux, w, varying="x", single=single)
                ggo = through_x if ggo is None else ggo + through_x
            if need_w:
                _, gw = layer.gradients(go, ux, w, (False, True), varying="x", single=single)
        return ggo, gx, gw, None, None, None


def apply(layer: Bilinear, x: Tensor, w: Tensor, switches: Switches) -> Tensor:
    """B(x, w), cheap to differentiate twice."""
    return _Apply.apply(x, w, layer, switches)
