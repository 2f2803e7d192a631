"""The nets: sizes as published, seeded initialisation, smooth variants, refusals."""

import pytest
import torch
import torchvision
from torch import nn

from hspec import models
from hspec.models.resnet import PaddedShortcut


def build(name, seed=0, **settings):
    settings = {"in_channels": 3, "num_classes": 10, "image_size": 32} | settings
    return models.build(name, generator=torch.Generator().manual_seed(seed), **settings)


@pytest.mark.parametrize(
    ("name", "settings", "parameters"),
    [
        ("vgg11", {}, 28_157_706),  # P18a, P19, P20
        ("vgg11_linear", {}, 9_231_114),
        ("resnet18", {}, 11_173_962),
        ("resnet18_imagenet", {"num_classes": 1000}, 11_689_512),
        ("resnet20", {}, 269_722),
        ("resnet32", {}, 464_154),  # GKX19: 460k
        ("resnet44", {}, 658_586),
        ("resnet56", {}, 853_018),
        ("densenet40", {}, 1_019_722),
        ("mlp:20", {"in_channels": 1, "image_size": 28}, 15_910),  # GKX19: 784-20-10
        ("mlp:800-450", {"in_channels": 1, "image_size": 28}, 785 * 800 + 801 * 450 + 451 * 10),
        ("mlp:2048x8", {"width": 1 / 64}, 3073 * 32 + 7 * 33 * 32 + 33 * 10),
        (
            "mlp:20",
            {"in_channels": 1, "image_size": 28, "norm": "batch"},
            784 * 20 + 2 * 20 + 21 * 10,
        ),
    ],
)
def test_number_of_parameters(name, settings, parameters):
    assert models.count_parameters(build(name, **settings)) == parameters


NARROW = [(name, 1 / 8) for name in models.MODELS] + [("mlp:20-10", 1.0), ("mlp:16x3", 1.0)]


@pytest.mark.parametrize("norm", models.NORMS)
@pytest.mark.parametrize(("name", "width"), NARROW)
def test_every_net_maps_images_to_logits_and_every_parameter_matters(name, width, norm):
    net = build(name, width=width, norm=norm, in_channels=1, num_classes=7)
    assert any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in net.modules()) == (
        norm == "batch"
    )
    logits = net(torch.randn(5, 1, 32, 32, generator=torch.Generator().manual_seed(1)))
    assert logits.shape == (5, 7)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize(("name", "width"), NARROW)
def test_smallest_image_is_enough_and_one_less_is_refused(name, width):
    smallest = models.MODELS[name].smallest_image if name in models.MODELS else 1
    net = build(name, width=width, image_size=smallest).eval()
    assert net(torch.zeros(1, 3, smallest, smallest)).shape == (1, 10)
    if smallest > 1:
        with pytest.raises(ValueError, match=f"image_size={smallest} or more"):
            build(name, width=width, image_size=smallest - 1)


def test_initialisation_is_the_generators_alone():
    before = torch.get_rng_state()
    first, same, other = (build("resnet32", seed, width=1 / 4).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[k], same[k]) for k in first)
    torch.manual_seed(0)
    again = build("resnet32", 3, width=1 / 4).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    drawn = [k for k in first if k.endswith("weight") and first[k].dim() > 1]
    assert len(drawn) == 32 and not any(torch.equal(first[k], other[k]) for k in drawn)


def test_initial_variances():
    """2 / fan-in within five standard errors √(2/n) of a variance estimate from n normal
    numbers.
    """
    net = build("vgg11", width=1 / 2)
    weights = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for weight in weights:
        expected = (1 if weight is weights[-1] else 2) / weight[0].numel()
        assert abs(weight.var().item() / expected - 1) < 5 * (2 / weight.numel()) ** 0.5


def test_published_initialisation():
    """Convolutions 2 / fan-out; linear layers 0.01 each, whatever their size."""
    net = build("vgg11", width=1 / 2, init="P19")
    for m in net.modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            expected = 2 / (9 * m.out_channels) if isinstance(m, nn.Conv2d) else 1e-4
            assert abs(m.weight.var().item() / expected - 1) < 5 * (2 / m.weight.numel()) ** 0.5


def test_signal_keeps_its_size_without_norm():
    """Residual branches scaled by 1/√B: logits of order one at any depth,
    where unscaled ones grow as 2^(B/2).
    """
    images = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    spread = build("resnet32", norm="none")(images).std().item()
    assert 0.1 < spread < 10


def test_imagenet_resnet_is_torchvisions():
    """Same names, same function: torchvision's weights load and give torchvision's logits."""
    reference = torchvision.models.resnet18(weights=None).double().eval()
    net = build("resnet18_imagenet", num_classes=1000, image_size=64).double().eval()
    net.load_state_dict(reference.state_dict())
    images = torch.randn(
        2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    torch.testing.assert_close(net(images), reference(images), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["softplus", "tanh", "gelu"])
def test_smooth_nets_have_no_relu(activation):
    net = build("resnet32", width=1 / 8, activation=activation)
    assert not any(isinstance(m, nn.ReLU) for m in net.modules())
    assert any(isinstance(m, models.ACTIVATIONS[activation]) for m in net.modules())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("vgg12", {}, "unknown model 'vgg12'.*vgg11, vgg11_linear"),
        ("mlp:20,10", {}, "called by its hidden widths"),
        ("mlp:", {}, "called by its hidden widths"),
        ("mlp:0", {}, "at least one unit"),
        ("vgg11", {"norm": "layer"}, "unknown norm 'layer'.*batch, none"),
        ("vgg11", {"activation": "swish"}, "unknown activation.*relu"),
        ("vgg11", {"init": "zero"}, "unknown init 'zero': choose one of He, P19"),
        ("vgg11", {"width": 0}, "width multiplier must be positive"),
        ("vgg11", {"num_classes": 1}, "two classes"),
        ("vgg11", {"image_size": 28}, "image_size=32 or more"),
    ],
)
def test_bad_arguments_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        build(name, **settings)


def test_padded_shortcut_puts_zero_channels_half_before_and_half_after():
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    shortcut = PaddedShortcut(2, 3)(x)
    assert shortcut.shape == (1, 5, 2, 2)
    assert torch.equal(shortcut[:, 1:3], x[:, :, ::2, ::2])
    assert not shortcut[:, [0, 3, 4]].any()


def test_squeezenet_is_torchvisions():
    """Same names, same function: torchvision's weights load and give torchvision's logits."""
    reference = torchvision.models.squeezenet1_1(weights=None).double().eval()
    net = build("squeezenet1_1", num_classes=1000, image_size=64).double().eval()
    assert models.count_parameters(net) == 1_235_496
    net.load_state_dict(reference.state_dict())
    images = torch.randn(
        2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    torch.testing.assert_close(net(images), reference(images), rtol=1e-12, atol=1e-12)
