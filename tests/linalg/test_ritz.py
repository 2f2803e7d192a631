"""What a subspace holds: dense projections, interlacing, invariant subspaces."""

import numpy as np
import pytest
import torch

from hspec.linalg import ritz_values


@pytest.fixture
def matrix():
    M = torch.randn(9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return M + M.T


def test_they_are_the_eigenvalues_of_the_projection(matrix):
    M = torch.randn(9, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    P = M @ torch.linalg.pinv(M)
    exact = torch.linalg.eigvalsh(P @ matrix @ P)
    exact = exact[exact.abs() > 1e-10].flip(0)
    found = ritz_values(matrix, M)
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    assert found.sum() == pytest.approx(float((P @ matrix).trace()), rel=1e-12)
    assert (found <= torch.linalg.eigvalsh(matrix).flip(0)[:3].numpy()).all()


def test_an_invariant_subspace_has_its_own_eigenvalues(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    mixed = vectors[:, -3:] @ torch.tensor([[1.0, 2, 0], [0, 1, 5], [1, 0, 1]], dtype=torch.float64)
    np.testing.assert_allclose(ritz_values(matrix, mixed), values.flip(0)[:3], rtol=1e-12)


def test_dependent_columns_count_once(matrix):
    v = torch.ones(9, dtype=torch.float64)
    found = ritz_values(matrix, torch.stack([v, 2 * v], 1))
    np.testing.assert_allclose(found, ritz_values(matrix, v), rtol=1e-12)
    assert found.shape == (1,)


def test_a_subspace_of_another_space_is_refused(matrix):
    with pytest.raises(ValueError, match="restricted to the span of a tensor of shape"):
        ritz_values(matrix, torch.ones(8, 2, dtype=torch.float64))
