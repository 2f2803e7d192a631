"""How many updates the papers' nets were trained by: VGG11 on the same 130 images, by more and
more of them.

The papers count epochs. Where an epoch is one pass over a sample of 130 images, 350 of them are 350
updates; where it is as many mini-batches as the whole set has, they are 136,850. The files of the
authors' released nets name the last epoch of each (:data:`STOPPED`); a narrow net can be trained by
both on a laptop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from hspec.chapters.averaging.measure import averaging
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.experiments.experiment import Experiment
from hspec.experiments.level_spectra import level_spectra
from hspec.experiments.setting import Setting
from hspec.papers.net import PublishedNet
from hspec.papers.small_samples import (
    NOTEBOOK,
    RESNET18,
    RESNET18_NUMBERS,
    VGG11_NUMBERS,
    vgg11_on_13_per_class,
)
from hspec.training import PUBLISHED_EPOCHS, Recipe
from hspec.training.recipe import FEW_FOR_BATCH_NORM

EPOCHS, MOMENT = (
    PUBLISHED_EPOCHS["CIFAR10"],
    256,
)  # of CIFAR-10; the epoch whose eigenvalues were printed
UPDATES_PER_PASS = 391  # mini-batches of 128 in 50,000 images
ALL_UPDATES = EPOCHS * UPDATES_PER_PASS
FLOP_PER_UPDATE = 130 * 1.03e9  # VGG11's gradient over 130 images, at full width


class Stretch(NamedTuple):
    """A recipe over another number of updates, at so many times its learning rate.

    Weight decay shrinks by Σ η, the sum of the rates: ten times the rate for a tenth of the updates
    comes as far, where steps are small enough to follow one and the same flow.
    """

    updates: int
    times: int = 1

    @property
    def name(self) -> str:
        return f"{self.updates}" + (f"-rate-{self.times}" if self.times > 1 else "")

    def __str__(self) -> str:
        faster = f" at {self.times} times the rate" if self.times > 1 else ""
        return f"{self.updates:,} updates{faster}"


# In the order of Σ η.
LADDER = (
    Stretch(EPOCHS),
    Stretch(3_500),
    Stretch(35_000),
    Stretch(3_500, times=10),
    Stretch(ALL_UPDATES),
    Stretch(ALL_UPDATES // 10, times=10),
)


class Stopped(NamedTuple):
    """A released net whose training ended before the papers' last epoch: the file's name says so.

    Source: the list of files in deep-lab/DeepnetHessian, models.py.
    """

    net: str
    dataset: str
    num_examples: int
    epoch: int

    @property
    def updates(self) -> int:
        """So many it had, were an epoch one pass over its images."""
        return self.epoch * -(-self.num_examples // 128)


STOPPED = (
    Stopped("VGG11", "FashionMNIST", 130, 136),
    Stopped("VGG11", "MNIST", 13_510, 142),
    Stopped("VGG11", "CIFAR100", 2_200, 31),
    Stopped("DenseNet40", "CIFAR100", 1_000, 45),
    Stopped("DenseNet40", "CIFAR100", 1_200, 98),
    Stopped("DenseNet40", "CIFAR100", 1_500, 37),
    Stopped("DenseNet40", "CIFAR100", 1_800, 82),
    Stopped("DenseNet40", "CIFAR100", 2_200, 37),
    Stopped("DenseNet40", "CIFAR100", 3_400, 18),
    Stopped("DenseNet40", "CIFAR100", 5_100, 36),
    Stopped("DenseNet40", "CIFAR100", 7_800, 95),
    Stopped("DenseNet40", "CIFAR100", 9_600, 78),
    Stopped("DenseNet40", "CIFAR100", 50_000, 246),
)


def moment(updates: int) -> int:
    """The update at which such a training has come as far as the papers' after epoch 256."""
    return round(updates * MOMENT / EPOCHS)


def growth(recipe: Recipe, num_examples: int, epoch: int) -> float:
    """By what factor weight decay alone makes the curvature larger after ``epoch`` where an epoch
    has as many updates as the whole set, over where it is one update.

    See :meth:`hspec.training.Recipe.decay`.
    """
    shrunk = [
        replace(recipe, epochs=None, steps=EPOCHS * each).decay(num_examples, epoch * each)
        for each in (1, UPDATES_PER_PASS)
    ]
    return (shrunk[0] / shrunk[1]) ** 2


def stretched(setting: Setting, stretch: Stretch, **changes: object) -> Setting:
    """The setting so stretched, with a checkpoint where the numbers were printed."""
    updates, rate = stretch.updates, stretch.times * setting.recipe.learning_rate
    recipe = replace(setting.recipe, epochs=None, steps=updates, learning_rate=rate)
    steps = (moment(updates), updates)
    return replace(setting, recipe=recipe, checkpoints=steps, **changes)


def stretched_vgg11(title: str, width: float, stretch: Stretch, num_steps: int) -> PublishedNet:
    """All 130 images in one mini-batch; beside the numbers that were printed for epoch 256."""
    full = vgg11_on_13_per_class("CIFAR10", epochs=EPOCHS, smallest_batch=FEW_FOR_BATCH_NORM)
    setting = stretched(full, stretch, width=width)
    # An epoch of this recipe is one update.
    options = {"epoch": moment(stretch.updates), "num_steps": num_steps, "num_probes": 1}
    experiments = {
        "ownership": Experiment(ownership, setting, options),
        "levels": Experiment(level_spectra, setting, options),
    }
    return PublishedNet(
        f"{title}, CIFAR-10, 13 images per class, {stretch}",
        stretch.updates * FLOP_PER_UPDATE * width**2,
        experiments,
        VGG11_NUMBERS,
        NOTEBOOK,
    )


def narrow_net(stretch: Stretch) -> PublishedNet:
    """VGG11 at a sixteenth of the width."""
    return stretched_vgg11("VGG11 at 1/16 of the width", 1 / 16, stretch, 40)


WHOLE = Stretch(ALL_UPDATES)
STRETCHED: dict[str, PublishedNet] = {
    **{f"vgg11-narrow-{stretch.name}": narrow_net(stretch) for stretch in LADDER},
    # The whole nets. Their cost asks for a GPU.
    f"vgg11-{WHOLE.name}": stretched_vgg11("VGG11", 1.0, WHOLE, 16),
    f"resnet18-{WHOLE.name}": PublishedNet(
        f"ResNet18, CIFAR-10, 10 images per class, {WHOLE}",
        ALL_UPDATES * 100 * 3.3e9,
        {"averaging": Experiment(averaging, stretched(RESNET18, WHOLE), {"num_steps": 24})},
        RESNET18_NUMBERS,
        NOTEBOOK,
    ),
}
