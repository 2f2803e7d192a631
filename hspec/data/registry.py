"""The data sets hspec knows by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torchvision import datasets

from hspec.data.readers import Table, read_cifar, read_digits, read_folder, read_idx_set


@dataclass(frozen=True)
class Dataset:
    """How a data set is read and prepared.

    read(root, split, image_size) -> Table; mean, std: the papers' normalisation, one number per channel;
    fit: "pad" (zeros around) | "scale" (bilinear) | "crop" (done by the reader); home: its place under the
    data root; source: how to get it; torchvision: the class that downloads it, with checksums, or None.
    """

    read: Callable[[Path, str, int], Table]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: str
    home: str
    source: str
    torchvision: type | None = None
    note: str = ""


# md5 of the uncompressed files. For Fashion-MNIST only the archives' are published: torchvision checks them
# when it downloads, and the reader checks sizes.
_MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_FASHION_CLASSES = tuple(datasets.FashionMNIST.classes)
_CIFAR10_MEAN, _CIFAR10_STD = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BY_TORCHVISION = (
    "call hspec.data.load(…, download=True), or set HSPEC_DOWNLOAD=1, on a machine with a network"
)

DATASETS: dict[str, Dataset] = {
    "digits": Dataset(
        read_digits,
        mean=(0.3053,),  # of all 1,797 scans, in units of the largest grey value, 16
        std=(0.3760,),
        fit="scale",
        home="",
        source="embedded in scikit-learn",
    ),
    "MNIST": Dataset(
        read_idx_set("MNIST", _MNIST_MD5, tuple("0123456789")),
        mean=(0.1307,),
        std=(0.3081,),
        fit="pad",
        home="MNIST/raw",
        source=_BY_TORCHVISION,
        torchvision=datasets.MNIST,
    ),
    "FashionMNIST": Dataset(
        read_idx_set("FashionMNIST", {}, _FASHION_CLASSES),
        mean=(0.5,),
        std=(0.5,),
        fit="pad",
        home="FashionMNIST/raw",
        source=_BY_TORCHVISION,
        torchvision=datasets.FashionMNIST,
    ),
    "CIFAR10": Dataset(
        read_cifar(datasets.CIFAR10),
        mean=_CIFAR10_MEAN,
        std=_CIFAR10_STD,
        fit="pad",
        home="cifar-10-batches-py",
        source=_BY_TORCHVISION,
        torchvision=datasets.CIFAR10,
    ),
    "CIFAR10-JPEG": Dataset(
        read_folder("", "cifar10-jpeg"),
        mean=_CIFAR10_MEAN,
        std=_CIFAR10_STD,
        fit="crop",
        home="cifar10-jpeg",
        source="lay the 32×32 JPEG files out as train/<class>/*.jpg and test/<class>/*.jpg",
        note="CIFAR-10 (JPEG copy, quality 75): not bit-identical to CIFAR-10",
    ),
    "CIFAR100": Dataset(
        read_cifar(datasets.CIFAR100),
        mean=(129.3 / 255, 124.1 / 255, 112.4 / 255),
        std=(68.2 / 255, 65.4 / 255, 70.4 / 255),
        fit="pad",
        home="cifar-100-python",
        source=_BY_TORCHVISION,
        torchvision=datasets.CIFAR100,
    ),
}

# Examples per class in the papers' grids. Source: P20.
_PER_CLASS_10 = (
    10,
    13,
    19,
    26,
    37,
    51,
    71,
    98,
    136,
    189,
    263,
    365,
    506,
    702,
    974,
    1351,
    1874,
    2599,
    3605,
    5000,
)
_PER_CLASS_100 = (10, 12, 15, 18, 22, 27, 34, 42, 51, 63, 78, 96, 118, 145, 178, 219, 269, 331, 406, 500)
SAMPLE_SIZES: dict[str, tuple[int, ...]] = {
    "MNIST": _PER_CLASS_10,
    "FashionMNIST": _PER_CLASS_10,
    "CIFAR10": _PER_CLASS_10,
    "CIFAR100": _PER_CLASS_100,
}


def find(name: str) -> Dataset:
    """The registry's entry, or one made for "folder:NAME"; raises ValueError for an unknown name."""
    if name in DATASETS:
        return DATASETS[name]
    if name.startswith("folder:") and len(name) > len("folder:"):
        return _image_folder(name.removeprefix("folder:"))
    raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(DATASETS)}, or 'folder:NAME'")


def _image_folder(home: str) -> Dataset:
    return Dataset(
        read_folder(home),
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        fit="crop",
        home=home,
        source="lay the images out as train/<class>/* and test/<class>/*",
    )
