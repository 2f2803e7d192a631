"""Numbers near the ends of float32, whose squares it does not hold, are as good as others."""

import numpy as np
import pytest
import torch

from hspec.linalg import LowRank, aslinearoperator, deflate, eigsh, hutchinson_trace, lanczos, slq
from hspec.linalg.inner_products import norms

VALUES = np.r_[np.geomspace(1, 0.1, 6), 0.05 * np.linspace(-1, 1, 294)]
SCALES = [1e-30, 1e-25, 1e-19, 1e19, 1e25, 1e35]


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def matrix(prescribed):
    return prescribed(VALUES, torch.float32)


@pytest.fixture(params=SCALES)
def scaled(request, matrix):
    """(scale, scale · matrix), the scale a power of two,
    so that nothing but the exponent changes.
    """
    scale = 2.0 ** round(np.log2(request.param))
    return scale, matrix * scale


def test_norms(normal):
    rows = normal(3, 70_000)
    for scale in SCALES:
        found = norms((rows * scale).float())
        assert torch.allclose(found / scale, rows.norm(dim=1), rtol=1e-5)


@pytest.mark.parametrize("kind", ["full", "partial", "none"])
def test_lanczos(kind, scaled, matrix, normal):
    scale, A = scaled
    v = normal(300).float()
    expected, found = (lanczos(M, v, 40, reorthogonalize=kind) for M in (matrix, A))
    assert len(found.alphas) == 40
    # Without reorthogonalisation only what has converged is determined: here the upper end.
    ends = [-1] if kind == "none" else [0, -1]
    assert np.allclose(found.ritz()[0][ends] / scale, expected.ritz()[0][ends], rtol=0, atol=1e-6)
    if kind != "none":  # without it, rounding grows: the scalars are those of another run
        assert np.allclose(found.alphas / scale, expected.alphas, rtol=0, atol=1e-5)
        assert np.allclose(found.betas / scale, expected.betas, rtol=0, atol=1e-5)
    assert abs(found.residual.double().norm() - found.residual_norm) < 1e-6 * found.residual_norm


@pytest.mark.parametrize("block", [False, True])
def test_quadrature_and_deflation(block, scaled):
    scale, A = scaled
    pairs = eigsh(A, 6, generator=seeded())
    measure = slq(deflate(A, pairs), 30, 2, generator=seeded(), block=block).with_spikes(
        pairs.values
    )
    low, high = measure.support
    assert abs(high / scale - 1) < 1e-5 and abs(low / scale + 0.05) < 1e-4
    assert abs(measure.trace()[0] / scale - VALUES.sum()) < 4 * measure.trace()[1] / scale


@pytest.mark.parametrize("block_size", [1, 3])
@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_eigenpairs(which, block_size, scaled):
    scale, A = scaled
    pairs = eigsh(A, 5, which=which, tol=1e-2, block_size=block_size, generator=seeded())
    right = np.sort(VALUES)[::-1][:5] if which == "largest" else np.sort(VALUES)[:5][::-1]
    assert np.abs(pairs.values / scale - right).max() < 3e-3 * abs(right).min() + 1e-5
    residuals = A.double() @ pairs.vectors.double() - pairs.vectors.double() * torch.from_numpy(
        pairs.values
    )
    assert np.allclose(residuals.norm(dim=0).numpy() / scale, pairs.residuals / scale, atol=1e-5)
    assert pairs.chance_missed <= 1e-3


def test_a_threefold_value(scaled, prescribed):
    scale, _ = scaled
    A = prescribed(np.r_[np.full(3, 2.0), np.linspace(-1, 1, 97)], torch.float32) * scale
    assert np.allclose(eigsh(A, 3, generator=seeded()).values / scale, 2.0, atol=1e-4)


def test_trace(scaled, matrix):
    scale, A = scaled
    expected, found = (hutchinson_trace(M, 20, generator=seeded()) for M in (matrix, A))
    assert np.allclose(np.array(found) / scale, expected, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_low_rank(scale, normal):
    F, s = normal(50, 4).float(), torch.tensor([1.0, -2.0, 3.0, 0.5])
    expected = LowRank(F, s).eigenpairs()
    found = LowRank(F, s * scale).eigenpairs()
    assert np.allclose(found.values / scale, expected.values, rtol=1e-5)
    assert (found.residuals / scale).max() < 1e-4


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_what_is_not_symmetric_is_still_found_out(scale, normal):
    from hspec.linalg.operator import Dense

    M = Dense((normal(60, 60) * scale).float())
    for run in (lambda: eigsh(M, 2, generator=seeded()), lambda: slq(M, 9, 1, generator=seeded())):
        with pytest.raises(ValueError, match="A is not symmetric"):
            run()
    assert aslinearoperator((M.matrix + M.matrix.T) / 2)
