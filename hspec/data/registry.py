"""The data sets hspec knows by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from hspec.data.imagenet import IMAGENETTE
from hspec.data.normalization import NORMALIZATIONS, Normalization
from hspec.data.readers import Table, read_cifar, read_digits, read_folder, read_idx_set


@dataclass(frozen=True)
class Dataset:
    """How a data set is read and prepared.

    Attributes:
        read: (root, split, image_size) → Table of labels, names of classes, and a reader of pixels.
        normalization: The papers'.
        fit: How an image gets its size: "pad" (zeros around), "scale" (bilinear), or "crop" (done
            by ``read``).
        home: Its place under the data root.
        source: How to get it.
        torchvision: The name of the class in torchvision.datasets that downloads it, with
            checksums, or None.
        note: What a reader of a figure must know, or "".
        imagenet_classes: The classes' places among the 1000 of ImageNet, or ().
    """

    read: Callable[[Path, str, int], Table]
    normalization: Normalization
    fit: str
    home: str
    source: str
    torchvision: str | None = None
    note: str = ""
    imagenet_classes: tuple[int, ...] = ()

    @property
    def checked(self) -> bool:
        """Whether the reader holds the files against published checksums;
        the name then says which images.
        """
        return self.fit != "crop"  # photographs in a folder


# md5 of the uncompressed files. For Fashion-MNIST only the archives' are published: these are the
# files that archives with the published md5s (8d4fb7e6…, 25c81989…, bef4ecab…, bb300cfd…) unpack
# to.
_FASHION_MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
_MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_BY_TORCHVISION = (
    "call hspec.data.load(…, download=True), or set HSPEC_DOWNLOAD=1, on a machine with a network"
)

DATASETS: dict[str, Dataset] = {
    "digits": Dataset(
        read_digits,
        NORMALIZATIONS["digits"],
        fit="scale",
        home="",
        source="embedded in scikit-learn",
    ),
    "MNIST": Dataset(
        read_idx_set("MNIST", _MNIST_MD5, tuple("0123456789")),
        NORMALIZATIONS["MNIST"],
        fit="pad",
        home="MNIST/raw",
        source=_BY_TORCHVISION,
        torchvision="MNIST",
    ),
    "FashionMNIST": Dataset(
        read_idx_set("FashionMNIST", _FASHION_MD5, _FASHION_CLASSES),
        NORMALIZATIONS["FashionMNIST"],
        fit="pad",
        home="FashionMNIST/raw",
        source=_BY_TORCHVISION,
        torchvision="FashionMNIST",
    ),
    "CIFAR10": Dataset(
        read_cifar("CIFAR10"),
        NORMALIZATIONS["CIFAR10"],
        fit="pad",
        home="cifar-10-batches-py",
        source=_BY_TORCHVISION,
        torchvision="CIFAR10",
    ),
    "CIFAR100": Dataset(
        read_cifar("CIFAR100"),
        NORMALIZATIONS["CIFAR100"],
        fit="pad",
        home="cifar-100-python",
        source=_BY_TORCHVISION,
        torchvision="CIFAR100",
    ),
    "Imagenette": Dataset(
        read_folder("imagenette224"),
        NORMALIZATIONS["ImageNet"],
        fit="crop",
        home="imagenette224",
        source="lay the photographs of Imagenette's ten classes out as train/<wnid>/* and "
        "val/<wnid>/*",
        note="photographs of ten classes of ImageNet, 224×224, JPEG quality 75",
        imagenet_classes=tuple(IMAGENETTE.values()),
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
_PER_CLASS_100 = (
    10,
    12,
    15,
    18,
    22,
    27,
    34,
    42,
    51,
    63,
    78,
    96,
    118,
    145,
    178,
    219,
    269,
    331,
    406,
    500,
)
SAMPLE_SIZES: dict[str, tuple[int, ...]] = {
    "MNIST": _PER_CLASS_10,
    "FashionMNIST": _PER_CLASS_10,
    "CIFAR10": _PER_CLASS_10,
    "CIFAR100": _PER_CLASS_100,
}


def find(name: str) -> Dataset:
    """The registry's entry, or one made for "folder:NAME";
    raises ValueError for an unknown name.
    """
    if name in DATASETS:
        return DATASETS[name]
    if name.startswith("folder:") and len(name) > len("folder:"):
        home = PurePath(name.removeprefix("folder:"))
        if home.is_absolute() or ".." in home.parts:
            raise ValueError(
                f"{name!r} leads out of the data root: name a folder in it, or set HSPEC_DATA to "
                "another root"
            )
        return _image_folder(str(home))
    raise ValueError(
        f"unknown data set {name!r}: choose one of {', '.join(DATASETS)}, or 'folder:NAME'"
    )


def _image_folder(home: str) -> Dataset:
    return Dataset(
        read_folder(home),
        NORMALIZATIONS["ImageNet"],
        fit="crop",
        home=home,
        source="lay the images out as train/<class>/* and test/<class>/*",
    )
