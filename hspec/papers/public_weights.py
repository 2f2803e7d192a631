"""Nets that others trained to the end: the ResNets of CIFAR form,
and SqueezeNet on photographs of ImageNet.
"""

from __future__ import annotations

from hspec.chapters.hierarchy.measure import class_geometry
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.experiments.experiment import Experiment
from hspec.experiments.scale import net_name
from hspec.experiments.setting import Setting
from hspec.experiments.store import Store
from hspec.experiments.training_spectrum import Frame, training_spectrum
from hspec.papers.net import Number, PublishedNet
from hspec.training import Recipe

CIFAR_RESNETS = {
    "resnet20": (
        "resnet20-12fca82f.th",
        "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8",
    ),
    "resnet32": (
        "resnet32-d509ac18.th",
        "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850",
    ),
    "resnet44": (
        "resnet44-014dd654.th",
        "014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4",
    ),
    "resnet56": (
        "resnet56-4bfd9763.th",
        "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367",
    ),
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


def cifar_resnet(
    model: str, cost: float, numbers: tuple[Number, ...] = (), source: str = ""
) -> PublishedNet:
    title = f"ResNet-{model.removeprefix('resnet')}, CIFAR-10, public weights"
    return PublishedNet(
        title, cost, resnet_experiments(public_resnet(model, per_class=100)), numbers, source
    )


PUBLIC_WEIGHTS: dict[str, PublishedNet] = {
    "resnet32": cifar_resnet(
        "resnet32", 3e14, RESNET32_NUMBERS, "GKX19, after 100,000 steps, on all 50,000 images"
    ),
    "resnet20": cifar_resnet("resnet20", 2e14),
    "resnet44": cifar_resnet("resnet44", 4e14),
    "resnet56": cifar_resnet("resnet56", 5e14),
    "squeezenet": PublishedNet(
        "SqueezeNet 1.1, ten classes of ImageNet, public weights",
        2e13,
        {"geometry": Experiment(class_geometry, SQUEEZENET)},
    ),
}


def other_depths(store: Store | None = None) -> dict[str, list[Frame]]:
    """What is stored of the public ResNets but the paper's ResNet-32, in either meaning of batch
    norm: {"ResNet-20, eval": [its frame]}.
    """
    nets = [PUBLIC_WEIGHTS[model] for model in CIFAR_RESNETS if model != "resnet32"]
    found = ((net.records(store)[mode], mode) for net in nets for mode in ("eval", "batch"))
    return {f"{net_name(record)}, {mode}": [record] for record, mode in found if record is not None}
