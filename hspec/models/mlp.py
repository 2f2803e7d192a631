"""Multilayer perceptrons of any widths."""

import re

from torch import nn

from hspec.models.layers import Shape

_NAME = re.compile(r"mlp:\d+(x\d+)?(-\d+(x\d+)?)*")


def is_perceptron(name: str) -> bool:
    """Whether a model's name is that of an MLP."""
    return name.startswith("mlp:")


def hidden_widths(name: str) -> list[int]:
    """Widths of the hidden layers in a name: "mlp:800-450" → [800, 450],
    "mlp:2048x8" → eight times 2048.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"cannot read {name!r}: an MLP is called by its hidden widths, 'mlp:20', 'mlp:2048x8'"
        )
    widths = []
    for part in name.removeprefix("mlp:").split("-"):
        width, _, times = part.partition("x")
        widths += [int(width)] * int(times or 1)
    if not widths or min(widths) < 1:
        raise ValueError(f"{name!r}: every hidden layer needs at least one unit")
    return widths


def mlp(name: str, shape: Shape) -> nn.Sequential:
    """Flattened image, hidden layers (linear, norm, activation), linear output.

    GKX19's 784-20-10 net is "mlp:20" on 28×28 images: 15,910 parameters.

    Source: GKX19 (784-20-10), P20 (eight layers of 2048)
    """
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = shape.in_channels * shape.image_size**2
    for width in map(shape.channels, hidden_widths(name)):
        linear = nn.Linear(inputs, width, bias=shape.norm == "none")
        layers += [linear, shape.norm1d(width), shape.activate()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, shape.num_classes))
