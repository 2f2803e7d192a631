"""From pixels in [0, 1] to what a net sees."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Normalization:
    """(x − mean)/std for each channel, then the channels in reverse order where `bgr`.

    Attributes:
        mean: One number per channel, in units of the largest pixel.
        std: Likewise.
        bgr: Whether the net wants blue first.

    Example:
        >>> grey = Normalization(mean=(0.5,), std=(0.25,))
        >>> grey(torch.ones(2, 1, 3, 3))[0, 0, 0]
        tensor([2., 2., 2.])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False

    def __call__(self, pixels: Tensor) -> Tensor:
        """pixels (N, channels, H, W) in [0, 1] → the same shape, normalised."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        normalised = (pixels - mean) / std
        return normalised.flip(1) if self.bgr else normalised


def _of_bytes(mean: tuple[float, ...], std: tuple[float, ...], bgr: bool = False) -> Normalization:
    """The same for mean and std in units of a byte."""
    return Normalization(tuple(m / 255 for m in mean), tuple(s / 255 for s in std), bgr)


NORMALIZATIONS: dict[str, Normalization] = {
    "digits": Normalization(
        (0.3053,), (0.3760,)
    ),  # of all 1,797 scans, in units of the largest grey value
    # Source: P19 (released code)
    "MNIST": Normalization((0.1307,), (0.3081,)),
    "FashionMNIST": Normalization((0.5,), (0.5,)),
    "CIFAR10": _of_bytes((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "CIFAR100": _of_bytes((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
    # Nets trained by torchvision's recipe, and the public ResNets of CIFAR form
    "ImageNet": Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # Nets whose weights come from Caffe: bytes less their mean, blue first
    "ImageNet bytes, BGR": _of_bytes((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=True),
}


def find_normalization(name: str) -> Normalization:
    """The registry's entry; raises ValueError for an unknown name."""
    if name not in NORMALIZATIONS:
        raise ValueError(
            f"unknown normalization {name!r}: choose one of {', '.join(NORMALIZATIONS)}"
        )
    return NORMALIZATIONS[name]
