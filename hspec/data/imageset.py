"""The learning wing's only data structure: a fixed sample of images with labels."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch


@dataclass(frozen=True)
class ImageSet:
    """N images of C classes, normalised, in a fixed order.

    Attributes:
        images: (N, channels, H, W), float32.
        labels: (N,), int64 in 0 … C − 1.
        num_classes: C.
        name: Of the data set, as it was loaded.
        split: "train" or "test".
        note: What a reader of a figure must know about the data, or "".
        class_names: The classes' names, in the order of their labels.
        imagenet_classes: The classes' places among the 1000 of ImageNet, or () for a set of others.
    """

    images: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    num_classes: int
    name: str
    split: str
    note: str = ""
    class_names: tuple[str, ...] = field(default=(), repr=False)
    imagenet_classes: tuple[int, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def in_channels(self) -> int:
        return self.images.shape[1]

    @property
    def image_size(self) -> int:
        return self.images.shape[2]

    def batches(self, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The set cut into consecutive (x, y) of `size` examples, as views;
        the last may be smaller.
        """
        if size < 1:
            raise ValueError(f"batches need a size of at least 1, got {size}")
        return list(zip(self.images.split(size), self.labels.split(size), strict=True))

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same set on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of shape, images and labels; two sets with equal fingerprints are the same
        numbers.
        """
        digest = hashlib.sha256(repr((tuple(self.images.shape), self.num_classes)).encode())
        for tensor in (self.images, self.labels):
            digest.update(tensor.detach().cpu().contiguous().numpy())
        return digest.hexdigest()
