"""Readers: from files to a `Table`, whose pixels are read only for the examples asked for."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from hspec.data.errors import DamagedData, MissingData
from hspec.data.libraries import digits, torchvision_class


@dataclass(frozen=True)
class Table:
    """An opened split: labels (N,), the classes' names, read(indices) -> pixels in [0, 1],
    (n, ch, H, W).
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    read: Callable[[np.ndarray], torch.Tensor]


Reader = Callable[[Path, str, int], Table]  # (root, split, image size)

# --- scikit-learn's digits ------------------------------------------------------------------------

DIGITS_TRAIN_PER_CLASS = (
    130  # of the 174 to 183 scans of each digit; the other 497 scans are the test set
)


def read_digits(root: Path, split: str, image_size: int) -> Table:
    """The embedded 8×8 scans; 130 of each class, drawn once and for all,
    are the training set."""
    bunch = digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    rank = np.empty(
        len(order), dtype=int
    )  # place of each scan among those of its class, in the drawn order
    for c in range(10):
        members = order[bunch.target[order] == c]
        rank[members] = np.arange(len(members))
    in_train = rank < DIGITS_TRAIN_PER_CLASS
    rows = np.flatnonzero(in_train if split == "train" else ~in_train)
    pixels = torch.from_numpy(bunch.images[rows]).float()[:, None] / 16
    return Table(bunch.target[rows], tuple("0123456789"), lambda indices: pixels[indices])


# --- MNIST and Fashion-MNIST: idx files -----------------------------------------------------------


def read_idx_set(home: str, checksums: dict[str, str], class_names: tuple[str, ...]) -> Reader:
    """Reader of the uncompressed idx files in root/`home`/raw. checksums:
    published md5 by file name.
    """

    def read(root: Path, split: str, image_size: int) -> Table:
        prefix = "train" if split == "train" else "t10k"
        folder = root / home / "raw"
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte", 3, checksums)
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte", 1, checksums)
        if len(images) != len(labels):
            raise DamagedData(
                f"{folder}: {len(images)} images but {len(labels)} labels for {split!r}"
            )
        if len(labels) and labels.max() >= len(class_names):
            raise DamagedData(
                f"{folder}: a label of {split!r} is {labels.max()}, of {len(class_names)} classes: "
                f"{_REMEDY}"
            )
        return Table(
            labels,
            class_names,
            lambda indices: torch.from_numpy(images[indices]).float()[:, None] / 255,
        )

    return read


def read_idx(path: Path, dimensions: int, checksums: dict[str, str]) -> np.ndarray:
    """An idx file of bytes as an array; its magic number,
    size and (where published) md5 are checked.
    """
    if not path.is_file():
        raise MissingData(f"{path} is missing")
    raw = np.fromfile(path, dtype=np.uint8)
    header = raw[: 4 * (1 + dimensions)].view(">u4") if len(raw) >= 4 * (1 + dimensions) else None
    if header is None or header[0] != 0x800 + dimensions:
        raise DamagedData(f"{path} is not an idx file of {dimensions} dimensions: {_REMEDY}")
    expected = header.nbytes + int(np.prod(header[1:].astype(np.int64)))
    if len(raw) != expected:
        raise DamagedData(
            f"{path} is truncated or damaged ({len(raw)} bytes, {expected} expected): {_REMEDY}"
        )
    check_md5(path, raw, checksums.get(path.name))
    return raw[header.nbytes :].reshape(tuple(header[1:].astype(int)))


def check_md5(path: Path, content: bytes | np.ndarray, expected: str | None) -> None:
    """Raise `DamagedData` where the md5 of the content is not the published one."""
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if expected is not None and found != expected:
        raise DamagedData(f"{path} is damaged (md5 {found}, {expected} expected): {_REMEDY}")


_REMEDY = "delete it and get the data set again"


# --- CIFAR: pickled batches, by torchvision -------------------------------------------------------


def read_cifar(name: str) -> Reader:
    """Reader of the pickled CIFAR batches; no file is opened whose md5 is not the one
    torchvision knows.
    """

    def read(root: Path, split: str, image_size: int) -> Table:
        dataset_class = torchvision_class(name)
        folder = root / dataset_class.base_folder
        meta = (dataset_class.meta["filename"], dataset_class.meta["md5"])
        for file, md5 in [*dataset_class.train_list, *dataset_class.test_list, meta]:
            if not (folder / file).is_file():
                raise MissingData(f"{folder / file} is missing")
            check_md5(folder / file, (folder / file).read_bytes(), md5)
        dataset = dataset_class(root, train=split == "train")
        pixels = np.asarray(dataset.data).transpose(0, 3, 1, 2)
        return Table(
            np.asarray(dataset.targets),
            tuple(dataset.classes),
            lambda i: torch.from_numpy(pixels[i]).float() / 255,
        )

    return read


# --- folders of images ----------------------------------------------------------------------------


_SPLIT_FOLDERS = {"train": ("train",), "test": ("test", "val")}


def read_folder(home: str) -> Reader:
    """Reader of root/home/<split>/<class>/*; ImageNet's name for the test images, val,
    serves too.
    """

    def read(root: Path, split: str, image_size: int) -> Table:
        folders = [root / home / name for name in _SPLIT_FOLDERS[split]]
        folder = next((f for f in folders if f.is_dir()), None)
        if folder is None:
            raise MissingData(f"no folder {' or '.join(str(f) for f in folders)}")
        try:
            listing = torchvision_class("ImageFolder")(folder)
        except FileNotFoundError as error:
            raise MissingData(
                f"{folder} must hold one sub-folder of images for each class: {error}"
            ) from error
        paths = [Path(path) for path, _ in listing.samples]
        return Table(
            np.asarray(listing.targets),
            tuple(listing.classes),
            lambda indices: torch.stack([read_image(paths[i], image_size) for i in indices]),
        )

    return read


def read_image(path: Path, image_size: int) -> torch.Tensor:
    """One file as RGB in [0, 1], (3, image_size, image_size).

    An image of exactly that size is taken as it is; any other has its shorter side scaled to 8/7 of
    `image_size` (256 for 224, as is usual for ImageNet) and its centre cut out.
    """
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DamagedData(f"{path} cannot be read as an image ({error}): {_REMEDY}") from error
    if image.size != (image_size, image_size):
        scale = round(image_size * 8 / 7) / min(image.size)
        size = [max(image_size, round(side * scale)) for side in image.size]
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = [(side - image_size) // 2 for side in size]
        image = image.crop((left, top, left + image_size, top + image_size))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
