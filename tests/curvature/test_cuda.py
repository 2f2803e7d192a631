"""Products on a GPU against float64 on the CPU."""

import pytest
import torch

from hspec.curvature import A1, Risk, class_means, gauss_newton, hessian, residual

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; none is here"),
]


@pytest.fixture
def pair(case):
    on_gpu = [(x.cuda(), y.cuda()) for x, y in case.batches]
    net = case.net.to("cuda")
    gpu = Risk.from_module(net, on_gpu, case.C)
    net.to("cpu")
    return Risk.from_module(case.net, case.batches, case.C), gpu


@pytest.mark.parametrize(
    "operator", [hessian, gauss_newton, residual, lambda risk: A1(class_means(risk))]
)
def test_products(pair, rel, operator):
    cpu, gpu = pair
    X = torch.randn(cpu.num_parameters, 20, dtype=torch.float64)
    assert rel((operator(gpu) @ X.cuda()).cpu(), operator(cpu) @ X) < 1e-12
    assert rel((operator(gpu) @ X[:, 0].cuda()).cpu(), operator(cpu) @ X[:, 0]) < 1e-12


@pytest.mark.parametrize("operator", [hessian, gauss_newton])
def test_products_do_not_synchronise(pair, operator):
    _, gpu = pair
    A, v = operator(gpu), torch.ones(gpu.num_parameters, dtype=torch.float64, device="cuda")
    A @ v
    torch.cuda.set_sync_debug_mode("error")
    try:
        A @ v
    finally:
        torch.cuda.set_sync_debug_mode("default")
