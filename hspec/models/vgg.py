"""VGG11."""

from torch import nn

from hspec.models.layers import Shape

_POOL = 0
_CONVOLUTIONS = (64, _POOL, 128, _POOL, 256, 256, _POOL, 512, 512, _POOL, 512, 512, _POOL)
_HIDDEN = 4096


def vgg11(shape: Shape) -> nn.Sequential:
    """VGG11 with its three-layer classifier, batch normalisation in place of dropout.

    28,157,706 parameters at full width for 32×32 RGB images and ten classes: convolutions keep
    their biases before the norm, the classifier's two hidden layers do not.

    Source: P18a, P19, P20 (networks)
    """
    features, channels = _features(shape)
    hidden = shape.channels(_HIDDEN)
    layers = []
    for inputs in (channels * _final_size(shape) ** 2, hidden):
        linear = nn.Linear(inputs, hidden, bias=shape.norm == "none")
        layers += [linear, shape.norm1d(hidden), shape.activate()]
    return nn.Sequential(features, nn.Flatten(), *layers, nn.Linear(hidden, shape.num_classes))


def vgg11_linear(shape: Shape) -> nn.Sequential:
    """VGG11's convolutions under one linear layer, the small head usual for CIFAR:
    9,231,114 parameters.
    """
    features, channels = _features(shape)
    return nn.Sequential(
        features, nn.Flatten(), nn.Linear(channels * _final_size(shape) ** 2, shape.num_classes)
    )


def _features(shape: Shape) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    inputs = shape.in_channels
    for full in _CONVOLUTIONS:
        if full == _POOL:
            layers.append(nn.MaxPool2d(2))
            continue
        outputs = shape.channels(full)
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1),
            shape.norm2d(outputs),
            shape.activate(),
        ]
        inputs = outputs
    return nn.Sequential(*layers), inputs


def _final_size(shape: Shape) -> int:
    return shape.image_size // 2 ** _CONVOLUTIONS.count(_POOL)
