"""A matrix reads as on paper, keeps its facts through every wrapper,
and comes from and goes to other libraries.
"""

import itertools
import warnings

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch

from hspec.linalg import (
    LinearOperator,
    LowRank,
    aslinearoperator,
    deflate,
    eigsh,
    hutchinson_trace,
    identity,
    lanczos,
    slq,
)
from hspec.linalg.remembered import Remembered


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def a(prescribed):
    return prescribed(np.r_[4.0, np.linspace(-1, 1, 9)])


def test_formulas_read_as_on_paper(a, normal):
    A, B = aslinearoperator(a, "A"), aslinearoperator(a @ a, "B")
    eye = torch.eye(10, dtype=torch.float64)
    for operator, matrix, name in [
        (A / 2, a / 2, "0.5 A"),
        (A.T, a, "A"),
        (sum([A, B]), a + a @ a, "A + B"),
        (A + 0.1, a + 0.1 * eye, "A + 0.1 I"),
        (0.1 + A, a + 0.1 * eye, "A + 0.1 I"),
        (A - 0.1, a - 0.1 * eye, "A - 0.1 I"),
        (1 - A, eye - a, "-A + I"),
        (a - B, a - a @ a, "-B + A"),
        (np.float32(2) * A, 2 * a, "2 A"),
        (A * np.array(2.0), 2 * a, "2 A"),
        (torch.tensor(2.0) * A, 2 * a, "2 A"),
        (A * torch.tensor(2), 2 * a, "2 A"),
        (A / np.float64(4), a / 4, "0.25 A"),
        (A + 0, a, "A"),
    ]:
        assert torch.allclose(operator.to_dense(), matrix, atol=1e-13), name
        assert repr(operator) == name
    X = normal(10, 3)
    assert torch.allclose(X[:, 0] @ A, a @ X[:, 0]) and torch.allclose(X.T @ A, X.T @ a)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda A: A + "B", TypeError, "got str"),
        (lambda A: A * A, TypeError, "unsupported operand"),
        (lambda A: A @ A, TypeError, "torch.Tensor only; got Dense"),
        (lambda A: np.ones(10) @ A, TypeError, "got ndarray: torch.from_numpy makes one"),
        (lambda A: A * float("nan"), ValueError, "factor or shift must be finite; got nan"),
        (lambda A: A * 1j, TypeError, "unsupported operand"),
        (
            lambda A: np.asarray(A),
            TypeError,
            r"A is known by its products: A.to_dense\(\).numpy\(\)",
        ),
        (lambda A: 1 / A, TypeError, "unsupported operand"),
    ],
)
def test_what_is_no_formula_is_refused(make, error, message, a):
    with pytest.raises(error, match=message):
        make(aslinearoperator(a))


def test_a_block_without_columns(a):
    nothing = torch.empty(10, 0, dtype=torch.float64)
    A = aslinearoperator(a)
    assert (A @ nothing).shape == (10, 0)
    assert deflate(A, nothing) is A


def test_numbers_that_are_not_finite_are_refused_where_they_would_be_returned(wrapped):
    broken = wrapped(5, lambda X: X / 0)
    with pytest.raises(FloatingPointError, match="user's matrix has entries that are not finite"):
        broken.to_dense()
    with pytest.raises(FloatingPointError, match="not finite"):
        hutchinson_trace(broken, 3, generator=seeded())


class Facts(LinearOperator):
    """A matrix whose every fact differs from the default."""

    def __init__(self, matrix, exact=True, removed=None):
        super().__init__(len(matrix), matrix.dtype, "cpu", "F", exact=exact, removed_basis=removed)
        self.matrix = matrix

    def _matmat(self, X):
        return self.matrix @ X

    def diagnosis(self):
        return "F is at fault."


WRAPPERS = {
    "named": (lambda A, folder: A.named("N"), lambda M: M),
    "multiple": (lambda A, folder: -2.0 * A, lambda M: -2.0 * M),
    "remembered": (Remembered, lambda M: M),
}
SUMS = {
    "shifted": (lambda A, folder: A + 0.5, lambda M: M + 0.5 * torch.eye(len(M), dtype=M.dtype)),
    "doubled": (lambda A, folder: A + A, lambda M: 2 * M),
}


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("names", list(itertools.product(WRAPPERS, repeat=2)))
def test_every_wrapper_of_every_wrapper_hands_the_facts_on(
    names, dtype, deflated, exact, a, tmp_path
):
    matrix = a.to(dtype)
    A = Facts(matrix, exact)
    Q = torch.eye(10, dtype=dtype)[:, :2]
    if deflated:
        A = deflate(A, Q)
        P = torch.eye(10, dtype=dtype) - Q @ Q.T
        matrix = P @ matrix @ P
    for i, name in enumerate(names):
        wrap, meaning = WRAPPERS[name]
        A, matrix = wrap(A, tmp_path / str(i)), meaning(matrix)
    assert (A.shape, A.dtype, A.device) == ((10, 10), dtype, torch.device("cpu"))
    assert A.exact == exact and A.diagnosis() == "F is at fault."
    assert (A.removed_basis is None) == (not deflated)
    if deflated:
        assert torch.allclose(A.removed_basis @ A.removed_basis.T, Q @ Q.T)
        assert slq(A, 3, 1, generator=seeded()).dimension == 8
    assert torch.allclose(A.to_dense(), matrix, atol=1e-5)
    again = deflate(A, torch.eye(10, dtype=dtype)[:, 2:3])  # of a wrapper, whatever it is made of
    P = torch.eye(10, dtype=dtype)
    P[2, 2] = 0.0
    assert torch.allclose(again.to_dense(), P @ matrix @ P, atol=1e-5)
    assert again.exact == exact and again.removed_basis.shape[1] == 1 + 2 * deflated


@pytest.mark.parametrize("name", SUMS)
def test_sums_keep_what_all_terms_share_and_refuse_reduced_precision(name, a):
    add, meaning = SUMS[name]
    assert torch.allclose(add(aslinearoperator(a), None).to_dense(), meaning(a))
    Q = torch.eye(10, dtype=torch.float64)[:, :2]
    total = add(deflate(Facts(a), Q), None)
    assert (total.removed_basis is None) == (name == "shifted")  # I is not deflated
    assert total.diagnosis() == "F is at fault."
    with pytest.raises(ValueError, match="lose the digits that reduced precision leaves"):
        add(Facts(a, exact=False), None)


def test_a_deflated_operator_in_reduced_precision_has_no_eigenvectors(a):
    A = deflate(Facts(a, exact=False), torch.eye(10, dtype=torch.float64)[:, :1])
    with pytest.raises(
        ValueError, match="products in reduced precision, too coarse for eigenvectors"
    ):
        eigsh(A, 2, generator=seeded())
    assert not LowRank(torch.ones(3, 1), torch.ones(1), exact=False).exact


def test_deflating_what_is_remembered_still_remembers(a, tmp_path):
    products = []

    class Counted(Facts):
        def _matmat(self, X):
            products.append(1)
            return super()._matmat(X)

    def run():
        Q = torch.eye(10, dtype=torch.float64)[:, :1]
        A = deflate(Remembered(deflate(Counted(a), Q), tmp_path, every=1), Q.roll(1, 0))
        return lanczos(A, torch.ones(10, dtype=torch.float64), 5).alphas

    first, made = run(), len(products)
    assert np.array_equal(run(), first) and len(products) == made + 1  # one, to test A


# ---- other libraries


def test_operators_of_scipy_and_its_sparse_matrices(a):
    dense = a.numpy()
    sparse = scipy.sparse.csr_array(np.where(np.abs(dense) > 0.1, dense, 0.0))
    for theirs, matrix in [
        (scipy.sparse.linalg.aslinearoperator(dense), dense),
        (sparse, sparse.toarray()),
        (sparse.astype(np.float32), sparse.toarray()),
        (dense, dense),
    ]:
        A = aslinearoperator(theirs, "M")
        assert np.allclose(A.to_dense().numpy(), matrix, atol=1e-6) and repr(A) == "M"
        assert str(A.dtype) == f"torch.{theirs.dtype}"
        values = np.linalg.eigvalsh(matrix)
        assert np.allclose(
            eigsh(theirs, 2, tol=1e-5, generator=seeded()).values, values[::-1][:2], atol=1e-5
        )
        assert np.allclose(slq(theirs, 10, 1, generator=seeded()).nodes[0], values, atol=1e-4)


def test_scipy_solves_with_ours(a):
    A = aslinearoperator(a) + 3.0
    values = scipy.sparse.linalg.eigsh(A.to_scipy(), 3, return_eigenvectors=False)
    assert np.allclose(np.sort(values), torch.linalg.eigvalsh(a).numpy()[-3:] + 3, atol=1e-10)
    b = np.arange(10.0)
    x, failed = scipy.sparse.linalg.cg(A.to_scipy(), b, rtol=1e-12)
    assert not failed and np.allclose(a.numpy() @ x + 3 * x, b, atol=1e-9)
    single = (aslinearoperator(a.float())).to_scipy()
    assert single.dtype == np.float32 and np.allclose(single @ np.eye(10, 2), a[:, :2], atol=1e-6)


def test_operators_of_curvlinops():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curvlinops = pytest.importorskip("curvlinops")
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)
    ).double()
    data = [(torch.randn(20, 4, dtype=torch.float64), torch.arange(20) % 3)]
    theirs = curvlinops.HessianLinearOperator(
        net, torch.nn.CrossEntropyLoss(), list(net.parameters()), data
    )
    dense = theirs @ torch.eye(43, dtype=torch.float64)
    A = aslinearoperator(theirs, "Hess")
    assert torch.allclose(A.to_dense(), dense, atol=1e-12)
    values = torch.linalg.eigvalsh(dense).flip(0).numpy()
    assert np.allclose(
        eigsh(theirs, 3, tol=1e-8, generator=seeded()).values, values[:3], atol=1e-10
    )
    assert np.allclose(
        eigsh(A - identity(43), 1, generator=seeded()).values, values[0] - 1, atol=1e-6
    )


@pytest.mark.parametrize(
    ("A", "message"),
    [
        (
            scipy.sparse.eye_array(3, dtype=np.int64),
            r"scipy's \w+ of int64: convert it, as by A.astype",
        ),
        (scipy.sparse.linalg.aslinearoperator(np.ones((3, 2))), r"scipy's .* of shape \(3, 2\)"),
        (torch.eye(3).to_sparse(), r"layout torch.sparse_coo: pass A.to_dense\(\), or SciPy's"),
        (torch.eye(3, dtype=torch.complex64), "float32 or float64"),
        (np.eye(3, dtype=int), "float32 or float64; got numpy's ndarray of int64"),
        (np.ones((3, 2)), r"got a tensor of shape \(3, 2\)"),
    ],
)
def test_matrices_that_are_refused(A, message):
    with pytest.raises(ValueError, match=message):
        aslinearoperator(A)


def test_what_is_no_matrix_is_refused():
    for nothing in (None, [[1.0]], 3.0, "A"):
        with pytest.raises(TypeError, match="an operator of SciPy or curvlinops is needed; got"):
            aslinearoperator(nothing)


def test_an_operator_of_scipy_that_is_not_symmetric_is_found_out(normal):
    theirs = scipy.sparse.linalg.aslinearoperator(normal(30, 30).numpy())
    with pytest.raises(ValueError, match="A is not symmetric"):
        eigsh(theirs, 1, generator=seeded())
