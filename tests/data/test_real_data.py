"""Real images, where HSPEC_DATA holds them."""

import os
from pathlib import Path

import pytest
import torch

from hspec import data

ROOT = Path(os.environ.get("HSPEC_DATA", ""))


def needs(home):
    return pytest.mark.skipif(
        not (ROOT / home).is_dir(), reason=f"set HSPEC_DATA to a folder that holds {home}"
    )


@needs("MNIST/raw")
def test_mnist_is_normalised_and_padded():
    train = data.load("MNIST", image_size=28)
    assert len(train) == 60_000 and train.num_classes == 10
    assert abs(train.images.double().mean()) < 1e-3
    assert abs(train.images.double().std() - 1) < 1e-3
    assert len(data.load("MNIST", "test", per_class=50)) == 500


@needs("FashionMNIST/raw")
def test_fashion_mnist_is_what_the_published_archives_hold():
    for split, size in (("train", 60_000), ("test", 10_000)):
        assert torch.bincount(data.load("FashionMNIST", split).labels).tolist() == [size // 10] * 10


@needs("cifar-10-batches-py")
def test_cifar10_is_normalised():
    train = data.load("CIFAR10")
    assert torch.bincount(train.labels).tolist() == [5000] * 10
    assert train.images.double().mean((0, 2, 3)).abs().max() < 1e-3
    assert (train.images.double().std((0, 2, 3)) - 1).abs().max() < 1e-3
