import warnings

import numpy as np
import pytest
import torch

from hspec.linalg import (
    LinearOperator,
    aslinearoperator,
    deflate,
    eigsh,
    hutchinson_trace,
    identity,
    subspace_cosines,
)
from hspec.linalg.deflation import orthonormal_basis

SPECTRA = {
    "outliers": np.r_[np.geomspace(1, 0.1, 6), np.linspace(-0.03, 0.05, 94)],
    "geometric": 0.7 ** np.arange(60.0),
    "multiple": np.r_[np.full(3, 5.0), np.linspace(-2, 1, 97)],
    "rank three": np.r_[3.0, 2, 1, np.zeros(47)],
    "identity": np.ones(20),
    "zero": np.zeros(20),
    "tiny": np.array([1.0, -3]),
    "one": np.array([2.0]),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def expected(values, k, which):
    values = np.sort(values)[::-1]
    bottom = values[len(values) - k :]
    return {"largest": values[:k], "smallest": bottom, "both": np.r_[values[:k], bottom]}[which]


@pytest.mark.parametrize("block_size", [1, 3])
@pytest.mark.parametrize("which", ["largest", "smallest", "both"])
@pytest.mark.parametrize("name", SPECTRA)
def test_finds_the_ends_of_prescribed_spectra(name, which, block_size, prescribed):
    values = SPECTRA[name]
    k = max(1, min(4, len(values) // 2))
    if which == "both" and len(values) == 1:
        pytest.skip("one dimension has one end")
    A = prescribed(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if name == "geometric" and which != "largest":
            warnings.simplefilter(
                "ignore"
            )  # its small end is a limit point: residuals relative to λ_k = 1e-9
        pairs = eigsh(A, k, which=which, generator=seeded(), block_size=block_size, tol=1e-6)
    assert np.allclose(
        pairs.values, expected(values, k, which), rtol=0, atol=1e-7 * max(1, abs(values).max())
    )
    actual = (
        (A @ pairs.vectors - pairs.vectors * torch.from_numpy(pairs.values)).norm(dim=0).numpy()
    )
    assert np.allclose(actual, pairs.residuals, rtol=0, atol=1e-13)
    gram = pairs.vectors.T @ pairs.vectors
    assert torch.allclose(gram, torch.eye(len(gram), dtype=torch.float64), atol=1e-12)


def net_like(prescribed, dtype):
    """Ten outliers over a bulk edge at λ_10/1.7,
    and noisy combinations of the top eigenvectors to start from.
    """
    values = np.r_[
        np.geomspace(1, 0.1, 10), 0.06 * 10.0 ** np.linspace(-5, 0, 400), np.linspace(-0.02, 0, 90)
    ]
    A = prescribed(values)
    U = torch.linalg.eigh(A)[1].flip(1)[:, :10]
    noise = torch.randn(500, 10, generator=seeded(8), dtype=torch.float64) / 500**0.5
    mixed = U @ torch.randn(10, 10, generator=seeded(9), dtype=torch.float64) + noise
    return values, A.to(dtype), mixed.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ten_outliers_in_few_products_and_fewer_from_a_warm_start(dtype, prescribed):
    """The papers' pipeline spends 1,600 products; one eighth is 200,
    of which 128 are for the bulk.
    """
    values, A, start = net_like(prescribed, dtype)
    cold = eigsh(A, 10, generator=seeded())
    warm = eigsh(A, 10, generator=seeded(), start=start)
    for pairs in (cold, warm):
        assert pairs.residuals.max() <= 1e-3 * 0.1
        assert np.allclose(pairs.values, values[:10], rtol=0, atol=1e-6)
    assert warm.num_products < cold.num_products <= 200 - 128


class Diagonal(LinearOperator):
    def __init__(self, values):
        super().__init__(len(values), values.dtype, "cpu", "D")
        self.values = values

    def _matmat(self, X):
        return self.values[:, None] * X


def test_long_vectors_in_single_precision_converge_to_rounding():
    """Sums over a million float32 entries must not spoil the basis:
    residuals would stall at 1e-5 λ_1.
    """
    values = np.r_[np.geomspace(1, 0.1, 6), np.linspace(-0.01, 0.03, 10**6)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = eigsh(Diagonal(torch.from_numpy(values).float()), 6, generator=seeded(), tol=1e-7)
    assert pairs.num_products < 60 and pairs.residuals.max() < 1e-5
    assert np.allclose(pairs.values, values[:6], rtol=0, atol=1e-6)
    assert (pairs.vectors.double().norm(dim=0) - 1).abs().max() < 2e-6


def test_orthonormal_to_rounding_in_single_precision():
    M = torch.randn(10**6, 3, generator=seeded())
    Q = orthonormal_basis(M).double()
    assert (Q.T @ Q - torch.eye(3, dtype=torch.float64)).abs().max() < 1e-6


def test_a_start_in_the_wrong_invariant_subspace_is_no_trap():
    D = torch.diag(torch.arange(1.0, 41, dtype=torch.float64))
    start = torch.eye(40, dtype=torch.float64)[:, :3]  # the three smallest
    assert np.allclose(eigsh(D, 2, start=start, generator=seeded(), tol=1e-8).values, [40, 39])


def test_restarts_within_little_memory(prescribed):
    values = np.linspace(0, 1, 200)
    pairs = eigsh(prescribed(values), 3, generator=seeded(), max_basis=12, max_products=2000)
    assert pairs.num_products > 40
    assert np.allclose(pairs.values, values[::-1][:3], atol=1e-4)


def test_says_what_has_not_converged(prescribed):
    A = prescribed(np.linspace(0, 1, 200))
    with pytest.warns(
        RuntimeWarning, match="stopped after 8 products: 5 of 5 pairs have not converged"
    ):
        pairs = eigsh(A, 5, generator=seeded(), max_products=8)
    assert len(pairs) == 5 and pairs.num_products == 8


def test_the_callback_sees_the_products_spent(prescribed):
    seen = []
    pairs = eigsh(prescribed(SPECTRA["outliers"]), 3, generator=seeded(), callback=seen.append)
    assert seen == list(range(1, pairs.num_products + 1))


@pytest.mark.parametrize(
    ("k", "change", "message"),
    [
        (5, {}, "5 eigenpairs asked of 4 of A: its dimension is too small"),
        (3, {"which": "both"}, "6 eigenpairs asked of 4"),
        (0, {}, "number of eigenpairs is a whole number of at least 1; got 0"),
        (2.0, {}, "whole number of at least 1; got 2.0"),
        (1, {"max_products": -5}, "max_products is a whole number of at least 1; got -5"),
        (1, {"block_size": 0}, "block_size is a whole number"),
        (1, {"tol": float("inf")}, "tol must be positive and finite; got inf"),
        (1, {"tol": float("nan")}, "tol must be positive and finite; got nan"),
        (1, {"which": "LM"}, 'which is "largest"'),
        (1, {"tol": 0.0}, "tol must be positive"),
        (2, {"max_basis": 2}, "max_basis = 2 is too small for 2 pairs: allow at least 6"),
        (1, {"start": torch.ones(3, 1, dtype=torch.float64)}, "started from a tensor of shape"),
        (1, {"start": torch.zeros(4, 1, dtype=torch.float64)}, "all are zero"),
        (1, {"start": torch.full((4, 1), float("nan"), dtype=torch.float64)}, "not finite"),
    ],
)
def test_refusals(k, change, message):
    A = torch.diag(torch.arange(4.0, dtype=torch.float64))
    with pytest.raises(ValueError, match=message):
        eigsh(A, k, generator=seeded(), **change)


@pytest.mark.parametrize("generator", [None, 0, np.random.default_rng(0)])
def test_refuses_other_sources_of_randomness(generator):
    with pytest.raises(
        TypeError, match=r"a torch.Generator.* such as torch.Generator\(\).manual_seed\(0\)"
    ):
        eigsh(torch.eye(3), 1, generator=generator)


def test_counts_may_be_numpy_integers(prescribed):
    pairs = eigsh(
        prescribed(SPECTRA["tiny"]), np.int64(1), max_products=np.int32(9), generator=seeded()
    )
    assert np.allclose(pairs.values, [1.0])


def test_refuses_operators_that_are_not_symmetric_or_not_finite(normal, wrapped):
    M = normal(60, 60)
    with pytest.raises(ValueError, match="user's matrix is not symmetric"):
        eigsh(wrapped(60, lambda X: M @ X), 2, generator=seeded())
    with pytest.raises(FloatingPointError, match="not finite"):
        eigsh(wrapped(60, lambda X: X / 0), 2, generator=seeded())


def test_deflation_is_the_two_sided_projection(prescribed, normal):
    A = prescribed(SPECTRA["outliers"])
    Q, _ = torch.linalg.qr(normal(100, 3))
    P = torch.eye(100, dtype=torch.float64) - Q @ Q.T
    deflated = deflate(A, Q)
    assert torch.allclose(deflated.to_dense(), P @ A @ P, atol=1e-13)
    assert repr(deflated) == "A deflated by 3"
    assert torch.allclose(
        deflate(A, 2.0 * Q @ normal(3, 3)).to_dense(), P @ A @ P, atol=1e-12
    )  # only the span


def test_deflating_twice_is_deflating_by_both(prescribed):
    A = aslinearoperator(prescribed(SPECTRA["outliers"]), "Hess")
    pairs = eigsh(A, 4, generator=seeded(), tol=1e-9)
    twice = deflate(deflate(A, pairs.vectors[:, :2]), pairs.vectors[:, 2:])
    assert torch.allclose(twice.to_dense(), deflate(A, pairs).to_dense(), atol=1e-12)
    assert twice.removed_basis.shape == (100, 4) and repr(twice) == "Hess deflated by 4"
    rest = eigsh(deflate(A, pairs), 2, generator=seeded(1))
    assert np.allclose(rest.values, SPECTRA["outliers"][4:6], atol=1e-6)


def test_deflation_refuses_what_does_not_fit(prescribed):
    A = prescribed([1.0, 2.0])
    with pytest.raises(ValueError, match="deflated by a tensor of shape"):
        deflate(A, torch.ones(3, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match="leaves nothing"):
        deflate(A, torch.eye(2, dtype=torch.float64))


def test_subspace_cosines(normal):
    E = torch.eye(6, dtype=torch.float64)
    angle = 0.3
    tilted = torch.stack([E[0], np.cos(angle) * E[1] + np.sin(angle) * E[4]], dim=1)
    assert np.allclose(subspace_cosines(E[:, :2], tilted), [1, np.cos(angle)])
    assert np.allclose(
        subspace_cosines(E[:, :2] @ normal(2, 2), tilted), [1, np.cos(angle)]
    )  # any basis
    dependent = torch.stack([E[0], 2 * E[0]], dim=1)
    assert np.allclose(subspace_cosines(dependent, tilted), [1])  # the span counts, not the columns
    with pytest.raises(ValueError, match="of one height"):
        subspace_cosines(E, E[:3])


def test_hutchinson_is_within_its_standard_error(prescribed):
    """Four standard errors; exact for a diagonal matrix, since v_i² = 1."""
    A = prescribed(SPECTRA["outliers"])
    estimate, sem = hutchinson_trace(A, 300, generator=seeded())
    assert 0 < abs(estimate - SPECTRA["outliers"].sum()) < 4 * sem
    assert hutchinson_trace(3.0 * identity(5), 4, generator=seeded()) == pytest.approx((15.0, 0.0))
    one, nothing = hutchinson_trace(A, 1, generator=seeded())
    assert np.isfinite(one) and np.isnan(nothing)
    with pytest.raises(ValueError, match="number of probes is a whole number of at least 1; got 0"):
        hutchinson_trace(A, 0, generator=seeded())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_float64_on_the_cpu(prescribed):
    values, A, start = net_like(prescribed, torch.float32)
    pairs = eigsh(A.cuda(), 10, generator=seeded(), start=start.cuda())
    assert pairs.vectors.device.type == "cuda"
    assert np.allclose(pairs.values, values[:10], rtol=0, atol=1e-5)
    estimate, sem = hutchinson_trace(
        deflate(A.cuda(), pairs), 50, generator=torch.Generator("cuda").manual_seed(0)
    )
    assert abs(estimate - values[10:].sum()) < 4 * sem
