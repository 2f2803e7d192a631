"""ImageSet: batches, fingerprint."""

import pytest
import torch

from hspec.data import ImageSet


@pytest.fixture
def image_set():
    images = torch.arange(5 * 4, dtype=torch.float32).reshape(5, 1, 2, 2)
    return ImageSet(images, torch.tensor([0, 1, 1, 0, 1]), 2, "toy", "train")


def test_batches_are_the_set_in_order_with_a_ragged_last(image_set):
    batches = image_set.batches(2)
    assert [len(y) for _, y in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([x for x, _ in batches]), image_set.images)
    assert torch.equal(torch.cat([y for _, y in batches]), image_set.labels)


def test_batch_size_is_positive(image_set):
    with pytest.raises(ValueError, match="at least 1"):
        image_set.batches(0)


def test_fingerprint_depends_on_pixels_labels_and_order(image_set):
    def variant(images=image_set.images, labels=image_set.labels, num_classes=2):
        return ImageSet(images, labels, num_classes, "other name", "test").fingerprint

    assert variant() == image_set.fingerprint
    changed = image_set.images.clone()
    changed[0, 0, 0, 0] += 1e-3
    others = {
        variant(changed),
        variant(labels=1 - image_set.labels),
        variant(image_set.images.flip(0)),
        variant(num_classes=3),
    }
    assert len(others | {image_set.fingerprint}) == 5
