"""What a Risk refuses, in which words; and that it never touches the module it is given."""

import copy

import pytest
import torch
from torch import nn

from hspec.curvature import Risk, class_means, exact_gauss_newton_spectrum, hessian


def net(*extra):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), *extra, nn.Linear(5, 3))


def data(n=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 4, generator=generator), torch.arange(n) % 3


def test_dropout_in_training_mode():
    with pytest.raises(
        ValueError,
        match=r"layer '2' is in training mode with dropout 0.5. Call model.eval\(\) first",
    ):
        Risk.from_module(net(nn.Dropout(0.5)), [data()], 3)
    Risk.from_module(net(nn.Dropout(0.5)).eval(), [data()], 3)
    Risk.from_module(net(nn.Dropout(0.0)), [data()], 3)


def test_dropout_is_refused_in_every_batch_norm_mode():
    with pytest.raises(ValueError, match="dropout"):
        Risk.from_module(net(nn.BatchNorm1d(5), nn.Dropout()), [data()], 3, batch_norm="batch")


def test_batch_norm_in_training_mode():
    with pytest.raises(ValueError, match=r"'2' is in training mode. Call model.eval\(\) first"):
        Risk.from_module(net(nn.BatchNorm1d(5)), [data()], 3)
    Risk.from_module(net(nn.BatchNorm1d(5)), [data()], 3, batch_norm="batch")


class Noisy(nn.Module):
    def forward(self, x):
        return x + 0.1 * torch.randn_like(x)


def test_a_module_that_draws_random_numbers():
    with pytest.raises(
        ValueError,
        match=r"change between products: layer '2' \(Noisy\) gives another output each time",
    ):
        Risk.from_module(net(Noisy()).eval(), [data()], 3)


def test_a_shuffling_loader():
    """It repeats itself where it shuffles by the global generator,
    which a risk sets and gives back; else not.
    """
    dataset = torch.utils.data.TensorDataset(*data(60))
    own = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="module repeats itself: switch off shuffling"):
        Risk.from_module(
            net(), torch.utils.data.DataLoader(dataset, 10, shuffle=True, generator=own), 3
        )
    module = net()
    state = torch.get_rng_state()
    for options in ({"shuffle": True}, {}):
        loader = torch.utils.data.DataLoader(dataset, 25, **options)
        risk = Risk.from_module(module, loader, 3)
        assert (risk.num_examples, risk.data.num_batches) == (60, 3)
        assert torch.equal(state, torch.get_rng_state())
        assert risk.loss() == pytest.approx(Risk.from_module(module, [data(60)], 3).loss())


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            torch.ones(2, 4),
            torch.tensor([0, 3]),
            "batch 0 has labels out of range: 0 to 3, where 0 to 2",
        ),
        (torch.ones(2, 4), torch.tensor([-1, 1]), "labels out of range: -1 to 1"),
        (
            torch.ones(2, 4),
            torch.tensor([0.0, 1.0]),
            r"labels of dtype torch.float32 .*: for cross-entropy class indices .* "
            r"loss=nn.MSELoss\(\)",
        ),
        (
            torch.ones(2, 4),
            torch.tensor([0, 1, 2]),
            r"labels of shape \(3,\) for inputs of shape \(2, 4\)",
        ),
        (torch.ones(0, 4), torch.tensor([], dtype=torch.long), "batch 0 is empty"),
        (torch.full((2, 4), torch.nan), torch.tensor([0, 1]), "batch 0 has non-finite inputs"),
        (
            torch.ones(2, 4).double(),
            torch.tensor([0, 1]),
            "batch 0 has dtype torch.float64, the module torch.float32",
        ),
        (torch.ones(2, 4, device="meta"), torch.tensor([0, 1]), "batch 0 is on the meta device"),
        ([1.0], torch.tensor([0]), "not a pair of tensors"),
    ],
)
def test_batches(x, y, message):
    with pytest.raises(ValueError, match=message):
        Risk.from_module(net(), [(x, y)], 3)


def test_the_bad_batch_is_named():
    good, (x, y) = data(), data()
    x[3, 2] = torch.inf
    with pytest.raises(ValueError, match="batch 1 has non-finite inputs"):
        Risk.from_module(net(), [good, (x, y)], 3)


def test_non_finite_logits_and_weights():
    broken = net()
    with torch.no_grad():
        broken[0].weight.fill_(3e38)
    broken[1] = nn.Identity()
    with pytest.raises(ValueError, match=r"batch 0 has non-finite outputs \(logits\)"):
        Risk.from_module(broken, [data()], 3)
    with torch.no_grad():
        broken[0].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"'0.weight' holds non-finite numbers"):
        Risk.from_module(broken, [data()], 3)


def test_no_batches_and_spent_iterators():
    with pytest.raises(ValueError, match="the sample is empty"):
        Risk.from_module(net(), [], 3)
    with pytest.raises(ValueError, match=r"spent after one pass: give a sequence, list\(batches\)"):
        Risk.from_module(net(), iter([data()]), 3)


def test_width_of_the_logits():
    with pytest.raises(
        ValueError, match=r"gives \(6, 3\), where logits of shape \(6, 5\).* is num_classes right"
    ):
        Risk.from_module(net(), [data()], 5)
    with pytest.raises(ValueError, match="num_classes=1"):
        Risk.from_module(net(), [data()], 1)


def test_mixed_dtypes_and_devices():
    mixed = net()
    mixed[2].double()
    with pytest.raises(
        ValueError, match=r"mixes dtypes \(float32, float64\).*pass dtype=torch.float64"
    ):
        Risk.from_module(mixed, [data()], 3)
    assert Risk.from_module(mixed, [data()], 3, dtype=torch.float64).dtype == torch.float64
    with pytest.raises(ValueError, match=r"float32 or float64, not torch\.bfloat16"):
        Risk.from_module(net().bfloat16(), [data()], 3)
    spread = net()
    spread[2].to("meta")
    with pytest.raises(ValueError, match=r"several devices \(cpu, meta\)"):
        Risk.from_module(spread, [data()], 3)


def test_parameters_that_match_nothing():
    with pytest.raises(
        ValueError, match=r"'layer9' matches no trainable parameter. Available: 0.weight, 0.bias, 2"
    ):
        Risk.from_module(net(), [data()], 3, parameters=["0.weight", "layer9"])
    with pytest.raises(ValueError, match=r"parameters is empty. Available: 0\.weight"):
        Risk.from_module(net(), [data()], 3, parameters=[])
    frozen = net().requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameters"):
        Risk.from_module(frozen, [data()], 3)
    with pytest.raises(ValueError, match="Available: none"):
        Risk.from_module(frozen, [data()], 3, parameters="0")


def test_unknown_options():
    with pytest.raises(
        ValueError,
        match="batch_norm='train' is unknown: choose one of 'eval', 'batch', 'population'",
    ):
        Risk.from_module(net(), [data()], 3, batch_norm="train")
    with pytest.raises(
        ValueError, match="precision='tf32' is unknown: choose one of 'exact', 'fast'"
    ):
        Risk.from_module(net(), [data()], 3, precision="tf32")


class Uncopyable:
    def __deepcopy__(self, memo):
        raise RuntimeError("a file is open")


def test_modules_that_cannot_be_copied():
    holding = net()
    holding.cache = Uncopyable()
    with pytest.raises(TypeError, match=r"Sequential cannot be copied \(a file is open\)"):
        Risk.from_module(holding, [data()], 3)


@pytest.mark.parametrize("batch_norm", ["eval", "batch", "population"])
def test_the_module_is_never_modified(batch_norm):
    module = net(nn.BatchNorm1d(5)).eval()
    module[0].bias.requires_grad_(False)
    module[0].weight.grad = torch.ones_like(module[0].weight)
    seen = []
    module[1].register_forward_hook(lambda m, i, o: seen.append(m))
    before = copy.deepcopy(module.state_dict())
    facts = [(q, q.requires_grad, q.grad is None) for q in module.parameters()]
    hooks = [
        (dict(m._forward_hooks), dict(m._forward_pre_hooks), m.training) for m in module.modules()
    ]

    risk = Risk.from_module(
        module, [data(), data(4)], 3, batch_norm=batch_norm, dtype=torch.float64
    )
    hessian(risk) @ torch.ones(risk.num_parameters, dtype=torch.float64)
    _ = class_means(risk).class_vectors
    exact_gauss_newton_spectrum(risk)

    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    for (q, needs, bare), now in zip(facts, module.parameters(), strict=True):
        assert q is now
        assert (q.requires_grad, q.grad is None) == (needs, bare)
    assert torch.equal(module[0].weight.grad, torch.ones(5, 4))
    assert hooks == [
        (dict(m._forward_hooks), dict(m._forward_pre_hooks), m.training) for m in module.modules()
    ]
    assert module[1] not in seen  # the copy ran, never the module itself
