"""Batch normalisation with fixed statistics is an affine map y = s x + b: part of a convolution's
weights.

    s ∗(w, x) + b = ∗(s w, x) + b

makes no pass over activations, which pays in narrow nets (docs/decisions/0010). Elsewhere s x + b
is two small nodes instead of a double backward that knows about statistics.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class _Convolved:
    """The latest convolution: what it was made of, and where it stands in the graph."""

    output: Tensor
    input: Tensor
    weight: Tensor
    bias: Tensor | None
    geometry: tuple

    def __post_init__(self) -> None:
        self.node, self.versions = self.output.grad_fn, self._versions()

    def _versions(self) -> list[int]:
        of = (self.output, self.input, self.weight, self.bias)
        return [t._version for t in of if t is not None]

    def gave(self, y: Tensor) -> bool:
        """Whether y is its output, channels second, and as it was.

        In its place in the graph, without gradient hooks, and nobody has written into it or into
        what it was made of (other than through `.data`, which leaves no trace).
        """
        untouched = y is self.output and y.grad_fn is self.node and not y._backward_hooks
        return untouched and y.dim() == 4 and self.versions == self._versions()


class Folding:
    """`conv2d` and `batch_norm` of one forward pass; a batch norm after a convolution joins its
    weights.

    The convolution is then computed again, with the new weights: its output may be wanted
    elsewhere, too. That is once for each graph, and saves several passes over the activations at
    each product.
    """

    def __init__(self, convolve: Callable[..., Tensor]) -> None:
        self.convolve, self.latest = convolve, None

    def conv2d(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *geometry: object,
        **named: object,
    ) -> Tensor:
        """As in torch.nn.functional, remembered for a batch norm that may follow."""
        y = self.convolve(input, weight, bias, *geometry, **named)
        known = y.requires_grad
        self.latest = _Convolved(y, input, weight, bias, (geometry, named)) if known else None
        return y

    def batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """As in torch.nn.functional; with fixed statistics it is a scale and a shift,
        or part of the convolution.
        """
        if training or running_mean is None:
            return F.batch_norm(
                input, running_mean, running_var, weight, bias, training, momentum, eps
            )
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
        return self.convolve(latest.input, folded, shift, *geometry, **named)
