"""SqueezeNet 1.1."""

import torch
from torch import Tensor, nn

from hspec.models.layers import Shape

_POOL = 0
# Channels of each fire module: squeezed, and expanded by 1×1 and by 3×3 convolutions alike.
_FIRES = (_POOL, (16, 64), (16, 64), _POOL, (32, 128), (32, 128), _POOL)
_LAST_FIRES = ((48, 192), (48, 192), (64, 256), (64, 256))
_STEM = 64


class Fire(nn.Module):
    """A 1×1 convolution to few channels, then 1×1 and 3×3 convolutions side by side."""

    def __init__(self, shape: Shape, inputs: int, squeezed: int, expanded: int):
        super().__init__()
        self.squeeze = shape.conv(inputs, squeezed, 1)
        self.expand1x1 = shape.conv(squeezed, expanded, 1)
        self.expand3x3 = shape.conv(squeezed, expanded, 3)
        self.norm, self.activate = shape.norm2d(squeezed), shape.activate()
        self.norm_expanded = shape.norm2d(2 * expanded)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activate(self.norm(self.squeeze(x)))
        both = torch.cat([self.expand1x1(x), self.expand3x3(x)], 1)
        return self.activate(self.norm_expanded(both))


class SqueezeNet(nn.Module):
    """Stem, fire modules between max-pools, a 1×1 convolution to the classes, global average.

    Without a norm, as published, names and function are torchvision's; its dropout is left out. The
    logits are averages of non-negative numbers.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        channels = shape.channels(_STEM)
        layers: list[nn.Module] = [
            nn.Conv2d(shape.in_channels, channels, 3, stride=2),
            nn.Sequential(shape.norm2d(channels), shape.activate()),
        ]
        for fire in _FIRES + _LAST_FIRES:
            if fire == _POOL:
                layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
                continue
            squeezed, expanded = map(shape.channels, fire)
            layers.append(Fire(shape, channels, squeezed, expanded))
            channels = 2 * expanded
        self.features = nn.Sequential(*layers)
        to_classes = nn.Conv2d(channels, shape.num_classes, 1)
        self.classifier = nn.Sequential(nn.Identity(), to_classes, shape.activate())

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).mean((2, 3))


def squeezenet1_1(shape: Shape) -> SqueezeNet:
    """SqueezeNet 1.1: 1,235,496 parameters for 1000 classes.

    Source: torchvision (squeezenet1_1, whose weights load)
    """
    return SqueezeNet(shape)
