import numpy as np
import pytest
import torch

from hspec.linalg import LinearOperator, LowRank, aslinearoperator, identity


def test_sums_differences_and_multiples_are_those_of_the_matrices(prescribed, normal):
    a, b = prescribed(np.arange(6.0)), prescribed(np.linspace(-1, 1, 6), seed=1)
    A, B = aslinearoperator(a, "G"), aslinearoperator(b, "A1")
    X = normal(6, 3)
    for operator, matrix in [
        (A + B, a + b),
        (A - B, a - b),
        (2.0 * A - B * 3.0, 2 * a - 3 * b),
        (-A, -a),
        (A + b, a + b),
        (A - identity(6), a - torch.eye(6, dtype=torch.float64)),
        (-(A - (B - A)), -(2 * a - b)),
    ]:
        assert torch.allclose(operator @ X, matrix @ X, atol=1e-14)
        assert torch.allclose(operator @ X[:, 0], matrix @ X[:, 0], atol=1e-14)
        assert torch.allclose(operator.to_dense(block_size=4), matrix, atol=1e-14)


def test_names_read_like_the_formula():
    A, B = identity(3).named("G"), identity(3).named("A1")
    assert repr(A - B) == "G - A1"
    assert repr(A - B - B) == "G - A1 - A1"
    assert repr(2.0 * A + B) == "2 G + A1"
    assert repr(-A) == "-G"
    assert repr(A - (A - B).named("rest")) == "G - rest"


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            torch.ones(4, dtype=torch.float64),
            r"G has shape \(3, 3\) and was multiplied by .* shape \(4,\)",
        ),
        (torch.ones(3, 1, 1, dtype=torch.float64), "shape"),
        (torch.ones(3), "float64 and was multiplied by a tensor of torch.float32"),
    ],
)
def test_refuses_what_does_not_fit(X, message):
    with pytest.raises(ValueError, match=message):
        identity(3).named("G") @ X


def test_refuses_arrays_that_are_not_tensors():
    with pytest.raises(TypeError, match=r"torch.Tensor only; got ndarray"):
        identity(3) @ np.ones(3)


def test_refuses_a_product_of_the_wrong_shape():
    class Wrong(LinearOperator):
        def _matmat(self, X):
            return X[:1]

    with pytest.raises(ValueError, match="returned a tensor of shape"):
        Wrong(3, torch.float64, "cpu", "W") @ torch.ones(3, dtype=torch.float64)


def test_refuses_sums_of_different_matrices():
    with pytest.raises(
        ValueError, match=r"cannot be added: their shapes are \(3, 3\) and \(4, 4\)"
    ):
        identity(3) + identity(4)
    with pytest.raises(ValueError, match="their dtypes"):
        identity(3) + identity(3, torch.float32)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (
            torch.tensor([[0.0, 1.0], [0.0, 0.0]]),
            "not symmetric: an entry differs from its mirror image by 1",
        ),
        (torch.ones(2, 3), r"shape \(2, 3\)"),
        (torch.full((2, 2), float("nan")), "not finite"),
        (torch.ones(2, 2, dtype=torch.int64), "float32 or float64"),
    ],
)
def test_refuses_matrices_that_are_not_symmetric_and_finite(matrix, message):
    with pytest.raises(ValueError, match=message):
        aslinearoperator(matrix)


def test_refuses_other_things():
    with pytest.raises(TypeError, match="got list"):
        aslinearoperator([[1.0]])


@pytest.mark.parametrize("shape", [(30, 5), (4, 9)])  # tall; more columns than dimensions
def test_low_rank_eigenpairs_are_exact(shape, normal):
    F, s = normal(*shape), normal(shape[1], seed=2)  # signs mixed
    A = LowRank(F, s)
    dense = F @ torch.diag(s) @ F.T
    assert torch.allclose(A.to_dense(), dense, atol=1e-13)
    pairs = A.eigenpairs()
    exact = np.linalg.eigvalsh(dense.numpy())
    nonzero = exact[np.abs(exact) > 1e-10][::-1]
    assert np.allclose(pairs.values, nonzero, rtol=0, atol=1e-12)
    assert pairs.residuals.max() < 1e-12
    assert torch.allclose(
        pairs.vectors.T @ pairs.vectors, torch.eye(len(pairs), dtype=torch.float64), atol=1e-12
    )


def test_low_rank_with_dependent_columns_finds_the_rank(normal):
    F = normal(20, 3)
    pairs = LowRank(torch.cat([F, F @ normal(3, 4, seed=3)], dim=1), torch.ones(7)).eigenpairs()
    assert len(pairs) == 3


def test_low_rank_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"got shapes \(3, 2\) and \(3,\)"):
        LowRank(torch.ones(3, 2), torch.ones(3))
    with pytest.raises(ValueError, match="not finite"):
        LowRank(torch.full((3, 2), float("inf")), torch.ones(2))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_low_rank_eigenvalues_alone_are_those_of_the_pairs(normal, sign):
    F, s = normal(20, 5), torch.tensor([1.0, 2.0, 0.0, 3.0, sign], dtype=torch.float64)
    A = LowRank(F, s)
    dense = torch.linalg.eigvalsh(A.to_dense()).flip(0).numpy()
    nonzero = dense[np.abs(dense) > 1e-10]
    found = A.eigenvalues()
    np.testing.assert_allclose(found[np.abs(found) > 1e-10], nonzero, rtol=1e-12)
    assert np.all(np.diff(found) <= 0)


def test_a_top_of_pairs(normal):
    pairs = LowRank(normal(9, 3), torch.ones(3)).eigenpairs()
    assert np.array_equal(pairs.top(2).values, pairs.values[:2])
    with pytest.raises(ValueError, match=r"top\(4\) asked of 3"):
        pairs.top(4)
