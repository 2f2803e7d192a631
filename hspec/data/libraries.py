"""What the libraries know of data sets, imported when it is asked for: they take longer to import
than all else, and most who import hspec.data read other images, or none.
"""

from importlib import import_module
from typing import Any


def torchvision_class(name: str) -> type:
    """The class of that name in torchvision.datasets."""
    return getattr(import_module("torchvision.datasets"), name)


def imagenet_classes() -> list[str]:
    """The names of ImageNet's 1000 classes, in their order."""
    weights = import_module("torchvision.models").ResNet18_Weights
    return weights.IMAGENET1K_V1.meta["categories"]


def digits() -> Any:
    """scikit-learn's 1,797 scans: ``images`` (n, 8, 8) and ``target`` (n,)."""
    return import_module("sklearn.datasets").load_digits()
