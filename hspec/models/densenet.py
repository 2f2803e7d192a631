"""DenseNet-40 with growth rate 12 and no bottleneck."""

import torch
from torch import Tensor, nn

from hspec.models.layers import Shape

_GROWTH, _DEPTH, _BLOCKS, _STEM = (
    12,
    12,
    3,
    16,
)  # 3 blocks of 12 layers, 2 transitions, stem and output: 40


class DenseLayer(nn.Module):
    """Norm, activation, 3×3 convolution; the result is appended to the input's channels."""

    def __init__(self, shape: Shape, inputs: int, growth: int):
        super().__init__()
        self.layers = nn.Sequential(
            shape.norm2d(inputs), shape.activate(), shape.conv(inputs, growth, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


class DenseNet(nn.Module):
    """Stem, dense blocks with a halving transition between two, norm, global average,
    linear output.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        growth, channels = shape.channels(_GROWTH), shape.channels(_STEM)
        layers: list[nn.Module] = [shape.conv(shape.in_channels, channels, 3)]
        for block in range(_BLOCKS):
            if block > 0:
                layers += [
                    shape.norm2d(channels),
                    shape.activate(),
                    shape.conv(channels, channels, 1),
                    nn.AvgPool2d(2),
                ]
            for _ in range(_DEPTH):
                layers.append(DenseLayer(shape, channels, growth))
                channels += growth
        self.features = nn.Sequential(*layers, shape.norm2d(channels), shape.activate())
        self.fc = nn.Linear(channels, shape.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean((2, 3)))


def densenet40(shape: Shape) -> DenseNet:
    """DenseNet-40: growth 12, no bottleneck, no compression.

    Source: P19 (networks)
    """
    return DenseNet(shape)
