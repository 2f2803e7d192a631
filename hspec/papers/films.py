"""GKX19's ResNet-32 at the paper's own steps of training: with batch norm, without,
and with population statistics.
"""

from __future__ import annotations

from dataclasses import replace

from hspec.experiments.experiment import Experiment
from hspec.experiments.films import trained_mode, with_recipe, without_norm
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


def film_of(setting: Setting, title: str, cost: float) -> PublishedNet:
    """A frame after each step that is kept, of the loss that is trained,
    over 64 images of each class.
    """
    frame = {"batch_norm": trained_mode(setting), "batch_size": 128, "sample_per_class": 64}
    experiments = {
        f"step-{step}": Experiment(
            training_spectrum, setting, frame | {"step": step, "num_steps": 40, "num_probes": 1}
        )
        for step in setting.checkpoints
    }
    return PublishedNet(f"ResNet-32, CIFAR-10, 50,000 images, {title}", cost, experiments)


FILMS: dict[str, PublishedNet] = {
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
