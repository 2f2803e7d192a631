"""What the nets share: widths, activations, normalisation, initialisation."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "softplus": nn.Softplus,  # smooth nets, on which every second derivative exists
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
}
NORMS = ("batch", "none")


@dataclass(frozen=True)
class Shape:
    """What a net is to be: its input and output, its width multiplier,
    its norm and activation."""

    in_channels: int
    num_classes: int
    image_size: int
    width: float = 1.0
    norm: str = "batch"
    activation: str = "relu"

    def channels(self, full: int) -> int:
        """`full` channels times the width multiplier, at least one."""
        return max(1, round(full * self.width))

    def activate(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()

    def norm2d(self, channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if self.norm == "batch" else nn.Identity()

    def norm1d(self, channels: int) -> nn.Module:
        return nn.BatchNorm1d(channels) if self.norm == "batch" else nn.Identity()

    def conv(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
        """A padded convolution whose bias is left to the norm that follows, where one does."""
        return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=self.norm == "none")


@torch.no_grad()
def initialise(net: nn.Module, generator: torch.Generator, init: str = "He") -> None:
    """Normal initialisation of every layer by a rule of `INITS`, from `generator` alone.

    Biases are 0, norms the identity. A module's `init_scale`, where set, multiplies its weights:
    see `resnet`.
    """
    last = [m for m in net.modules() if isinstance(m, nn.Linear)][-1:]
    for module in net.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        std = getattr(module, "init_scale", 1.0) * INITS[init](module, module in last)
        module.weight.normal_(0, std, generator=generator)
        if module.bias is not None:
            module.bias.zero_()


def _he(module: nn.Conv2d | nn.Linear, is_last: bool) -> float:
    """Variance 2 / fan-in, for the last linear layer 1 / fan-in."""
    return math.sqrt((1 if is_last else 2) / module.weight[0].numel())


def _published(module: nn.Conv2d | nn.Linear, is_last: bool) -> float:
    """Convolutions: variance 2 / fan-out; linear layers: standard deviation 0.01,
    whatever their size.
    """
    return math.sqrt(2 / module.weight[:, 0].numel()) if isinstance(module, nn.Conv2d) else 0.01


# Standard deviation of the initial weights of a layer.
INITS: dict[str, Callable[[nn.Conv2d | nn.Linear, bool], float]] = {
    "He": _he,
    "P19": _published,  # Source: P19 (released code), for VGG
}
