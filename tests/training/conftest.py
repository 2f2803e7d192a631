"""A small problem for the training tests: a narrow net with batch norm and dropout on sixty
digits.
"""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hspec import data
from hspec.training import Recipe


def make_model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(144, 10),
        )


@pytest.fixture
def problem(tmp_path):
    return SimpleNamespace(
        model=make_model(),
        train_set=data.load("digits", per_class=6, image_size=8),
        test_set=data.load("digits", "test", per_class=4, image_size=8),
        recipe=Recipe(epochs=4, batch_size=16, learning_rate=0.1),
        folder=tmp_path / "run",
    )
