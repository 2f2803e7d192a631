"""A small net whose matrices are known densely."""

import pytest
import torch
from torch import nn

from hspec.curvature import Risk, gauss_newton, hessian, residual


@pytest.fixture(scope="session")
def net():
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 3, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(48, 6),
        nn.Tanh(),
        nn.Linear(6, 3),
    )
    return nn.Sequential(*layers).double().eval()


@pytest.fixture(scope="session")
def batches():
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(30, 1, 6, 6, dtype=torch.float64, generator=generator), torch.arange(30) % 3
    return list(zip(x.split(12), y.split(12), strict=True))


@pytest.fixture(scope="session")
def dense(net, batches):
    """{matrix: its eigenvalues, ascending}, by all products."""
    risk = Risk.from_module(net, batches)
    matrices = {"Hess": hessian, "G": gauss_newton, "H": residual}
    return {name: torch.linalg.eigvalsh(A(risk).to_dense()).numpy() for name, A in matrices.items()}
