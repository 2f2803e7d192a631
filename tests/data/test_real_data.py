"""Real MNIST, where HSPEC_DATA holds it."""

import os
from pathlib import Path

import pytest

from hspec import data

pytestmark = pytest.mark.skipif(
    not (Path(os.environ.get("HSPEC_DATA", "")) / "MNIST" / "raw").is_dir(),
    reason="needs MNIST: set HSPEC_DATA to a folder that holds MNIST/raw",
)


def test_mnist_is_normalised_and_padded():
    train = data.load("MNIST", image_size=28)
    assert len(train) == 60_000 and train.num_classes == 10
    assert abs(train.images.double().mean()) < 1e-3
    assert abs(train.images.double().std() - 1) < 1e-3
    assert len(data.load("MNIST", "test", per_class=50)) == 500
