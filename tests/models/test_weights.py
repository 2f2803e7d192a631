"""Weights from files: other names, checksums, rows of the last layer; and the public nets,
where they are.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from hspec import data, models
from hspec.training import evaluate

ROOT = Path(os.environ.get("HSPEC_DATA", ""))


def small_net(seed=0, num_classes=10):
    return models.build(
        "resnet20",
        in_channels=1,
        num_classes=num_classes,
        image_size=8,
        width=1 / 8,
        generator=torch.Generator().manual_seed(seed),
    )


def saved(content, path):
    torch.save(content, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def foreign(net):
    """The net's weights under the names of the public ResNets, which count no batches."""
    names = {n: f"module.{n.replace('fc.', 'linear.')}" for n in net.state_dict()}
    return {
        names[n]: t for n, t in net.state_dict().items() if not n.endswith("num_batches_tracked")
    }


def test_foreign_names_are_understood(tmp_path):
    source, net = small_net(1), small_net(2)
    models.load_weights(
        net, *saved({"state_dict": foreign(source), "best_prec1": 9.0}, tmp_path / "net.th")
    )
    assert all(torch.equal(net.state_dict()[n], t) for n, t in source.state_dict().items())


def test_chosen_outputs_are_rows_of_the_last_layer(tmp_path):
    source, net = small_net(1, num_classes=12), small_net(2, num_classes=3)
    path = tmp_path / "net.npz"
    np.savez(path, **{n: t.numpy() for n, t in source.state_dict().items()})
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    models.load_weights(net, path, checksum, outputs=(7, 0, 11))
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net.eval()(images), source.eval()(images)[:, [7, 0, 11]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("fc.bias"), "does not fit this net: it lacks fc.bias"),
        (lambda w: w.update(extra=torch.zeros(2)), "the net has no extra"),
        (lambda w: w.update({"fc.bias": torch.zeros(3)}), "another shape has fc.bias"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_the_net_left_alone(change, message, tmp_path):
    net = small_net(2)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    weights = dict(small_net(1).state_dict())
    change(weights)
    with pytest.raises(models.WeightsError, match=message):
        models.load_weights(net, *saved(weights, tmp_path / "net.pt"))
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())


def test_absent_altered_and_foreign_files_are_named(tmp_path):
    path, checksum = saved(dict(small_net(1).state_dict()), tmp_path / "net.pt")
    with pytest.raises(models.WeightsError, match=r"no file of weights other.pt"):
        models.load_weights(small_net(), tmp_path / "other.pt", checksum)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(models.WeightsError, match=f"sha256 .* not {checksum}"):
        models.load_weights(small_net(), path, checksum)
    path.write_bytes(b"no weights")
    with pytest.raises(models.WeightsError, match="cannot be read as weights"):
        models.load_weights(small_net(), path, hashlib.sha256(b"no weights").hexdigest())


@pytest.mark.skipif(
    not (ROOT / "cifar10-resnets").is_dir() or not (ROOT / "cifar-10-batches-py").is_dir(),
    reason="needs the public ResNets and CIFAR-10: data/README.md says where they belong in "
    "HSPEC_DATA",
)
@pytest.mark.slow
def test_public_resnet32_errs_as_published():
    """7.37 % of the 10,000 test images."""
    net = models.build(
        "resnet32",
        in_channels=3,
        num_classes=10,
        image_size=32,
        generator=torch.Generator().manual_seed(0),
    )
    models.load_weights(
        net,
        ROOT / "cifar10-resnets/resnet32-d509ac18.th",
        "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850",
    )
    assert evaluate(net, data.load("CIFAR10", "test", normalization="ImageNet"))[1] == 0.0737


@pytest.mark.skipif(
    not (ROOT / "squeezenet1_1-imagenet").is_dir() or not (ROOT / "imagenette224").is_dir(),
    reason="needs SqueezeNet's weights and Imagenette: data/README.md says where they belong in "
    "HSPEC_DATA",
)
def test_public_squeezenet_knows_photographs():
    """61.7 % right among 1000 classes, within three standard errors of 100 photographs; bytes,
    blue first.
    """
    photographs = data.load(
        "Imagenette", "test", per_class=10, image_size=224, normalization="ImageNet bytes, BGR"
    )
    net = models.build(
        "squeezenet1_1",
        in_channels=3,
        num_classes=1000,
        image_size=224,
        generator=torch.Generator(),
    )
    models.load_weights(
        net,
        ROOT / "squeezenet1_1-imagenet/squeezenet1_1.npz",
        "019708a57754b8f5166333c1916b813d46b59ce96c3658d6f2e91887797391b3",
    )
    with torch.no_grad():
        answers = torch.cat([net.eval()(x).argmax(1) for x, _ in photographs.batches(25)])
    right = torch.tensor(photographs.imagenet_classes)[photographs.labels] == answers
    assert abs(right.double().mean() - 0.617) < 3 * (0.617 * 0.383 / 100) ** 0.5
