"""Hess, G and H against matrices written out from their definitions,
on every path that computes them.
"""

import copy

import pytest
import torch
from torch import nn

from hspec.curvature import Risk, class_means, gauss_newton, hessian, residual, split_product
from hspec.curvature.engine import sizes
from hspec.curvature.engine.batch_graph import BatchGraph
from hspec.curvature.engine.network import flat
from hspec.curvature.sharded import hessian_of_shards
from hspec.linalg import eigsh


@pytest.fixture(scope="module")
def risk(case):
    return Risk.from_module(case.net, case.batches, case.C)


@pytest.fixture(scope="module")
def X(risk):
    return torch.randn(
        risk.num_parameters, 20, dtype=risk.dtype, generator=torch.Generator().manual_seed(0)
    )


def test_hessian_is_the_dense_hessian(case, risk, rel):
    assert rel(hessian(risk).to_dense(), case.Hess) < 1e-13


def test_gauss_newton_is_the_loop_over_examples(case, risk, rel):
    assert rel(gauss_newton(risk).to_dense(), case.G) < 1e-13


def test_residual_is_the_loop_over_logits(case, risk, rel):
    weights = (case.p - nn.functional.one_hot(case.y, case.C)) / len(case.y)
    H = torch.func.hessian(lambda t: (weights * case.logits(t)).sum())(case.theta)
    assert rel(residual(risk).to_dense(), H) < 1e-13


def test_hessian_is_gauss_newton_plus_residual(risk, rel):
    parts = gauss_newton(risk).to_dense() + residual(risk).to_dense()
    assert rel(parts, hessian(risk).to_dense()) < 1e-13


def test_split_product_gives_all_three(risk, X, rel):
    for Y, operator in zip(split_product(risk, X), (hessian, gauss_newton, residual), strict=True):
        assert Y.shape == X.shape
        assert rel(Y, operator(risk) @ X) < 1e-13
    for y, operator in zip(
        split_product(risk, X[:, 0]), (hessian, gauss_newton, residual), strict=True
    ):
        assert rel(y, operator(risk) @ X[:, 0]) < 1e-13


def test_split_product_refuses_other_shapes(risk):
    with pytest.raises(ValueError, match="a vector"):
        split_product(risk, torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("operator", [hessian, gauss_newton, residual])
@pytest.mark.parametrize("size", [1, 7, 16])
def test_block_equals_single_columns(case, X, rel, operator, size, in_blocks_of):
    risk = Risk.from_module(case.net, case.batches, case.C)
    in_blocks_of(size, risk)
    A = operator(risk)
    assert rel(A @ X, torch.stack([A @ column for column in X.T], 1)) < 1e-13


def test_repr_shows_the_graphs(case):
    risk = Risk.from_module(case.net, case.batches, case.C)
    A = hessian(risk)
    assert repr(A) == f"Hess(p={risk.num_parameters}, N=35, 0 of 4 graphs kept)"
    A @ torch.ones(risk.num_parameters, 2, dtype=torch.float64)
    assert "4 of 4 graphs kept" in repr(A)
    assert "4 of 4 graphs kept" in repr(risk)


def test_blocks_are_for_linear_layers_on_a_cpu(case):
    """By a rule and not by a clock: results must not depend on how busy a machine is."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(case.x[0].numel(), case.C)).double()
    for net, chosen in ((case.net, 1), (linear, 16)):
        assert Risk.from_module(net, case.batches, case.C).graphs.block == chosen


@pytest.mark.parametrize(("width", "chosen"), [(200, 16), (100, 1)])
def test_blocks_are_for_layers_that_narrow_whatever_their_size(width, chosen, rel, monkeypatch):
    monkeypatch.setitem(sizes.WORK, "cpu", 0)
    net = nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    x = torch.randn(40, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    risk = Risk.from_module(net, [(x, torch.arange(40) % 3)])
    assert risk.graphs.block == chosen
    A = hessian(risk)
    X = torch.randn(
        risk.num_parameters, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    assert rel(A @ X, torch.stack([A @ column for column in X.T], 1)) < 1e-13


@pytest.mark.parametrize("share", [0.0, 0.4, 0.99])
@pytest.mark.parametrize("operator", [hessian, gauss_newton, residual])
def test_recomputed_graphs_give_the_same_product(case, risk, X, rel, operator, share):
    kept = operator(risk) @ X
    budget = int(share * risk.graphs.kept_bytes)
    tight = Risk.from_module(case.net, case.batches, case.C, memory_budget=budget)
    assert rel(operator(tight) @ X, kept) < 1e-14
    assert rel(operator(tight) @ X, kept) < 1e-14
    assert tight.graphs.kept_bytes <= budget
    assert len(tight.graphs.kept) == {0.0: 0, 0.4: 1, 0.99: 3}[share]


def by_pieces(risk, X):
    v = dict(zip(risk.parameter_slices, risk.network.unflatten(X[:, 0]), strict=True))
    return flat(list(hessian_of_shards(risk, v).values()))


@pytest.mark.parametrize(
    ("name", "multiply"),
    [("hess", lambda risk, X: hessian(risk) @ X), ("hess_pieces", by_pieces)],
)
def test_out_of_memory_falls_back_to_recomputing_and_says_so_once(
    case, X, rel, monkeypatch, name, multiply
):
    risk = Risk.from_module(case.net, case.batches, case.C)
    failing, hess = [], getattr(BatchGraph, name)

    def sometimes(graph, V):
        if graph is risk.graphs.kept.get(2) and before is not None:
            failing.append(V)
            raise torch.OutOfMemoryError("no memory")
        return hess(graph, V)

    monkeypatch.setattr(BatchGraph, name, sometimes)
    before = None
    before = multiply(risk, X)
    with pytest.warns(UserWarning, match="kept graphs dropped") as warned:
        after = multiply(risk, X)
    assert len(failing) == 1
    assert len(warned) == 1
    assert rel(after, before) < 1e-14
    assert rel(multiply(risk, X), before) < 1e-14
    assert not risk.graphs.kept


def test_gradient_loss_and_error_rate(case, risk, rel):
    def loss(t):
        return nn.functional.cross_entropy(case.logits(t), case.y)

    assert rel(risk.gradient(), torch.func.grad(loss)(case.theta)) < 1e-13
    assert risk.loss() == pytest.approx(float(loss(case.theta)), rel=1e-14)
    assert risk.error_rate() == float((case.p.argmax(1) != case.y).double().mean())
    assert torch.equal(risk.theta, case.theta)
    assert torch.equal(risk.labels, case.y)


def test_float32_agrees_with_float64_on_a_smooth_net(rel):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    data = [(torch.randn(20, 6), torch.randint(3, (20,)))]
    single, double = (
        Risk.from_module(net, data, 3, dtype=dtype) for dtype in (None, torch.float64)
    )
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    X = torch.randn(single.num_parameters, 3)
    for operator in (hessian, gauss_newton, residual):
        assert rel((operator(single) @ X).double(), operator(double) @ X.double()) < 2e-6


def test_fast_precision_is_for_densities_only(case):
    risk = Risk.from_module(case.net, case.batches, case.C, precision="fast")
    fast, exact = gauss_newton(risk), gauss_newton(Risk.from_module(case.net, case.batches, case.C))
    assert exact.exact
    assert not fast.exact
    assert not (2.0 * fast).exact
    for difference in (lambda: fast - exact, lambda: exact - fast, lambda: hessian(risk) + fast):
        with pytest.raises(ValueError, match='reduced precision leaves: use precision="exact"'):
            difference()
    with pytest.raises(ValueError, match="too coarse for eigenvectors"):
        eigsh(fast, 2, generator=torch.Generator())


def test_products_leave_global_numerics_alone(case):
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    hessian(Risk.from_module(case.net, case.batches, case.C)) @ torch.ones(
        case.theta.numel(), dtype=torch.float64
    )
    assert before == (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_evaluation_modes_make_no_difference(case, risk, X, rel, mode):
    """Evaluation code is often wrapped in one of the two."""

    def everything(risk):
        top = eigsh(hessian(risk), 2, generator=torch.Generator().manual_seed(0)).values
        products = [operator(risk) @ X for operator in (hessian, gauss_newton, residual)]
        return [
            *products,
            torch.from_numpy(top),
            risk.gradient(),
            class_means(risk).cross_class_vectors,
        ]

    with mode():
        batches = [(x.clone(), y.clone()) for x, y in case.batches]
        made_inside = Risk.from_module(copy.deepcopy(case.net), batches, case.C)
        inside = [everything(made_inside), everything(risk)]
    for found in (*inside, everything(made_inside)):
        for value, expected in zip(found, everything(risk), strict=True):
            assert rel(value, expected) < 1e-12


def test_no_graph_is_built_while_a_risk_is_checked(case):
    """It would be one of the whole sample, whatever the memory budget."""
    net, seen = copy.deepcopy(case.net), []
    net.register_forward_hook(lambda module, inputs, output: seen.append(output.requires_grad))
    Risk.from_module(net, case.batches, case.C)
    assert seen and not any(seen)


def test_of_no_columns_all_three_products_are_empty():
    risk = Risk.from_module(torch.nn.Linear(4, 3), [(torch.randn(5, 4), torch.arange(5) % 3)])
    none = torch.empty(risk.num_parameters, 0)
    assert [tuple(product.shape) for product in split_product(risk, none)] == [(15, 0)] * 3
