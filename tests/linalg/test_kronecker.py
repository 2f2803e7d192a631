"""A ⊗ B by its factors, against the matrix itself."""

import numpy as np
import pytest
import torch

from hspec.linalg import EigenPairs, Kronecker, LowRank, aslinearoperator
from hspec.linalg.kronecker import Embedded, entries, inner_product, outer_products


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


def rows_of(r, m):
    return torch.randn(r, m, generator=torch.Generator().manual_seed(r), dtype=torch.float64)


@pytest.mark.parametrize("r", [1, 3, 4, 20], ids=["one", "few", "half", "many"])
def test_outer_products_take_the_form_of_fewer_operations(r):
    """2 r m operations a vector by the rows, m² by the matrix; the same matrix either way."""
    rows = rows_of(r, 8)
    factor = outer_products(rows, 0.5)
    assert isinstance(factor, LowRank if r < 4 else torch.Tensor)
    assert entries(r, 8) == (rows.numel() if r < 4 else 64)
    matrix = factor.to_dense() if r < 4 else factor
    torch.testing.assert_close(matrix, 0.5 * rows.T @ rows)


@pytest.mark.parametrize("r", [1, 9])
@pytest.mark.parametrize("s", [2, 9])
def test_factors_of_low_rank_are_their_matrices(r, s):
    """Products, spectra, traces and inner products, by the factors as by the matrices."""
    x, y, other = rows_of(r, 8), rows_of(s, 7), rows_of(3, 8)
    K, dense = Kronecker(outer_products(x), outer_products(y)), torch.kron(x.T @ x, y.T @ y)
    torch.testing.assert_close(K @ rows_of(5, 56).T, dense @ rows_of(5, 56).T)
    scale = float(dense.norm())
    exact = torch.linalg.eigvalsh(dense).flip(0).numpy()
    np.testing.assert_allclose(K.eigenvalues(), exact, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(K.eigenpairs(2).values, exact[:2], rtol=0, atol=1e-13 * scale)
    assert K.trace() == pytest.approx(float(dense.trace()), rel=1e-12)
    for one in (x, other):
        found = inner_product(outer_products(one, 2.0), outer_products(x))
        assert float(found) == pytest.approx(float((2 * one.T @ one * (x.T @ x)).sum()), rel=1e-12)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("right", [True, False])
def test_an_embedded_operator_has_its_eigenvalues_and_zeros(left, right):
    P = torch.linalg.qr(rows_of(3, 6).T).Q if left else None
    Q = torch.linalg.qr(rows_of(2, 5).T).Q if right else None
    x = rows_of(4, (3 if left else 6) * (2 if right else 5))
    S = aslinearoperator(x.T @ x, "S")
    sides = [(P, 6), (Q, 5)]
    of_all = torch.kron(
        *(torch.eye(n, dtype=torch.float64) if M is None else M.contiguous() for M, n in sides)
    )
    A = Embedded(S, (6, 5), P, Q)
    torch.testing.assert_close(A.to_dense(), of_all @ S.matrix @ of_all.T)
    assert repr(A) == "S"
    with pytest.raises(ValueError, match=r"coordinates \(.*\) do not fit it"):
        Embedded(S, (7, 5), None, Q)


def test_refusals(factors):
    A, B = factors
    with pytest.raises(ValueError, match="not symmetric"):
        Kronecker(A.triu(), B)
    with pytest.raises(
        ValueError, match=r"KFAC: the factors are torch.float64 on cpu and torch.float32"
    ):
        Kronecker(A, B.float(), "KFAC")
    with pytest.raises(
        TypeError, match="the second factor must be a dense matrix or of low rank; got A ⊗ B"
    ):
        Kronecker(A, Kronecker(A, B))
    with pytest.raises(ValueError, match="13 eigenpairs asked of 12"):
        Kronecker(A, B).eigenpairs(13)
