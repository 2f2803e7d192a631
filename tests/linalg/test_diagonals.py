"""Traces, diagonals, determinants and changes of units, against the dense matrix."""

import numpy as np
import pytest
import torch

from hspec.linalg import (
    LowRank,
    SpectralMeasure,
    aslinearoperator,
    deflate,
    hutchinson_trace,
    identity,
    scaled,
    slq,
)
from hspec.linalg.diagonals import diagonal, trace
from hspec.statistics import student_factor

NET_LIKE = np.r_[
    np.geomspace(1, 0.1, 10),
    0.06 * 10.0 ** np.linspace(-5, 0, 190),
    -0.02 * 10.0 ** np.linspace(-5, 0, 100),
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "values", [NET_LIKE, np.linspace(-1, 1, 300) + 0.3], ids=["net-like", "flat"]
)
def test_traces_are_unbiased_and_as_far_off_as_they_say(values, dtype, prescribed):
    """Over 100 draws: the mean within four standard errors,
    the stated errors within a third of the spread.
    """
    A = prescribed(values, dtype)
    found = np.array([trace(A, 20, generator=seeded(seed)) for seed in range(100)])
    spread = found[:, 0].std(ddof=1)
    assert abs(found[:, 0].mean() - values.sum()) < 4 * spread / 10
    assert 0.67 < np.sqrt((found[:, 1] ** 2).mean()) / spread < 1.5


def test_a_falling_spectrum_needs_far_fewer_products_than_signs_do(prescribed):
    A = prescribed(NET_LIKE)
    ours, signs = (
        np.mean([(f(A, 30, generator=seeded(s))[0] - NET_LIKE.sum()) ** 2 for s in range(40)])
        for f in (trace, hutchinson_trace)
    )
    assert ours < signs / 9


def test_low_rank_and_simple_matrices_are_exact(normal):
    A = LowRank(normal(60, 5), torch.tensor([1.0, -2.0, 3.0, 0.5, 4.0], dtype=torch.float64))
    value, error = trace(A, 14, generator=seeded())
    assert value == pytest.approx(float(A.to_dense().trace()), rel=1e-10) and error < 1e-10
    found, errors = diagonal(A, 14, generator=seeded())
    assert torch.allclose(found, A.to_dense().diagonal(), atol=1e-10) and errors.max() < 1e-9
    assert trace(3.0 * identity(9), 6, generator=seeded()) == pytest.approx((27.0, 0.0), abs=1e-10)
    assert trace(0.0 * identity(9), 6, generator=seeded()) == (0.0, 0.0)


def test_of_a_deflated_matrix_what_is_left(prescribed):
    A = prescribed(NET_LIKE)
    U = torch.linalg.eigh(A)[1].flip(1)[:, :10]
    left = NET_LIKE[10:].sum()
    found = np.array([trace(deflate(A, U), 20, generator=seeded(s)) for s in range(40)])
    assert abs(found[:, 0].mean() - left) < 4 * found[:, 0].std(ddof=1) / 40**0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_diagonals_are_unbiased_and_as_far_off_as_they_say(dtype, prescribed):
    A = prescribed(NET_LIKE, dtype)
    runs = [diagonal(A, 20, generator=seeded(seed)) for seed in range(60)]
    found, errors = (torch.stack(x).double() for x in zip(*runs, strict=True))
    spread = found.std(0)
    z = (found.mean(0) - A.diagonal().double()) / (spread / 60**0.5)
    assert z.abs().max() < 5 and abs(float(z.square().mean()) - 1) < 0.4
    assert 0.67 < float(errors.square().mean().sqrt() / spread.square().mean().sqrt()) < 1.5


def test_a_diagonal_is_nearer_than_that_of_signs(prescribed):
    A = prescribed(NET_LIKE)
    right, errors = A.diagonal(), []
    for seed in range(10):
        V = 2.0 * torch.randint(0, 2, (300, 40), generator=seeded(seed), dtype=torch.float64) - 1
        signs = (V * (A @ V)).mean(1)
        ours = diagonal(A, 40, generator=seeded(seed))[0]
        errors.append([(x - right).square().mean() for x in (ours, signs)])
    ours, signs = np.mean(errors, 0)
    assert ours < signs / 2


@pytest.mark.parametrize("num_products", [8, 58])
@pytest.mark.parametrize("name", ["falling", "flat", "net-like"])
def test_students_intervals_of_traces_and_diagonals_hold_what_they_say(
    name, num_products, prescribed
):
    """Over 40 draws of 60 rows, up to as many products as there are rows: 95 % intervals, of which
    a spread over √k alone would hold down to 83.
    """
    values = {
        "falling": np.geomspace(1, 1e-3, 60),
        "flat": np.linspace(0.2, 1, 60),
        "net-like": NET_LIKE[::5],
    }[name]
    A, factor = prescribed(values), student_factor(num_products // 2)
    inside = []
    for seed in range(40):
        found, errors = diagonal(A, num_products, generator=seeded(seed))
        value, error = trace(A, num_products, generator=seeded(seed))
        inside.append(
            [
                float(((found - A.diagonal()).abs() < factor * errors).double().mean()),
                abs(value - values.sum()) < factor * error,
            ]
        )
    of_diagonals, of_traces = np.mean(inside, axis=0)
    assert 0.92 < of_diagonals < 0.985 and of_traces > 0.84  # 0.95 less three standard errors


@pytest.mark.parametrize("num_products", [8, 12])
@pytest.mark.parametrize("few", [[5.0, 3.0], [5.0, 3.0, 1.0], [4.0, 3.0, 2.0, 1.0, 1.0]])
def test_of_a_matrix_on_few_coordinates_errors_are_told(few, num_products):
    """Random signs coincide there, often all of them: no spread then tells of what is missed."""
    A = torch.diag(torch.tensor(few + [0.0] * 60, dtype=torch.float64))
    A[0, 1] = A[1, 0] = 1.0
    for seed in range(40):
        found, errors = diagonal(A, num_products, generator=torch.Generator().manual_seed(seed))
        off = (found - A.diagonal()).abs()
        assert (off[errors < 1e-9] < 1e-9).all()
        if len(few) < num_products // 2:  # all of the range
            assert off.max() < 1e-9


def test_as_many_products_as_rows_give_all_of_it(prescribed):
    A = prescribed(np.linspace(-1, 1, 12) + 0.3)
    found, errors = diagonal(A, 12, generator=seeded())
    assert torch.equal(found, A.diagonal()) and not errors.any()
    assert trace(A, 13, generator=seeded()) == (pytest.approx(3.6, rel=1e-13), 0.0)


def test_refusals(prescribed, wrapped):
    for f in (trace, diagonal):
        with pytest.raises(
            ValueError, match="number of products is a whole number of at least 4; got 3"
        ):
            f(prescribed(NET_LIKE), 3, generator=seeded())
        with pytest.raises(FloatingPointError, match="not finite"):
            f(wrapped(9, lambda X: X / 0), 6, generator=seeded())
        with pytest.raises(TypeError, match=r"a torch\.Generator"):
            f(prescribed(NET_LIKE), 6, generator=3)


def test_log_determinants(prescribed):
    A = prescribed(NET_LIKE)
    measure = slq(A, 60, 20, generator=seeded())
    for shift in (0.1, 0.05):
        value, error = measure.log_determinant(shift)
        exact = float(torch.logdet(A + shift * torch.eye(300, dtype=torch.float64)))
        assert 0 < abs(value - exact) < 4 * error
    with pytest.raises(ValueError, match=r"A \+ 0.01 I is not positive definite: .* node is -0.02"):
        measure.log_determinant(0.01)


@pytest.mark.parametrize("num_steps", [16, 32])
def test_errors_of_log_determinants_hold_while_ritz_values_converge(num_steps):
    """16 groups of 16 probes of a falling spectrum, of which 3 and 19 of 40 values converge:
    Student's intervals hold the truth, which by the spread over probes alone lies 1.25 times as
    far off as it should in the end.
    """
    values = np.geomspace(1, 1e-3, 40)
    A, truth = torch.diag(torch.from_numpy(values)), np.log(values + 1e-3).sum()
    runs = slq(A, num_steps, 16 * 16, generator=seeded(), reorthogonalize="full")
    groups = [
        SpectralMeasure(
            *(x[i : i + 16] for x in (runs.nodes, runs.weights, runs.plain_weights)), 40
        )
        for i in range(0, 256, 16)
    ]
    found = np.array([group.log_determinant(1e-3) for group in groups])
    z = (found[:, 0] - truth) / found[:, 1]
    assert 0.55 < np.sqrt((z**2).mean()) < 1.1
    assert (np.abs(z) < student_factor(16)).mean() > 0.9


def test_errors_of_traces_hold_however_many_the_probes_are():
    """10 groups of 100 probes of a spectrum like a net's, in which the outliers converge: what that
    shifts in all probes alike is twice their standard error.
    """
    rng = np.random.default_rng(0)
    bulk = [rng.gamma(0.3, 0.3, 150), -rng.gamma(0.3, 0.05, 44)]
    values = np.concatenate([[50, 20, 10, 8, 5, 3], *bulk])
    A = torch.diag(torch.from_numpy(values))
    found = np.array([slq(A, 40, 100, generator=seeded(s)).trace() for s in range(10)])
    z = (found[:, 0] - values.sum()) / found[:, 1]
    assert 0.4 < np.sqrt((z**2).mean()) < 1.3


def test_other_units(prescribed, normal):
    A, d = prescribed(NET_LIKE), normal(300)
    B = scaled(aslinearoperator(A, "Hess"), d)
    assert repr(B) == "D Hess D"
    assert torch.allclose(B.to_dense(), d[:, None] * A * d, atol=1e-13)
    with pytest.raises(ValueError, match="scale first, then deflate"):
        scaled(deflate(A, d), d)
    with pytest.raises(ValueError, match=r"vector .* of finite factors"):
        scaled(A, d * float("nan"))
    with pytest.raises(ValueError, match="was scaled by a tensor of shape"):
        scaled(A, d[:5])
