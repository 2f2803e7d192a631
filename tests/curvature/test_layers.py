"""The rewritten layers, and layers that need care, against the dense Hessian."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from hspec.curvature import Risk, gauss_newton, hessian, residual

CONVOLUTIONS = {
    "plain": {},
    "strided": {"stride": 2},
    "padded": {"padding": (1, 2)},
    "dilated": {"dilation": 2, "padding": 2},
    "grouped": {"groups": 2},
    "same": {"padding": "same"},
    "circular": {"padding": 1, "padding_mode": "circular"},
    "no bias": {"bias": False},
}


def classifier(*body, features: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(features, 3)).double().eval()


def dense(net, x, y):
    names = [n for n, q in net.named_parameters() if q.requires_grad]
    shapes = [dict(net.named_parameters())[n].shape for n in names]
    theta = torch.cat([dict(net.named_parameters())[n].detach().reshape(-1) for n in names])

    def loss(t):
        pieces = t.split([s.numel() for s in shapes])
        parameters = {n: piece.view(s) for n, piece, s in zip(names, pieces, shapes, strict=True)}
        return nn.functional.cross_entropy(torch.func.functional_call(net, parameters, (x,)), y)

    return torch.func.hessian(loss)(theta)


def check(net, x, rel):
    y = torch.arange(len(x)) % 3
    risk = Risk.from_module(net, [(x[:4], y[:4]), (x[4:], y[4:])], 3)
    assert rel(hessian(risk).to_dense(), dense(net, x, y)) < 1e-12
    return risk


@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
def test_convolutions(options, rel):
    body = [
        nn.Conv2d(2, 4, 3, **options),
        nn.Softplus(),
        nn.Conv2d(4, 4, 2, **options),
        nn.AdaptiveAvgPool2d(1),
    ]
    check(classifier(*body, features=4), torch.randn(6, 2, 8, 8, dtype=torch.float64), rel)


def test_unbatched_and_one_dimensional_convolutions_are_left_to_autograd(rel):
    body = [nn.Conv1d(2, 4, 3), nn.Softplus(), nn.Conv1d(4, 2, 2)]
    check(classifier(*body, features=10), torch.randn(6, 2, 8, dtype=torch.float64), rel)


LINEAR = {
    "sequences": lambda: [nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2, bias=False), nn.Tanh()],
    "vectors": lambda: [nn.Flatten(), nn.Linear(12, 5), nn.Softplus(), nn.Linear(5, 6), nn.Tanh()],
}


@pytest.mark.parametrize("body", LINEAR.values(), ids=LINEAR.keys())
@pytest.mark.parametrize("frozen", [None, 0, 1])
def test_linear_layers_by_one_vector_and_by_blocks(body, frozen, rel, in_blocks_of):
    net = classifier(*body(), features=6)
    if frozen is not None:
        [m for m in net if isinstance(m, nn.Linear)][frozen].weight.requires_grad_(False)
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    risk = check(net, x, rel)
    for operator in (hessian, gauss_newton, residual):
        in_blocks_of(1, risk)
        one_by_one = operator(risk).to_dense()
        in_blocks_of(16, risk)
        assert rel(operator(risk).to_dense(), one_by_one) < 1e-13


def test_a_block_of_vectors_is_folded_into_single_matrix_products(in_blocks_of):
    net = classifier(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), features=5)
    risk = Risk.from_module(
        net, [(torch.randn(6, 12, dtype=torch.float64), torch.arange(6) % 3)], 3
    )
    in_blocks_of(16, risk)
    X = torch.randn(risk.num_parameters, 7, dtype=torch.float64)

    def matrix_products(columns):
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            hessian(risk) @ columns
        names = [event.name for event in seen.events()]
        return names.count("aten::mm"), names.count("aten::bmm")

    hessian(risk) @ X
    # The product of a block appears twice: as asked for by the sweep, and folded.
    assert matrix_products(X) == (2 * matrix_products(X[:, :1])[0], 0)


def test_batch_norm_without_scale_and_shift(rel):
    body = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, affine=False), nn.Tanh(), nn.AdaptiveAvgPool2d(2)]
    check(classifier(*body, features=12), torch.randn(6, 1, 5, 5, dtype=torch.float64), rel)


class Normalised(nn.Module):
    """A convolution, something that happens to its output,
    and its batch normalisation in evaluation mode.
    """

    def __init__(self, between, **options):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(2, 4, 3, **options), nn.BatchNorm2d(4)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2.0)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)
        self.between = between

    def forward(self, x):
        return torch.tanh(self.between(self, x))


def after_writing_into_the_output(net, x):
    y = net.convolution(x)
    y.mul_(2)
    return net.norm(y)


def image_by_image(net, x):
    """Without a leading dimension of examples, the rows are taken for channels."""
    norm = net.norm
    settings = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return torch.stack([nn.functional.batch_norm(net.convolution(image), *settings) for image in x])


def frozen_by(mode):
    def between(net, x):
        with mode():
            y = net.convolution(x)
        return net.norm(y.clone() if y.is_inference() else y)

    return between


def after_detaching(net, x):
    y = net.convolution(x)
    y.detach_()
    return net.norm(y)


def after_writing_into(name):
    """Into a copy of the weight or the bias, once the convolution has used that one."""

    def between(net, x):
        used = {key: q.clone() for key, q in net.convolution.named_parameters()}
        y = nn.functional.conv2d(x, used["weight"], used["bias"])
        with torch.no_grad():
            used[name].zero_()
        return net.norm(y)

    return between


BETWEEN = {
    "nothing": lambda net, x: net.norm(net.convolution(x)),
    "output used twice": lambda net, x: (lambda y: net.norm(y) + y.sin())(net.convolution(x)),
    "normalised twice": lambda net, x: (lambda y: net.norm(y) + net.norm(y))(net.convolution(x)),
    "another convolution": lambda net, x: (lambda y: net.convolution(x.sin()) + net.norm(y))(
        net.convolution(x)
    ),
    "an activation": lambda net, x: net.norm(net.convolution(x).sin()),
    "output written into": after_writing_into_the_output,
    "unbatched": image_by_image,
}
GEOMETRIES = {
    "plain": {},
    "strided": {"bias": False, "stride": 2, "padding": 1},
    "grouped": {"groups": 2, "padding": "same"},
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN.keys())
@pytest.mark.parametrize("options", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_batch_norm_after_a_convolution(between, options, rel):
    torch.manual_seed(0)
    size = (
        7 if "stride" in options else 4 if "groups" in options else 6
    )  # 4 rows after the convolution
    body, x = Normalised(between, **options), torch.randn(6, 2, size, size, dtype=torch.float64)
    check(classifier(body, features=64), x, rel)


OUTSIDE_OF_THE_GRAPH = {
    "no_grad": frozen_by(torch.no_grad),
    "inference_mode": frozen_by(torch.inference_mode),
    "detached": after_detaching,
    "bias written into": after_writing_into("bias"),
}


@pytest.mark.parametrize("between", OUTSIDE_OF_THE_GRAPH.values(), ids=OUTSIDE_OF_THE_GRAPH.keys())
def test_batch_norm_after_a_convolution_that_gradients_do_not_pass_in_full(between, rel):
    """Without a check, what autograd makes of it is what counts."""
    torch.manual_seed(0)
    net = classifier(Normalised(between), features=64)
    x, y = torch.randn(6, 2, 6, 6, dtype=torch.float64), torch.arange(6) % 3
    risk = Risk.from_module(net, [(x, y)], 3, check=False)
    v = torch.randn(risk.num_parameters, dtype=torch.float64)
    loss, options = (
        nn.functional.cross_entropy(net(x), y),
        {"allow_unused": True, "materialize_grads": True},
    )
    gradient = torch.autograd.grad(loss, list(net.parameters()), create_graph=True, **options)
    slope = torch.cat([g.reshape(-1) for g in gradient]) @ v
    expected = torch.autograd.grad(slope, list(net.parameters()), **options)
    assert rel(hessian(risk) @ v, torch.cat([g.reshape(-1) for g in expected])) < 1e-12


def test_batch_norm_after_a_convolution_whose_weight_is_overwritten():
    """As plain autograd, which cannot differentiate this."""
    x, y = torch.randn(6, 2, 6, 6, dtype=torch.float64), torch.arange(6) % 3
    net = classifier(Normalised(after_writing_into("weight")), features=64)
    risk = Risk.from_module(net, [(x, y)], 3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        hessian(risk) @ torch.ones(risk.num_parameters, dtype=torch.float64)


def test_batch_norm_after_a_convolution_with_a_hook_on_its_gradient():
    seen = []

    def between(net, x):
        y = net.convolution(x)
        if y.requires_grad:
            y.register_hook(lambda gradient: seen.append(gradient.shape))
        return net.norm(y)

    net = classifier(Normalised(between), features=64)
    risk = Risk.from_module(
        net, [(torch.randn(6, 2, 6, 6, dtype=torch.float64), torch.arange(6) % 3)], 3
    )
    hessian(risk) @ torch.ones(risk.num_parameters, dtype=torch.float64)
    assert seen


def test_batch_norm_after_a_convolution_whose_input_is_overwritten(rel):
    def between(net, x):
        x = x.clone()
        y = net.convolution(x)
        x.zero_()
        return net.norm(y)

    torch.manual_seed(0)
    net = classifier(Normalised(between), features=64)
    net[0].convolution.requires_grad_(False)  # or autograd refuses: it needs the input
    check(net, torch.randn(6, 2, 6, 6, dtype=torch.float64), rel)


@pytest.mark.parametrize(("order", "expected"), [((0, 1), False), ((1, 0), True)])
def test_batch_norm_after_a_convolution_makes_no_pass_over_activations(order, expected):
    layers = [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)]
    net = classifier(*(layers[i] for i in order), features=18)
    risk = Risk.from_module(
        net, [(torch.randn(6, 2, 3, 3, dtype=torch.float64), torch.arange(6) % 3)], 3
    )
    v = torch.ones(risk.num_parameters, dtype=torch.float64)
    hessian(risk) @ v
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        hessian(risk) @ v
    multiplied = [event.input_shapes for event in seen.events() if event.name == "aten::mul"]
    assert multiplied and any([6, 2, 3, 3] in shapes for shapes in multiplied) == expected


def test_frozen_convolution_weights(rel):
    net = classifier(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Conv2d(3, 2, 3), nn.Tanh(), features=2)
    for q in (net[0].bias, net[2].weight):
        q.requires_grad_(False)
    risk = check(net, torch.randn(6, 1, 5, 5, dtype=torch.float64), rel)
    assert list(risk.parameter_slices) == ["0.weight", "2.bias", "5.weight", "5.bias"]


def test_in_place_activations(rel):
    body = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2)]
    check(classifier(*body, features=12), torch.randn(6, 1, 5, 5, dtype=torch.float64), rel)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


RELUS = {
    "functional": nn.functional.relu,
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "in place": torch.relu_,
    "method in place": lambda x: (x.relu_(), x)[1],
    "keyword": lambda x: nn.functional.relu(input=x, inplace=True),
}


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS.keys())
def test_relus_by_one_vector_and_by_blocks(relu, rel, in_blocks_of):
    net = classifier(nn.Linear(4, 5), Calls(relu), nn.Linear(5, 6), Calls(relu), features=6)
    risk = check(net, torch.randn(6, 4, dtype=torch.float64), rel)
    in_blocks_of(1, risk)
    one_by_one = hessian(risk).to_dense()
    in_blocks_of(16, risk)
    assert rel(hessian(risk).to_dense(), one_by_one) < 1e-13


def test_a_relu_adds_no_zeros_for_its_second_derivative():
    net = classifier(
        nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), features=5
    )
    risk = Risk.from_module(
        net, [(torch.randn(6, 12, dtype=torch.float64), torch.arange(6) % 3)], 3
    )
    v = torch.randn(risk.num_parameters, dtype=torch.float64)
    hessian(risk) @ v
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        hessian(risk) @ v
    assert "aten::zeros_like" not in [event.name for event in seen.events()]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(4, 12)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]


def test_attention_has_a_second_derivative(rel):
    net = classifier(Attention(), features=20)
    x = torch.randn(6, 5, 4, dtype=torch.float64)
    y = torch.arange(6) % 3
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        reference = dense(net, x, y)
    assert rel(hessian(Risk.from_module(net, [(x, y)], 3)).to_dense(), reference) < 1e-12


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


def test_tied_parameters_count_once(rel):
    torch.manual_seed(0)
    net = Tied().double()
    risk = check(net, torch.randn(6, 4, dtype=torch.float64), rel)
    assert risk.num_parameters == 16 + 4 + 4 + 15
    by_other_name = Risk.from_module(net, risk.data.source, 3, parameters="second.weight")
    assert list(by_other_name.parameter_slices) == ["first.weight"]


def test_a_layers_block_is_the_block_of_the_whole(case, rel):
    whole = Risk.from_module(case.net, case.batches, case.C)
    for pattern in ("4.weight", "8", "8."):
        block = Risk.from_module(case.net, case.batches, case.C, parameters=[pattern])
        names = list(block.parameter_slices)
        where = torch.cat(
            [torch.arange(s.start, s.stop) for n, s in whole.parameter_slices.items() if n in names]
        )
        assert rel(hessian(block).to_dense(), case.Hess[where][:, where]) < 1e-12
        assert rel(gauss_newton(block).to_dense(), case.G[where][:, where]) < 1e-12


class WithSpare(nn.Module):
    def __init__(self):
        super().__init__()
        self.spare, self.head = nn.Linear(2, 2), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(x)


def test_parameters_that_do_not_reach_the_logits_have_zero_rows(rel):
    torch.manual_seed(0)
    net = WithSpare().double()
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.arange(6) % 3
    risk = Risk.from_module(net, [(x, y)], 3)
    for operator in (hessian, gauss_newton):
        A = operator(risk).to_dense()
        assert not A[:6].any()
        assert rel(A[6:, 6:], dense(net.head, x, y)) < 1e-12  # a linear model: Hess = G
    assert not residual(risk).to_dense().any()


class Padded(nn.Module):
    """PyTorch's encoder over places of which the last may be padding, and a head for each place."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 5, 0.0, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.encoder(x, src_key_padding_mask=x[..., 0] == 0)).mT


def test_the_encoders_fast_path_does_not_hide_its_padding(rel):
    """Under no_grad it gives zeros at padded places; with a graph it does not."""
    torch.manual_seed(0)
    net, before = Padded().double().eval(), torch.backends.mha.get_fastpath_enabled()
    x = torch.randn(2, 4, 4, dtype=torch.float64)
    x[:, 3, 0] = 0.0
    y = torch.tensor([[0, 1, 1, -100], [2, 0, 2, -100]])
    risk = Risk.from_module(net, [(x, y)], 3)
    parameters = list(net.parameters())
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel has no second derivative
        loss = nn.functional.cross_entropy(net(x), y)
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    v = torch.randn(risk.num_parameters, dtype=torch.float64)
    pieces = [
        piece.view_as(q)
        for piece, q in zip(v.split([q.numel() for q in parameters]), parameters, strict=True)
    ]
    right = torch.cat([t.flatten() for t in torch.autograd.grad(gradient, parameters, pieces)])
    assert rel(hessian(risk) @ v, right) < 1e-12
    assert torch.backends.mha.get_fastpath_enabled() is before
