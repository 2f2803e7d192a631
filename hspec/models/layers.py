"""What the nets share: widths, activations, normalisation, initialisation."""

import math
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
    """What a net is to be: its input and output, its width multiplier, its norm and activation."""

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
def initialise(net: nn.Module, generator: torch.Generator) -> None:
    """He's normal initialisation of every layer, from `generator` alone.

    Weights have variance 2 / fan-in, those of the last linear layer 1 / fan-in; biases are 0, norms the
    identity. A module's `init_scale`, where set, multiplies its weights: see `resnet`.
    """
    last = [m for m in net.modules() if isinstance(m, nn.Linear)][-1:]
    for module in net.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        fan_in = module.weight[0].numel()
        variance = (1 if module in last else 2) / fan_in
        scale = getattr(module, "init_scale", 1.0)
        module.weight.normal_(0, scale * math.sqrt(variance), generator=generator)
        if module.bias is not None:
            module.bias.zero_()
