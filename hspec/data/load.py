"""`load`: one function from a name to a sample of images."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from hspec.data.errors import MissingData
from hspec.data.imageset import ImageSet
from hspec.data.libraries import torchvision_class
from hspec.data.normalization import find_normalization
from hspec.data.readers import Table
from hspec.data.registry import Dataset, find
from hspec.data.root import data_root, download_allowed
from hspec.data.sample import choose_classes, choose_examples


def load(
    name: str,
    split: str = "train",
    *,
    per_class: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    image_size: int = 32,
    classes: int | None = None,
    subset: str = "nested",
    normalization: str | None = None,
    download: bool | None = None,
) -> ImageSet:
    """A balanced sample of a data set, prepared as in the papers.

    Args:
        name: "digits" (embedded, the default everywhere), a name in `DATASETS`, or "folder:NAME"
            for an image folder NAME/train/<class>/*, NAME/test/<class>/* under the data root.
        split: "train" or "test".
        per_class: Examples of each class, drawn by ``seed``; None takes all. The order is drawn by
            ``seed`` too, classes mixed.
        seed: Of what is drawn: examples, their order, classes.
        root: The folder of the data sets, see `data_root`.
        image_size: Pixels along an edge of the square images: digits are scaled bilinearly, MNIST
            and CIFAR zero-padded (28 leaves MNIST as it is), folders scaled and cropped.
        classes: So many classes drawn at random by ``seed``, labelled 0 … classes − 1 in their old
            order; None takes all.
        subset: The rule of `SUBSETS` by which examples are drawn.
        normalization: A name in `NORMALIZATIONS`; None takes the data set's own.
        download: Fetch what is missing; None asks HSPEC_DOWNLOAD.

    Returns:
        Images (N, channels, image_size, image_size), normalised, with labels (N,).

    Raises:
        ValueError: An argument is unknown, too small, or more than the set has.
        MissingData: The set is not on this machine; the message says where it belongs.
        DamagedData: A file of the set is truncated or altered.

    Example:
        >>> digits = load("digits", per_class=5, image_size=8)
        >>> digits.images.shape, digits.num_classes
        (torch.Size([50, 1, 8, 8]), 10)

    Source: P18a, P20 (balanced samples, normalisation, zero-padding to 32×32)
    """
    if split not in ("train", "test"):
        raise ValueError(f"unknown split {split!r}: 'train' or 'test'")
    if image_size < 1:
        raise ValueError(f"image_size={image_size}: at least 1 pixel")
    dataset = find(name)
    normalise = find_normalization(normalization) if normalization else dataset.normalization
    table = _open(name, dataset, split, data_root(root), image_size, download_allowed(download))
    chosen_classes = choose_classes(len(table.class_names), classes, seed)
    indices = choose_examples(table.labels, chosen_classes, per_class, seed, subset)
    labels = np.searchsorted(chosen_classes, table.labels[indices])
    return ImageSet(
        images=normalise(_fit(table.read(indices), dataset, image_size, name)),
        labels=torch.from_numpy(labels).long(),
        num_classes=len(chosen_classes),
        name=name,
        split=split,
        note=dataset.note,
        class_names=tuple(table.class_names[c] for c in chosen_classes),
        imagenet_classes=tuple(
            dataset.imagenet_classes[c] for c in chosen_classes if dataset.imagenet_classes
        ),
    )


def _open(name, dataset: Dataset, split: str, root: Path, image_size: int, download: bool) -> Table:
    try:
        return dataset.read(root, split, image_size)
    except MissingData as error:
        if not (download and dataset.torchvision):
            raise MissingData(
                f"{name} is not on this machine: {error}. It belongs in {root / dataset.home} "
                "(data live in "
                "root=…, else HSPEC_DATA, else the repository's data/). To get it: "
                f"{dataset.source}."
            ) from error
    _download(name, dataset, root)
    return dataset.read(root, split, image_size)


def _download(name: str, dataset: Dataset, root: Path) -> None:
    try:
        torchvision_class(dataset.torchvision)(root, download=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise MissingData(
            f"{name} could not be downloaded to {root} ({reason}). Fetch it where there is a "
            "network and copy "
            f"{dataset.home} there, or set HSPEC_DATA to a folder that holds it."
        ) from error


def _fit(pixels: torch.Tensor, dataset: Dataset, image_size: int, name: str) -> torch.Tensor:
    """Pixels at image_size, not yet normalised: padding is black, as in the papers, not grey."""
    native = pixels.shape[-1]
    if dataset.fit == "scale" and native != image_size:
        pixels = functional.interpolate(
            pixels, (image_size, image_size), mode="bilinear", align_corners=False
        )
    elif dataset.fit == "pad":
        if image_size < native:
            raise ValueError(
                f"image_size={image_size}: {name} has {native}×{native} pixels and is never cut"
            )
        before = (image_size - native) // 2
        after = image_size - native - before
        pixels = functional.pad(pixels, (before, after, before, after))
    return pixels
