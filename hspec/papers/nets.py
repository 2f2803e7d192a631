"""The papers' own nets, beside the papers' own numbers.

A published net is a setting at full width, what is measured of it, and the numbers that were printed for it.
:func:`compared` sets them side by side; what a store does not have yet is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hspec.chapters.hierarchy.measure import class_geometry
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.experiments.experiment import Experiment
from hspec.experiments.level_spectra import level_spectra
from hspec.experiments.records import Record
from hspec.experiments.setting import Setting
from hspec.experiments.store import Store
from hspec.experiments.training_spectrum import training_spectrum
from hspec.training import Recipe
from hspec.training.recipe import FEW_FOR_BATCH_NORM


@dataclass(frozen=True)
class Number:
    """A number that was published, and where a record has its like: ``measured(record)`` of ``experiment``."""

    quantity: str
    value: float
    experiment: str
    measured: Callable[[Record], float]


@dataclass(frozen=True)
class PublishedNet:
    """A net of the papers at one sample size.

    title        net, data, sample, moment
    cost         of all experiments, in floating-point operations, reasoned: two cores do 1e15 in 2 to 6 hours
    experiments  what is measured of it, by name
    numbers      what was printed for it; source  where
    """

    title: str
    cost: float
    experiments: Mapping[str, Experiment]
    numbers: tuple[Number, ...] = ()
    source: str = ""

    def records(self, store: Store | None = None) -> dict[str, Record | None]:
        """What is stored of it; None for what is still to be measured."""
        store = store or Store()
        return {name: store.get(e.measure, e.key) for name, e in self.experiments.items()}


class Comparison(NamedTuple):
    """A published number beside the measured one (NaN: not measured yet), and measured / published."""

    quantity: str
    published: float
    measured: float
    ratio: float


def compared(net: PublishedNet, store: Store | None = None) -> list[Comparison]:
    """Every published number of the net beside the stored one."""
    records = net.records(store)
    rows = []
    for number in net.numbers:
        record = records[number.experiment]
        measured = np.nan if record is None else float(number.measured(record))
        rows.append(Comparison(number.quantity, number.value, measured, measured / number.value))
    return rows


def ranked(name: str, values: tuple[float, ...], experiment: str, array: str) -> tuple[Number, ...]:
    """One number for each of the leading entries of ``array``: λ_1(name), λ_2(name), …"""
    return tuple(
        Number(f"λ_{k + 1}({name})", value, experiment, lambda record, k=k: record[array][k])
        for k, value in enumerate(values)
    )


def edge(prefix: str, end: Callable) -> Callable[[Record], float]:
    """The outermost node of the quadrature whose arrays begin with ``prefix``; end: np.nanmin or np.nanmax."""
    return lambda record: end(record[f"{prefix}nodes"])


# --- VGG11, 13 images per class -----------------------------------------------------------------------------

# The learning rates that were chosen, of P20's hundred between 0.25 and 1e-4, written out: a computed one could
# differ in its last digit, and with it every key.
RATES = {
    "vgg11 CIFAR10": 0.01342773722529442,
    "vgg11 MNIST": 0.027346797255685746,
    "vgg11 FashionMNIST": 0.0215743933090343,
    "resnet18 CIFAR10": 0.0105933898379501,
}


def vgg11_on_13_per_class(dataset: str, *, epochs: int, smallest_batch: int) -> Setting:
    """The papers' recipe on 130 images: mini-batches of 128 and of the two left over, or all together.

    Checkpoints are kept after epoch 256, of which numbers were printed, and at the end.
    """
    rate = RATES[f"vgg11 {dataset}"]
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


def vgg11_experiments(setting: Setting, epoch: int) -> dict[str, Experiment]:
    """Hess, G and H, and the levels of G, after ``epoch``; few steps, for a product takes seconds."""
    few = {"epoch": epoch, "num_steps": 16, "num_probes": 1}
    return {
        "ownership": Experiment(ownership, setting, few),
        "levels": Experiment(level_spectra, setting, few),
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
NOTEBOOK = "the authors' released notebook (eigenvalues beyond the first were read off its plot)"


def vgg11_cifar10(title: str, smallest_batch: int) -> PublishedNet:
    setting = vgg11_on_13_per_class("CIFAR10", epochs=350, smallest_batch=smallest_batch)
    return PublishedNet(
        f"VGG11, CIFAR-10, 13 images per class, epoch 256, {title}",
        1.5e14,
        vgg11_experiments(setting, 256),
        VGG11_NUMBERS,
        NOTEBOOK,
    )


def vgg11_other(dataset: str) -> PublishedNet:
    setting = vgg11_on_13_per_class(dataset, epochs=200, smallest_batch=FEW_FOR_BATCH_NORM)
    return PublishedNet(f"VGG11, {dataset}, 13 images per class", 1e14, vgg11_experiments(setting, 200))


# --- ResNet18 on CIFAR-10, 10 images per class --------------------------------------------------------------

RESNET18 = Setting(
    "CIFAR10",
    "resnet18",
    width=1.0,
    per_class=10,
    test_per_class=10,
    recipe=Recipe(epochs=350, learning_rate=RATES["resnet18 CIFAR10"]),
    subset="P19",
)
RESNET18_NUMBERS = ranked("G", (165.3, 124, 116, 76, 70, 53, 48, 41, 36, 26), "ownership", "g_top")

# --- ResNets for CIFAR-10 with public weights ---------------------------------------------------------------

CIFAR_RESNETS = {
    "resnet20": ("resnet20-12fca82f.th", "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"),
    "resnet32": ("resnet32-d509ac18.th", "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850"),
    "resnet44": ("resnet44-014dd654.th", "014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4"),
    "resnet56": ("resnet56-4bfd9763.th", "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367"),
}


def public_resnet(model: str, *, per_class: int, test_per_class: int = 100) -> Setting:
    """A fully trained ResNet of CIFAR form: 200 epochs with batch norm, all 50,000 images."""
    file, checksum = CIFAR_RESNETS[model]
    return Setting(
        "CIFAR10",
        model,
        width=1.0,
        per_class=per_class,
        test_per_class=test_per_class,
        recipe=Recipe(epochs=0),
        checkpoints=(0,),
        normalization="ImageNet",
        weights=f"cifar10-resnets/{file}",
        weights_sha256=checksum,
    )


def resnet_experiments(setting: Setting) -> dict[str, Experiment]:
    """Both meanings of batch norm at the end of training, and whose the outliers are."""
    frame = {"step": 0, "num_steps": 40, "num_probes": 1}
    return {
        "eval": Experiment(training_spectrum, setting, frame | {"batch_norm": "eval"}),
        "batch": Experiment(
            training_spectrum,
            setting,
            frame | {"batch_norm": "batch", "batch_size": 125, "sample_per_class": 50},
        ),
        "ownership": Experiment(
            ownership, setting, {"sample_per_class": 50, "num_steps": 40, "num_probes": 1}
        ),
        "geometry": Experiment(class_geometry, setting),
    }


RESNET32_NUMBERS = tuple(
    number
    for mode in ("eval", "batch")
    for number in (
        Number(f"λ_min, {mode}", -0.0006, mode, lambda record: record["bottom"][0]),
        Number(f"λ_max, {mode} (printed: of order 1)", 1.0, mode, lambda record: record["top"][0]),
    )
)
# --- SqueezeNet on photographs of ten classes of ImageNet ---------------------------------------------------

SQUEEZENET = Setting(
    "Imagenette",
    "squeezenet1_1",
    width=1.0,
    norm="none",
    image_size=224,
    per_class=50,
    test_per_class=50,
    recipe=Recipe(epochs=0),
    checkpoints=(0,),
    normalization="ImageNet bytes, BGR",
    weights="squeezenet1_1-imagenet/squeezenet1_1.npz",
    weights_sha256="019708a57754b8f5166333c1916b813d46b59ce96c3658d6f2e91887797391b3",
)
PUBLISHED_NETS: dict[str, PublishedNet] = {
    "vgg11-left-over": vgg11_cifar10("mini-batches of 128 and 2", smallest_batch=2),
    "vgg11-merged": vgg11_cifar10("all 130 in one mini-batch", smallest_batch=FEW_FOR_BATCH_NORM),
    "vgg11-mnist": vgg11_other("MNIST"),
    "vgg11-fashion": vgg11_other("FashionMNIST"),
    "resnet18": PublishedNet(
        "ResNet18, CIFAR-10, 10 images per class",
        3e14,
        {"ownership": Experiment(ownership, RESNET18, {"num_steps": 32, "num_probes": 1})},
        RESNET18_NUMBERS,
        NOTEBOOK,
    ),
    "resnet32": PublishedNet(
        "ResNet-32, CIFAR-10, public weights",
        3e14,
        resnet_experiments(public_resnet("resnet32", per_class=100)),
        RESNET32_NUMBERS,
        "GKX19, after 100,000 steps, on all 50,000 images",
    ),
    "squeezenet": PublishedNet(
        "SqueezeNet 1.1, ten classes of ImageNet, public weights",
        2e13,
        {"geometry": Experiment(class_geometry, SQUEEZENET)},
    ),
}
