"""Which matrix products are allowed, and that the user's own setting comes back."""

import pytest
import torch
from torch import nn

from hspec.curvature import Risk, hessian
from hspec.curvature.engine import precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def onednn(monkeypatch):
    """onednn(error, amd): as if oneDNN's products were off by that much,
    on a CPU of AMD's or another.
    """

    def pretend(error, amd):
        monkeypatch.setattr(precision, "_error", lambda *_: error)
        monkeypatch.setattr(precision, "_is_amd", lambda: amd)
        precision.onednn_is_better.cache_clear()

    yield pretend
    precision.onednn_is_better.cache_clear()


@pytest.mark.parametrize(
    ("device", "wanted", "amd", "error", "setting"),
    [
        (CPU, "exact", True, 1e-7, "medium"),
        (CPU, "exact", True, 5e-4, "highest"),
        (CPU, "exact", False, 1e-7, "highest"),
        (CPU, "fast", False, 5e-4, "medium"),
        (CUDA, "exact", True, 1e-7, "highest"),
        (CUDA, "fast", True, 1e-7, "high"),
    ],
)
def test_reduced_precision_only_where_it_is_wanted_or_harmless(
    onednn, device, wanted, amd, error, setting
):
    onednn(error, amd)
    before = torch.get_float32_matmul_precision()
    with precision.numerics(CPU, "exact"):
        assert precision._matmul_precision(device, wanted) == setting
    assert torch.get_float32_matmul_precision() == before


def test_error_tells_float32_from_bfloat16():
    generator = torch.Generator().manual_seed(0)
    assert precision._error(64, 512, 48, generator) < precision.ROUNDING / 10
    A, B = torch.randn(64, 512, generator=generator), torch.randn(48, 512, generator=generator)
    coarse = (A.bfloat16() @ B.bfloat16().T).double()
    off = (coarse - A.double() @ B.double().T).abs() / (A.norm(dim=1)[:, None] * B.norm(dim=1))
    assert off.max() > 10 * precision.ROUNDING


def test_single_precision_products_are_good_to_rounding():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 96), nn.Tanh(), nn.Linear(96, 10))
    batches = [(torch.randn(500, 64), torch.randint(10, (500,)))]
    single, double = (
        Risk.from_module(net, batches, 10),
        Risk.from_module(net, batches, 10, dtype=torch.float64),
    )
    v = torch.randn(single.num_parameters)
    exact = hessian(double) @ v.double()
    assert (hessian(single) @ v - exact).norm() < 2e-6 * exact.norm()
