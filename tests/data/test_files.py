"""Reading data sets from disk: tiny files in the published formats, whole,
missing and damaged."""

import dataclasses
import hashlib
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from hspec import data
from hspec.data import readers, registry

RNG = np.random.default_rng(0)
LABELS = np.tile(np.arange(10, dtype=np.uint8), 2)


def write_idx(path, array):
    header = np.array([0x800 + array.ndim, *array.shape], dtype=">u4")
    path.write_bytes(header.tobytes() + array.tobytes())


def test_classes_have_the_names_that_torchvision_gives_them():
    assert tuple(datasets.FashionMNIST.classes) == registry._FASHION_CLASSES


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """Two examples a class as Fashion-MNIST, its checksums forgotten."""
    monkeypatch.setitem(
        registry.DATASETS,
        "FashionMNIST",
        dataclasses.replace(
            registry.DATASETS["FashionMNIST"],
            read=readers.read_idx_set("FashionMNIST", {}, tuple("0123456789")),
        ),
    )
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    images = {
        prefix: RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8) for prefix in ("train", "t10k")
    }
    for prefix, pixels in images.items():
        write_idx(raw / f"{prefix}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", LABELS)
    return tmp_path, images


def sort_by_pixels(images):
    return images[np.lexsort(images.reshape(len(images), -1).T)]


def test_idx_files_are_read_padded_with_black_and_normalised(fashion):
    root, images = fashion
    test = data.load("FashionMNIST", "test", root=root)
    assert test.images.shape == (20, 1, 32, 32)
    assert torch.all(test.images[:, :, :2] == (0 - 0.5) / 0.5)
    inner = ((test.images[:, 0, 2:30, 2:30] * 0.5 + 0.5) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(sort_by_pixels(inner), sort_by_pixels(images["t10k"]))
    unpadded = data.load("FashionMNIST", "test", root=root, image_size=28)
    assert torch.equal(unpadded.images, test.images[:, :, 2:30, 2:30])


def test_padded_sets_are_never_cut(fashion):
    with pytest.raises(ValueError, match="28×28 pixels and is never cut"):
        data.load("FashionMNIST", root=fashion[0], image_size=27)


def test_truncated_idx_file_is_named(fashion):
    path = fashion[0] / "FashionMNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(
        data.DamagedData,
        match=r"train-images-idx3-ubyte is truncated or damaged \(15689 bytes, 15696",
    ):
        data.load("FashionMNIST", root=fashion[0])
    path.write_bytes(b"no")
    with pytest.raises(data.DamagedData, match="train-images-idx3-ubyte is not an idx file"):
        data.load("FashionMNIST", root=fashion[0])


def test_idx_files_that_disagree_are_refused(fashion):
    write_idx(fashion[0] / "FashionMNIST/raw/train-labels-idx1-ubyte", LABELS[:-1])
    with pytest.raises(data.DamagedData, match="20 images but 19 labels"):
        data.load("FashionMNIST", root=fashion[0])


def test_a_label_beyond_the_classes_is_refused(fashion):
    """Not dropped without a word: the sample would be smaller than was asked for."""
    (root, _), labels = fashion, LABELS.copy()
    labels[3] = 77
    write_idx(root / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte", labels)
    with pytest.raises(data.DamagedData, match="a label of 'train' is 77, of 10 classes"):
        data.load("FashionMNIST", root=root)


def test_an_image_that_claims_to_be_huge_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.new("RGB", (8, 8)).save(tmp_path / "huge.png")
    with pytest.raises(data.DamagedData, match=r"huge\.png cannot be read as an image"):
        readers.read_image(tmp_path / "huge.png", 8)


@pytest.mark.parametrize("name", ["folder:../elsewhere", "folder:/etc", "folder:a/../../b"])
def test_folders_stay_within_the_data_root(name):
    with pytest.raises(ValueError, match="leads out of the data root"):
        data.load(name)


def test_altered_mnist_file_fails_its_published_checksum(fashion):
    (fashion[0] / "FashionMNIST").rename(fashion[0] / "MNIST")
    with pytest.raises(data.DamagedData, match=r"train-images-idx3-ubyte is damaged .md5"):
        data.load("MNIST", root=fashion[0])


@pytest.mark.parametrize(
    "name", ["MNIST", "FashionMNIST", "CIFAR10", "CIFAR100", "Imagenette", "folder:mine"]
)
def test_missing_set_says_what_where_and_how(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HSPEC_DATA", str(tmp_path))
    monkeypatch.delenv("HSPEC_DOWNLOAD", raising=False)
    home = registry.find(name).home
    with pytest.raises(
        data.MissingData,
        match=rf"{name} is not on this machine.*belongs in {tmp_path / home}.*To get it",
    ):
        data.load(name)
    assert not any(tmp_path.iterdir())


def test_failed_download_says_what_to_do_instead(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setenv("HSPEC_DOWNLOAD", "1")
    with pytest.raises(
        data.MissingData, match=r"could not be downloaded.*copy MNIST/raw there, or set HSPEC_DATA"
    ):
        data.load("MNIST", root=tmp_path)


def test_root_is_argument_then_environment_then_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("HSPEC_DATA", str(tmp_path))
    assert data.data_root("elsewhere").name == "elsewhere"
    assert data.data_root() == tmp_path
    monkeypatch.delenv("HSPEC_DATA")
    assert (data.data_root() / "README.md").is_file()


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Two CIFAR-10 batches of twenty images, with their own md5 sums in place of the
    published ones.
    """

    def write(name, content):
        path = tmp_path / datasets.CIFAR10.base_folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(content))
        return [name, hashlib.md5(path.read_bytes()).hexdigest()]

    pixels = {
        name: RNG.integers(0, 256, (20, 3072), dtype=np.uint8)
        for name in ("data_batch_1", "test_batch")
    }
    sums = {
        name: write(name, {"data": array, "labels": LABELS.tolist()})
        for name, array in pixels.items()
    }
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [sums["data_batch_1"]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [sums["test_batch"]])
    name, md5 = write("batches.meta", {"label_names": [f"class {c}" for c in range(10)]})
    monkeypatch.setattr(
        datasets.CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5}
    )
    return tmp_path, pixels


def test_cifar_batches_are_read_and_normalised(cifar):
    root, pixels = cifar
    train = data.load("CIFAR10", root=root)
    assert train.images.shape == (20, 3, 32, 32) and train.class_names[3] == "class 3"
    mean, std = torch.tensor([125.3, 123.0, 113.9]), torch.tensor([63.0, 62.1, 66.7])
    read = train.images * std[:, None, None] + mean[:, None, None]
    read = read.round().to(torch.uint8).numpy().reshape(20, 3072)
    assert np.array_equal(sort_by_pixels(read), sort_by_pixels(pixels["data_batch_1"]))


def test_damaged_or_missing_cifar_batch_is_named(cifar):
    path = cifar[0] / datasets.CIFAR10.base_folder / "data_batch_1"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(data.DamagedData, match="data_batch_1 is damaged"):
        data.load("CIFAR10", root=cifar[0])
    path.unlink()
    with pytest.raises(data.MissingData, match="data_batch_1 is missing"):
        data.load("CIFAR10", root=cifar[0])


@pytest.fixture
def folder(tmp_path):
    """Three images of each of twelve classes, 32×32 JPEG."""
    for c in range(12):
        for split in ("train", "test"):
            home = tmp_path / "mine" / split / f"class{c:02d}"
            home.mkdir(parents=True)
            for i in range(3):
                grey = np.full((32, 32, 3), 20 * c + i, dtype=np.uint8)
                Image.fromarray(grey).save(home / f"{i}.jpg")
    return tmp_path


def test_image_folder_gives_random_classes_with_their_images(folder):
    sample = data.load("folder:mine", root=folder, per_class=2, classes=5, seed=3)
    assert sample.images.shape == (10, 3, 32, 32)
    grey = (sample.images[:, 0, 0, 0] * 0.229 + 0.485) * 255
    names = [f"class{int(g.round()) // 20:02d}" for g in grey]
    assert names == [sample.class_names[label] for label in sample.labels]
    assert (
        data.load("folder:mine", root=folder, classes=5, seed=3).class_names == sample.class_names
    )
    assert (
        data.load("folder:mine", root=folder, classes=5, seed=4).class_names != sample.class_names
    )


def test_only_the_images_asked_for_are_read(folder, monkeypatch):
    opened = []
    whole = readers.read_image
    monkeypatch.setattr(
        readers, "read_image", lambda *arguments: opened.append(arguments) or whole(*arguments)
    )
    data.load("folder:mine", root=folder, per_class=1)
    assert len(opened) == 12


def test_other_sizes_are_scaled_and_their_centre_taken(tmp_path):
    """A 64×128 picture, black with a white middle, at 56 pixels: scaled to 64×128,
    its centre 56×56 is all white.
    """
    pixels = np.zeros((64, 128, 3), dtype=np.uint8)
    pixels[:, 32:96] = 255
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    image = readers.read_image(tmp_path / "picture.png", 56)
    assert image.shape == (3, 56, 56) and torch.all(image == 1)


def test_damaged_image_is_named(folder):
    path = folder / "mine/train/class04/1.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(data.DamagedData, match=r"class04/1.jpg cannot be read as an image"):
        data.load("folder:mine", root=folder)


def test_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "mine" / "train").mkdir(parents=True)
    with pytest.raises(data.MissingData, match="one sub-folder of images for each class"):
        data.load("folder:mine", root=tmp_path)


def test_imagenette_says_where_its_classes_are_in_imagenet(folder):
    for c in (10, 11):
        for split in ("train", "test"):
            shutil.rmtree(folder / "mine" / split / f"class{c}")
    (folder / "mine").rename(folder / "imagenette224")
    (folder / "imagenette224/test").rename(folder / "imagenette224/val")
    whole = data.load("Imagenette", "test", root=folder, image_size=32)
    assert len(whole) == 30 and whole.imagenet_classes == (
        0,
        217,
        482,
        491,
        497,
        566,
        569,
        571,
        574,
        701,
    )
    some = data.load("Imagenette", root=folder, image_size=32, classes=3, seed=1)
    places = [int(name.removeprefix("class")) for name in some.class_names]
    assert some.imagenet_classes == tuple(whole.imagenet_classes[c] for c in places)


def test_another_normalisation_is_taken_by_name(folder):
    own, bgr = (
        data.load("folder:mine", root=folder, image_size=32, normalization=name)
        for name in (None, "ImageNet bytes, BGR")
    )
    pixels = own.images * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    pixels = 255 * (pixels + torch.tensor([0.485, 0.456, 0.406])[:, None, None])
    expected = (pixels - torch.tensor([123.68, 116.779, 103.939])[:, None, None]).flip(1)
    torch.testing.assert_close(bgr.images, expected, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=r"unknown normalization 'mine'.*ImageNet"):
        data.load("folder:mine", root=folder, normalization="mine")
