"""The nets of P18a, P19 and P20 at full width on the papers' small samples,
trained by the papers' recipe.
"""

from __future__ import annotations

import numpy as np

from hspec.chapters.averaging.measure import averaging
from hspec.chapters.class_means.measure import class_structure
from hspec.chapters.class_structure_everywhere.measure import layer_structure
from hspec.chapters.hierarchy.measure import class_geometry
from hspec.chapters.kronecker.measure import layer_curvature
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.chapters.power_law.measure import log_spectrum
from hspec.experiments.experiment import Experiment
from hspec.experiments.level_spectra import level_spectra
from hspec.experiments.loss_curves import loss_curves
from hspec.experiments.setting import Setting
from hspec.papers.net import Number, PublishedNet, edge, ranked
from hspec.training import PUBLISHED_EPOCHS, Recipe
from hspec.training.recipe import FEW_FOR_BATCH_NORM

# The learning rates that were chosen, by net, data and images per class, of P20's hundred between
# 0.25 and 1e-4, written out: a computed one could differ in its last digit, and with it every key.
RATES = {
    ("vgg11", "CIFAR10", 13): 0.01342773722529442,
    ("vgg11", "MNIST", 13): 0.027346797255685746,
    ("vgg11", "MNIST", 136): 0.014532002371505055,
    ("vgg11", "MNIST", 1351): 0.014532002371505055,
    ("vgg11", "FashionMNIST", 13): 0.0215743933090343,
    ("resnet18", "CIFAR10", 10): 0.0105933898379501,
    ("densenet40", "CIFAR10", 13): 0.0439381967220205,
    ("densenet40", "MNIST", 13): 0.02334862005938568,
    ("densenet40", "FashionMNIST", 13): 0.013427737225294419,
}
NOTEBOOK = "the authors' released notebook (eigenvalues beyond the first were read off its plot)"


# --- VGG11 ----------------------------------------------------------------------------------------


def vgg11_on_13_per_class(dataset: str, *, epochs: int, smallest_batch: int) -> Setting:
    """The papers' recipe on 130 images: mini-batches of 128 and of the two left over, or all
    together.

    Checkpoints are kept after epoch 256, of which numbers were printed, and at the end.
    """
    rate = RATES["vgg11", dataset, 13]
    recipe = Recipe(epochs=epochs, learning_rate=rate, smallest_batch=smallest_batch)
    per_epoch = recipe.steps_per_epoch(130)
    return Setting(
        dataset,
        "vgg11",
        width=1.0,
        per_class=13,
        test_per_class=13,
        recipe=recipe,
        checkpoints=tuple(per_epoch * epoch for epoch in sorted({min(256, epochs), epochs})),
        subset="P19",
        init="P19",
    )


def spectra_and_levels(setting: Setting, epoch: int) -> dict[str, Experiment]:
    """How it trained; Hess, G and H, the levels of G, and its averages beside an eigensolver, after
    ``epoch``; few steps, for a product takes seconds.

    Vectors of 28 million entries fill memory: the ownership takes 16 GB, the levels 5.
    """
    few = {"epoch": epoch, "num_steps": 16, "num_probes": 1}
    return {
        "training": Experiment(loss_curves, setting),
        "ownership": Experiment(ownership, setting, few),
        "levels": Experiment(level_spectra, setting, few),
        "averaging": Experiment(averaging, setting, {"epoch": epoch, "num_steps": 24}),
    }


def claims_of_p18(setting: Setting, epoch: int) -> dict[str, Experiment]:
    """G with its parts knocked out; and over as many test images the law of H, whose H P18a fits,
    and who owns the outliers.

    The basis of the second takes 11 GB in single precision.
    """
    few = {"epoch": epoch, "num_probes": 1}
    return {
        "class-means": Experiment(class_structure, setting, few | {"num_steps": 32}),
        "log-spectrum": Experiment(log_spectrum, setting, few | {"split": "test", "num_steps": 96}),
        "test-ownership": Experiment(ownership, setting, few | {"split": "test", "num_steps": 16}),
    }


VGG11_NUMBERS = (
    *ranked("Hess", (829.4, 415, 390, 342, 295, 207, 190, 171, 139, 61), "ownership", "hess_top"),
    Number("largest of Hess without its top 10", 43.0, "ownership", edge("hess_", np.nanmax)),
    Number("smallest of Hess without its top 10", -20.9, "ownership", edge("hess_", np.nanmin)),
    Number("largest of G without its top 10", 43.7, "ownership", edge("g_", np.nanmax)),
    Number("largest of H", 28.9, "ownership", lambda record: record["h_ends"][0]),
    Number("smallest of H", -30.7, "ownership", lambda record: record["h_ends"][-1]),
    Number("largest of A1", 820, "levels", lambda record: record["A1"][0]),
    Number("10th of A1", 56, "levels", lambda record: record["A1"][9]),
    Number("largest of B1", 3e-3, "levels", lambda record: record["B1"][0]),
)


def vgg11_cifar10(title: str, smallest_batch: int) -> PublishedNet:
    setting = vgg11_on_13_per_class("CIFAR10", epochs=350, smallest_batch=smallest_batch)
    return PublishedNet(
        f"VGG11, CIFAR-10, 13 images per class, epoch 256, {title}",
        1.5e14,
        spectra_and_levels(setting, 256) | claims_of_p18(setting, 256),
        VGG11_NUMBERS,
        NOTEBOOK,
    )


def vgg11_other(dataset: str) -> PublishedNet:
    setting = vgg11_on_13_per_class(dataset, epochs=200, smallest_batch=FEW_FOR_BATCH_NORM)
    return PublishedNet(
        f"VGG11, {dataset}, 13 images per class",
        1e14,
        spectra_and_levels(setting, 200) | claims_of_p18(setting, 200),
    )


def vgg11_on_mnist(per_class: int) -> Setting:
    """The papers' recipe on a larger sample of MNIST; the test sample is of the same size,
    at most 890 per class.
    """
    return Setting(
        "MNIST",
        "vgg11",
        width=1.0,
        per_class=per_class,
        test_per_class=min(per_class, 890),
        recipe=Recipe(
            epochs=PUBLISHED_EPOCHS["MNIST"], learning_rate=RATES["vgg11", "MNIST", per_class]
        ),
        subset="P19",
        init="P19",
    )


# --- ResNet18 and DenseNet40 ----------------------------------------------------------------------

RESNET18 = Setting(
    "CIFAR10",
    "resnet18",
    width=1.0,
    per_class=10,
    test_per_class=10,
    recipe=Recipe(epochs=350, learning_rate=RATES["resnet18", "CIFAR10", 10]),
    subset="P19",
)
RESNET18_NUMBERS = (
    *ranked("G", (165.3, 124, 116, 76, 70, 53, 48, 41, 36, 26), "averaging", "G_top"),
    *ranked("G1", (163, 121, 113, 73, 65, 51, 46, 39, 30, 23), "averaging", "G1"),
)


def densenet40(dataset: str) -> PublishedNet:
    """P19's map of the class means, with its perplexity, C."""
    rate = RATES["densenet40", dataset, 13]
    setting = Setting(
        dataset,
        "densenet40",
        width=1.0,
        per_class=13,
        test_per_class=13,
        recipe=Recipe(
            epochs=PUBLISHED_EPOCHS[dataset], learning_rate=rate, smallest_batch=FEW_FOR_BATCH_NORM
        ),
        subset="P19",
    )
    return PublishedNet(
        f"DenseNet40, {dataset}, 13 images per class",
        1e14,
        {
            "training": Experiment(loss_curves, setting),
            "geometry": Experiment(class_geometry, setting, {"perplexity": 10.0}),
        },
    )


# --- The MLP of eight layers ----------------------------------------------------------------------

# Of the 25 values between 0.25 and 1e-4 from which P20 chose the MLP's; the chosen ones were not
# published.
MLP_RATE = 0.01842015749320193


def mlp_of_eight_layers(dataset: str) -> Setting:
    """P20's MLP with batch norm on 136 images per class,
    at one learning rate of the paper's grid.
    """
    return Setting(
        dataset,
        "mlp:2048x8",
        width=1.0,
        per_class=136,
        test_per_class=136,
        recipe=Recipe(epochs=350, learning_rate=MLP_RATE),
        subset="P19",
    )


def mlp(dataset: str) -> PublishedNet:
    """How it trained, each layer's class structure, and its G beside Kronecker approximations, over
    a sample that fits in memory.
    """
    setting = mlp_of_eight_layers(dataset)
    few = {"sample_per_class": 13, "num_steps": 16, "num_probes": 1}
    return PublishedNet(
        f"MLP of eight layers of 2048, {dataset}, 136 images per class",
        4e14,
        {
            "training": Experiment(loss_curves, setting),
            "structure": Experiment(layer_structure, setting),
            "layers": Experiment(layer_curvature, setting, few),
        },
    )


SMALL_SAMPLES: dict[str, PublishedNet] = {
    "vgg11-left-over": vgg11_cifar10("mini-batches of 128 and 2", smallest_batch=2),
    "vgg11-merged": vgg11_cifar10("all 130 in one mini-batch", smallest_batch=FEW_FOR_BATCH_NORM),
    "resnet18": PublishedNet(
        "ResNet18, CIFAR-10, 10 images per class",
        3e14,
        {
            "training": Experiment(loss_curves, RESNET18),
            "ownership": Experiment(ownership, RESNET18, {"num_steps": 32, "num_probes": 1}),
            "averaging": Experiment(averaging, RESNET18, {"num_steps": 24}),
        },
        RESNET18_NUMBERS,
        NOTEBOOK,
    ),
    "vgg11-mnist": vgg11_other("MNIST"),
    "vgg11-fashion": vgg11_other("FashionMNIST"),
    "vgg11-mnist-136": PublishedNet(
        "VGG11, MNIST, 136 images per class", 1e15, spectra_and_levels(vgg11_on_mnist(136), 200)
    ),
    "densenet40-mnist": densenet40("MNIST"),
    "densenet40-fashion": densenet40("FashionMNIST"),
    "densenet40-cifar10": densenet40("CIFAR10"),
    "mlp-mnist": mlp("MNIST"),
    "mlp-fashion": mlp("FashionMNIST"),
    "mlp-cifar10": mlp("CIFAR10"),
}
# P18a's own fit: the test H of VGG11 on MNIST. Its cost asks for a GPU.
POWER_LAW = PublishedNet(
    "VGG11, MNIST, 1351 images per class",
    5e15,
    {
        "log-spectrum": Experiment(
            log_spectrum,
            vgg11_on_mnist(1351),
            {"split": "test", "num_steps": 128, "num_probes": 1},
        )
    },
)
