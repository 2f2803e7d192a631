"""Matrices of prescribed spectrum, and generators."""

import numpy as np
import pytest
import torch

from hspec.linalg import LinearOperator


class Wrapped(LinearOperator):
    """Any function of X as an operator."""

    def __init__(self, p, function):
        super().__init__(p, torch.float64, "cpu", "user's matrix")
        self.function = function

    def _matmat(self, X):
        return self.function(X)


def prescribed_matrix(eigenvalues, dtype=torch.float64, seed=0):
    """A symmetric matrix (p, p) with the given eigenvalues and random eigenvectors."""
    values = torch.as_tensor(np.asarray(eigenvalues, dtype=np.float64))
    g = torch.Generator().manual_seed(seed)
    Q, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=g, dtype=torch.float64))
    A = (Q * values) @ Q.T
    return ((A + A.T) / 2).to(dtype)


@pytest.fixture
def prescribed():
    return prescribed_matrix


@pytest.fixture
def wrapped():
    return Wrapped


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def normal():
    """normal(p, …): standard normal float64 numbers of fixed seed."""
    return lambda *shape, seed=1: torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
