"""`build`: one function from a name to a net."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from hspec.models.densenet import densenet40
from hspec.models.layers import ACTIVATIONS, INITS, NORMS, Shape, initialise
from hspec.models.mlp import hidden_widths, is_perceptron, mlp
from hspec.models.resnet import (
    resnet18,
    resnet18_imagenet,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
)
from hspec.models.squeezenet import squeezenet1_1
from hspec.models.vgg import vgg11, vgg11_linear


@dataclass(frozen=True)
class Architecture:
    """A net's constructor and the smallest image, in pixels a side, that its strides leave
    something of.

    norm: in its published form. version: raised when a change to the net changes what its training
        gives.
    """

    construct: Callable[[Shape], nn.Module]
    smallest_image: int
    norm: str = "batch"
    version: int = 1


MODELS: dict[str, Architecture] = {
    "vgg11": Architecture(vgg11, 32),
    "vgg11_linear": Architecture(vgg11_linear, 32),
    "resnet18": Architecture(resnet18, 8),
    "resnet18_imagenet": Architecture(resnet18_imagenet, 32),
    "resnet20": Architecture(resnet20, 4),
    "resnet32": Architecture(resnet32, 4, version=2),  # 1: shortcuts padded at the end alone
    "resnet44": Architecture(resnet44, 4),
    "resnet56": Architecture(resnet56, 4),
    "densenet40": Architecture(densenet40, 4),
    "squeezenet1_1": Architecture(squeezenet1_1, 32, norm="none"),
}


def build(
    name: str,
    *,
    in_channels: int,
    num_classes: int,
    image_size: int,
    generator: torch.Generator,
    width: float = 1.0,
    norm: str | None = None,
    activation: str = "relu",
    init: str = "He",
) -> nn.Module:
    """A fresh float32 net on the CPU, (N, in_channels, image_size, image_size) → (N, num_classes).

    Args:
        name: A key of `MODELS`, or "mlp:" and the hidden widths: "mlp:20", "mlp:800-450",
            "mlp:2048x8".
        in_channels: Of the images.
        num_classes: C, the number of logits.
        image_size: Pixels along an edge of the square images.
        generator: Every weight comes from it; the global random state is left as it was.
        width: Multiplies every hidden width or channel count.
        norm: "batch" or "none"; None takes the net's published form, "none" for MLPs and SqueezeNet
            and "batch" for the others.
        activation: "relu", or a smooth one for tests.
        init: A rule of `INITS` for the initial weights.

    Raises:
        ValueError: name, norm, activation or init is unknown, the width is not a positive number,
            the image is too small, or there is no channel or only one class.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> net = build("mlp:20", in_channels=1, num_classes=10, image_size=28, generator=generator)
        >>> count_parameters(net)
        15910
    """
    is_mlp = is_perceptron(name)
    if norm is None:
        norm = MODELS[name].norm if name in MODELS else "none"
    check_net(name, image_size, width, norm, init)
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"unknown activation {activation!r}: choose one of {', '.join(ACTIVATIONS)}"
        )
    if in_channels < 1 or num_classes < 2:
        raise ValueError(
            f"a net needs a channel and two classes, got {in_channels} and {num_classes}"
        )
    shape = Shape(in_channels, num_classes, image_size, width, norm, activation)
    with torch.random.fork_rng(
        devices=[]
    ):  # layers draw weights when they are made; `initialise` replaces them all
        net = mlp(name, shape) if is_mlp else MODELS[name].construct(shape)
    initialise(net, generator, init)
    return net


def check_net(name: str, image_size: int, width: float, norm: str, init: str) -> None:
    """Refuse what :func:`build` could not make of images of that size, before there are any.

    Args:
        name: Of the net, as in :func:`build`; so are the others.
        image_size: Pixels along an edge of the images.
        width: Multiplier of widths.
        norm: "batch" or "none".
        init: A rule of `INITS`.

    Raises:
        ValueError: name, norm or init is unknown, the width is not a positive number, or the image
            is too small.

    Example:
        >>> check_net("vgg11", 32, 1.0, "batch", "He")
    """
    is_mlp = is_perceptron(name)
    if not is_mlp and name not in MODELS:
        raise ValueError(
            f"unknown model {name!r}: choose one of {', '.join(MODELS)}, or 'mlp:' and hidden "
            "widths"
        )
    if is_mlp:
        hidden_widths(name)
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}: choose one of {', '.join(NORMS)}")
    if init not in INITS:
        raise ValueError(f"unknown init {init!r}: choose one of {', '.join(INITS)}")
    if not 0 < width < math.inf:
        raise ValueError(f"width={width}: the width multiplier must be positive, and finite")
    smallest = 1 if is_mlp else MODELS[name].smallest_image
    if image_size < smallest:
        raise ValueError(
            f"{name} halves its input until nothing is left of {image_size}×{image_size} images: "
            f"load them with image_size={smallest} or more"
        )


def model_version(name: str) -> int:
    """Which meaning of a net's name this is; 1 unless its `Architecture` says otherwise.

    Example:
        >>> model_version("mlp:20")
        1
    """
    return MODELS[name].version if name in MODELS else 1


def count_parameters(net: nn.Module) -> int:
    """p: the number of trainable parameters, shared ones counted once.

    Example:
        >>> count_parameters(nn.Linear(784, 20))
        15700
    """
    return sum(p.numel() for p in net.parameters() if p.requires_grad)
