"""Ownership of the tail, against the dense matrices it is defined by."""

import numpy as np
import pytest
import torch

from hspec.chapters.upper_tail.measure import check_tail, padded, rayleigh_quotients, tail_of
from hspec.chapters.upper_tail.verdict import fit_alone, tail_share, verdict_upper_tail
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.grid import Cell, Grid
from hspec.experiments.records import Record
from hspec.linalg import aslinearoperator, deflate, eigsh, lanczos

P, OUTLIERS = 60, 3
HOLDS, FAILS, INCONCLUSIVE = OUTCOMES


@pytest.fixture(scope="module")
def matrices():
    """G with outliers and rank 20, and an indefinite H; dense, float64."""
    rng = torch.Generator().manual_seed(0)
    F = torch.randn(P, 20, generator=rng, dtype=torch.float64)
    F[:, :OUTLIERS] *= 6
    H = torch.randn(P, P, generator=rng, dtype=torch.float64)
    return F @ F.T / P, (H + H.T) / P**0.5


@pytest.fixture(scope="module")
def tail(matrices):
    """The tail of one full-length Lanczos run on the deflated sum."""
    G, H = matrices
    generator = torch.Generator().manual_seed(1)
    pairs = eigsh(G + H, OUTLIERS, tol=1e-10, generator=generator)
    bulk = deflate(aslinearoperator(G + H), pairs)
    v = torch.randn(P, generator=generator, dtype=torch.float64)
    v -= pairs.vectors @ (pairs.vectors.T @ v)
    run = lanczos(bulk, v, P - OUTLIERS)
    return tail_of(run, aslinearoperator(G), P - OUTLIERS, 0.2)


def test_every_ritz_value_splits_without_rest(matrices, tail):
    """θ = uᵀGu + uᵀHu, with the dense eigenvectors of G + H."""
    G, H = matrices
    values, vectors = torch.linalg.eigh(G + H)
    values, vectors = values.flip(0)[OUTLIERS:], vectors.flip(1)[:, OUTLIERS:]
    count = len(tail["nodes"])
    np.testing.assert_allclose(tail["nodes"], values[:count], rtol=1e-10)
    g = ((G @ vectors) * vectors).sum(0)[:count].numpy()
    h = ((H @ vectors) * vectors).sum(0)[:count].numpy()
    np.testing.assert_allclose(tail["g_parts"], g, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(tail["g_parts"] + h, tail["nodes"], rtol=1e-6, atol=1e-9)


def test_share_is_that_of_the_tails_projector(matrices, tail):
    """tr(ΠGΠ)/tr(Π Hess Π) over the ceil(0.2 · 57) = 12 largest eigenvalues of the bulk."""
    G, H = matrices
    _, vectors = torch.linalg.eigh(G + H)
    U = vectors.flip(1)[:, OUTLIERS : OUTLIERS + 12]
    expected = torch.trace(U.T @ G @ U) / torch.trace(U.T @ (G + H) @ U)
    share, _ = tail_share(*(tail[name][None] for name in ("nodes", "g_parts", "weights")), 0.2)
    assert share == pytest.approx(float(expected), rel=1e-6)


def test_rayleigh_quotients_are_independent_of_the_blocking(matrices):
    G, _ = matrices
    vectors = torch.linalg.qr(torch.randn(P, 19, dtype=torch.float64))[0]
    expected = torch.diagonal(vectors.T @ G @ vectors)
    np.testing.assert_allclose(
        rayleigh_quotients(aslinearoperator(G), vectors), expected, rtol=1e-12
    )


def test_share_of_all_g_and_of_all_h():
    nodes, weights = np.array([[3.0, 2.0, 1.0]]), np.full((1, 3), 0.01)
    assert tail_share(nodes, nodes, weights, 0.03)[0] == 1.0
    assert tail_share(nodes, 0 * nodes, weights, 0.03)[0] == 0.0


def test_share_counts_nodes_until_the_mass_is_reached_and_ignores_padding():
    nodes = padded([np.array([4.0, 2.0, 1.0]), np.array([4.0, 2.0])])
    parts = padded([np.array([4.0, 0.0, 0.0]), np.array([4.0, 0.0])])
    weights = padded([np.full(3, 0.01), np.full(2, 0.01)])
    assert tail_share(nodes, parts, weights, 0.005)[0] == 1.0
    assert tail_share(nodes, parts, weights, 0.02)[0] == pytest.approx(4 / 6)
    assert tail_share(nodes, parts, weights, 0.03) == pytest.approx((8 / 13, 0.04 / 0.13 * 2 / 13))


def test_one_probe_has_no_standard_error():
    one = np.ones((1, 2))
    assert np.isnan(tail_share(one, one, one / 100, 0.01)[1])


def synthetic(shares: np.ndarray, jitter: float = 0.001, error: float = 0.0):
    """A grid (epochs, sizes) of records with given shares; NaN is a missing cell."""
    epochs, sizes = tuple(range(1, len(shares) + 1)), tuple(range(1, shares.shape[1] + 1))
    records = {}
    for size in sizes:
        for epoch in epochs:
            share = shares[epoch - 1, size - 1]
            nodes, weights = np.ones((2, 1)), np.full((2, 1), 0.01)
            parts = np.array([[share - jitter], [share + jitter]])
            arrays = {
                "nodes": nodes,
                "g_parts": parts,
                "weights": weights,
                "error_rate": np.array(error),
            }
            records[Cell(0, size, epoch)] = None if np.isnan(share) else Record(arrays, {})
    return Grid((0,), sizes, epochs, {}), records


FALLING = 0.9 - 0.1 * np.add.outer(np.arange(4), np.arange(4))


@pytest.mark.parametrize(
    ("shares", "jitter", "outcomes"),
    [
        (FALLING, 0.001, [HOLDS, HOLDS, HOLDS, HOLDS]),
        (1 - FALLING, 0.001, [FAILS, FAILS, FAILS, FAILS]),
        (FALLING[:1, :1], 0.5, [INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE]),
        (np.full((2, 2), np.nan), 0.0, [INCONCLUSIVE] * 4),
    ],
)
def test_verdict_has_every_outcome(shares, jitter, outcomes):
    assert [v.outcome for v in verdict_upper_tail(*synthetic(shares, jitter), 0.01)] == outcomes


def test_no_interval_of_a_share_reaches_below_zero():
    low = np.full((1, 1), 0.05)  # of two probes, 0.03 and 0.07: 12.7 standard errors to either side
    assert verdict_upper_tail(*synthetic(low, jitter=0.02), 0.01)[0].value == "0.05 (0.00 … 0.30)"


def test_a_net_that_has_not_learnt_is_no_evidence():
    first, last, *_ = verdict_upper_tail(*synthetic(FALLING, error=0.41), 0.01)
    assert [first.outcome, last.outcome] == [INCONCLUSIVE] * 2
    assert first.margin == "a net with 41% training error has not learnt its sample"


def test_cells_of_one_loss_and_different_shares_refute_that_fit_alone_decides():
    _, records = synthetic(FALLING, 0.001)
    for record in records.values():
        record.arrays["loss"] = np.array(0.5)
    told = fit_alone(records, 0.01)
    assert told.endswith("So fit alone does not decide whose the tail is.")
    assert "$G$'s shares are 0.90 (0.89 … 0.91) and 0.30 (0.29 … 0.31)." in told
    _, records = synthetic(np.full((4, 4), 0.4), 0.1)
    for record in records.values():
        record.arrays["loss"] = np.array(0.5)
    assert "nothing here speaks against fit deciding" in fit_alone(records, 0.01)
    assert "do not tell" in fit_alone({}, 0.01)


def test_two_probes_that_student_leaves_open_decide_nothing_of_fit():
    """Apart by six standard errors of two probes, of which the 95 % interval has 12.7."""
    _, records = synthetic(np.array([[0.56, 0.36]]), jitter=0.02)
    for record in records.values():
        record.arrays["loss"] = np.array(0.5)
    told = fit_alone(records, 0.01)
    assert told.endswith("Their uncertainty over probes leaves open whether fit alone decides.")
    assert "0.56 (0.31 … 0.81) and 0.36 (0.11 … 0.61)" in told


@pytest.mark.parametrize("tail", [0.0, 1.0, -0.1, 0.02])
def test_a_tail_that_was_not_measured_is_refused(tail):
    with pytest.raises(ValueError, match=r"tail is a share of the bulk, above 0 and at most 0\.01"):
        check_tail(tail, 0.01)
    assert check_tail(0.01, 0.01) == 0.01
