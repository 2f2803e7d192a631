"""Samples: balanced, nested, repeatable; and the digits they are drawn from."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from hspec import data
from hspec.data.sample import choose_examples

LABELS = np.repeat(np.arange(4), [10, 20, 30, 5])


def test_sample_is_balanced_nested_and_repeatable():
    small = choose_examples(LABELS, np.arange(4), 3, seed=1)
    large = choose_examples(LABELS, np.arange(4), 5, seed=1)
    assert np.bincount(LABELS[small]).tolist() == [3, 3, 3, 3]
    assert set(small) < set(large)
    assert np.array_equal(small, choose_examples(LABELS, np.arange(4), 3, seed=1))
    assert set(small) != set(choose_examples(LABELS, np.arange(4), 3, seed=2))


def test_published_subsets_are_drawn_by_the_legacy_generator_afresh_for_each_class():
    """Written from the rule: seed, then choice without replacement, class by class."""
    expected = []
    for c in range(4):
        generator = np.random.RandomState(0)
        expected += generator.choice(np.where(c == LABELS)[0], 5, replace=False).tolist()
    found = choose_examples(LABELS, np.arange(4), 5, seed=0, subset="P19")
    assert sorted(found) == sorted(expected)
    assert set(choose_examples(LABELS, np.arange(4), 3, seed=0, subset="P19")) < set(found)
    with pytest.raises(ValueError, match="unknown subset 'P20': choose one of nested, P19"):
        choose_examples(LABELS, np.arange(4), 5, seed=0, subset="P20")


def test_too_large_a_sample_names_the_class_and_what_it_has():
    with pytest.raises(ValueError, match="class 3 has only 5 examples; choose per_class ≤ 5"):
        choose_examples(LABELS, np.arange(4), 6, seed=0)
    with pytest.raises(ValueError, match="at least 1"):
        choose_examples(LABELS, np.arange(4), 0, seed=0)


def test_digits_are_split_without_overlap_and_lose_nothing():
    train, test = (data.load("digits", split, image_size=8) for split in ("train", "test"))
    assert torch.bincount(train.labels).tolist() == [130] * 10
    assert len(train) + len(test) == 1797

    def rows(image_set):
        return image_set.images.flatten(1) * 0.3760 + 0.3053

    scans = torch.from_numpy(load_digits().data).float() / 16
    both = torch.cat([rows(train), rows(test)])
    order = [np.lexsort(t.round(decimals=4).numpy().T) for t in (both, scans)]
    torch.testing.assert_close(both[order[0]], scans[order[1]], atol=1e-6, rtol=0)


def test_digits_are_scaled_bilinearly_and_normalised():
    small, large = (data.load("digits", per_class=5, image_size=size) for size in (8, 32))
    assert large.images.shape == (50, 1, 32, 32)
    assert large.images.dtype == torch.float32 and large.labels.dtype == torch.int64
    torch.testing.assert_close(
        large.images.mean((1, 2, 3)), small.images.mean((1, 2, 3)), atol=1e-5, rtol=0
    )
    whole = torch.cat(
        [data.load("digits", split, image_size=8).images for split in ("train", "test")]
    )
    assert abs(whole.mean()) < 1e-3 and abs(whole.std() - 1) < 1e-3


def test_order_mixes_the_classes():
    labels = data.load("digits", per_class=100, image_size=8).labels
    assert all(len(batch.unique()) == 10 for batch in labels.split(128)[:-1])


def test_random_classes_are_relabelled():
    sample = data.load("digits", per_class=3, classes=4, seed=5, image_size=8)
    names = sample.class_names
    assert len(names) == sample.num_classes == 4 and list(names) == sorted(names)
    full = data.load("digits", image_size=8)
    for image, label in zip(sample.images, sample.labels, strict=True):
        same = (full.images == image).flatten(1).all(1)
        assert str(full.labels[same].item()) == names[label]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "digit"}, "unknown data set 'digit'.*digits, MNIST"),
        ({"name": "folder:"}, "unknown data set"),
        ({"name": "digits", "split": "validation"}, "'train' or 'test'"),
        ({"name": "digits", "image_size": 0}, "at least 1 pixel"),
        ({"name": "digits", "classes": 11}, "between 2 and the 10"),
        ({"name": "digits", "per_class": 131}, "class 0 has only 130"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(**arguments)


def test_sample_sizes_are_log_spaced():
    for name, (low, high) in {"MNIST": (10, 5000), "CIFAR100": (10, 500)}.items():
        expected = np.geomspace(low, high, 20)
        assert np.abs(np.array(data.SAMPLE_SIZES[name]) - expected).max() <= 1
