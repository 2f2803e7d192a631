"""A ⊗ B by its factors, against the matrix itself."""

import numpy as np
import pytest
import torch

from hspec.linalg import EigenPairs, Kronecker


@pytest.fixture
def factors():
    generator = torch.Generator().manual_seed(0)
    A, B = (torch.randn(n, n, generator=generator, dtype=torch.float64) for n in (4, 3))
    return A + A.T, B + B.T


def test_products_are_those_of_the_matrix(factors):
    A, B = factors
    X = torch.randn(12, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(Kronecker(A, B) @ X, torch.kron(A, B) @ X)
    torch.testing.assert_close(Kronecker(A, B).to_dense(), torch.kron(A, B))
    total = Kronecker(A, B) + 2.0 * Kronecker(A @ A, B @ B)
    torch.testing.assert_close(
        total @ X[:, 0], (torch.kron(A, B) + 2 * torch.kron(A @ A, B @ B)) @ X[:, 0]
    )


def test_eigenvalues_are_products_of_the_factors(factors):
    exact = torch.linalg.eigvalsh(torch.kron(*factors)).flip(0).numpy()
    np.testing.assert_allclose(
        Kronecker(*factors).eigenvalues(), exact, rtol=0, atol=1e-13 * exact[0]
    )


@pytest.mark.parametrize(
    ("which", "places"), [("largest", [0, 1]), ("smallest", [10, 11]), ("both", [0, 1, 10, 11])]
)
def test_eigenpairs_of_either_end(factors, which, places):
    M = torch.kron(*factors)
    pairs = Kronecker(*factors).eigenpairs(2, which)
    assert isinstance(pairs, EigenPairs)
    np.testing.assert_allclose(pairs.values, torch.linalg.eigvalsh(M).flip(0)[places], atol=1e-12)
    torch.testing.assert_close(M @ pairs.vectors, pairs.vectors * torch.from_numpy(pairs.values))
    torch.testing.assert_close(
        pairs.vectors.T @ pairs.vectors, torch.eye(len(places), dtype=torch.float64)
    )
    assert pairs.residuals.max() < 1e-12


def test_float32_factors_have_eigenvalues_in_float64(factors):
    A, B = (M.float() for M in factors)
    exact = torch.linalg.eigvalsh(torch.kron(A.double(), B.double())).flip(0).numpy()
    np.testing.assert_allclose(Kronecker(A, B).eigenvalues(), exact, rtol=0, atol=1e-13 * exact[0])


def test_refusals(factors):
    A, B = factors
    with pytest.raises(ValueError, match="not symmetric"):
        Kronecker(A.triu(), B)
    with pytest.raises(
        ValueError, match=r"KFAC: the factors are torch.float64 on cpu and torch.float32"
    ):
        Kronecker(A, B.float(), "KFAC")
    with pytest.raises(TypeError, match="the second factor must be a dense matrix; got A ⊗ B"):
        Kronecker(A, Kronecker(A, B))
    with pytest.raises(ValueError, match="13 eigenpairs asked of 12"):
        Kronecker(A, B).eigenpairs(13)
