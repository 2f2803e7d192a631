"""GKX19's ResNet-32 at the paper's own steps of training: with batch norm, without,
and with population statistics; and the first epochs of the first two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hspec.experiments.experiment import Experiment
from hspec.experiments.films import trained_mode, with_recipe, without_norm
from hspec.experiments.loss_curves import loss_curves
from hspec.experiments.setting import Setting
from hspec.experiments.training_spectrum import training_spectrum
from hspec.papers.net import PublishedNet
from hspec.training import Recipe

FRAMES = (0, 515, 1955, 7000)
POPULATION_STEPS = 15_000
# Images whose statistics batch norm uses in the mode "population"; the paper does not say how many
# it took.
POPULATION_SIZE = 10_000
WITH_NORM = Setting(
    "CIFAR10",
    "resnet32",
    width=1.0,
    per_class=5000,
    test_per_class=100,
    recipe=Recipe(steps=FRAMES[-1], learning_rate=0.1, drops=()),
    checkpoints=FRAMES,
)
# Of 391 updates each: the ends of all, the paper's 515, and 100 of ours.
FIVE_EPOCHS = replace(
    with_recipe(WITH_NORM, steps=1955), checkpoints=(0, 100, 391, 515, 782, 1173, 1564, 1955)
)
# Long enough that the outliers converge: the run says of each whether it has.
LONG_FRAME = {"sample_per_class": 64, "num_steps": 40}
SHORT_FRAME = {"sample_per_class": 20, "num_steps": 30}
LARGER_SAMPLE = {"sample_per_class": 60, "num_steps": 30}  # does the negative part go with it?


def frame(setting: Setting, step: int, options: Mapping[str, int], mode: str = "") -> Experiment:
    """The spectrum after so many updates; mode: of batch norm, by default that of the training."""
    fixed = {"step": step, "batch_norm": mode or trained_mode(setting), "batch_size": 128}
    return Experiment(training_spectrum, setting, fixed | {"num_probes": 1} | dict(options))


def film_of(
    setting: Setting, title: str, cost: float, options: Mapping[str, int] = LONG_FRAME
) -> PublishedNet:
    """A frame after each step that is kept, of the loss that is trained."""
    experiments = {f"step-{step}": frame(setting, step, options) for step in setting.checkpoints}
    return PublishedNet(f"ResNet-32, CIFAR-10, 50,000 images, {title}", cost, experiments)


def early_film(setting: Setting, cost: float) -> PublishedNet:
    """The first epochs with batch norm; its losses, a frame of the net as it is used, and
    one over three times the sample.
    """
    title = f"batch norm, {setting.recipe.steps:,} steps"
    film = film_of(setting, title, cost, SHORT_FRAME)
    others = {
        "training": Experiment(loss_curves, setting),
        "larger-515": frame(setting, 515, LARGER_SAMPLE),
        "eval-515": frame(setting, 515, SHORT_FRAME, "eval"),
    }
    return replace(film, experiments={**film.experiments, **others})


FILMS: dict[str, PublishedNet] = {
    "resnet32-five-epochs": early_film(FIVE_EPOCHS, 2.5e14),
    "resnet32-five-epochs-without-norm": film_of(
        replace(without_norm(FIVE_EPOCHS, 0.03), checkpoints=(100, 515, 1955)),
        "no batch norm, 1,955 steps",
        2.5e14,
        SHORT_FRAME,
    ),
    "resnet32-film": film_of(WITH_NORM, "batch norm, 7,000 steps", 5e14),
    "resnet32-film-without-norm": film_of(
        without_norm(WITH_NORM, 0.01), "no batch norm, 7,000 steps", 5e14
    ),
    "resnet32-film-population": film_of(
        replace(
            with_recipe(
                WITH_NORM,
                batch_norm="population",
                population_size=POPULATION_SIZE,
                steps=POPULATION_STEPS,
            ),
            checkpoints=(*FRAMES, POPULATION_STEPS),
        ),
        "population statistics, 15,000 steps",
        3e16,
    ),
}
