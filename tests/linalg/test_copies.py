"""Multiple eigenvalues come as often as they are there, at every tolerance,
and the result says how sure that is.
"""

import warnings

import numpy as np
import pytest
import scipy.special
import torch

from hspec.linalg import deflate, eigsh
from hspec.linalg.copies import CHANCE, Search
from hspec.linalg.operator import aslinearoperator
from hspec.linalg.subspace import Subspace


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def cycle(n):
    """The Laplacian of a cycle of n nodes, normalised: 1 − cos(2πj/n),
    all but two of them double.
    """
    i = torch.arange(n)
    L = torch.eye(n, dtype=torch.float64)
    L[i, (i + 1) % n] = L[(i + 1) % n, i] = -0.5
    return L


def softmax_regression(C=10, d=40):
    """G of softmax regression at zero weights: (I − 11ᵀ/C)/C ⊗ XᵀX/N, each value C − 1 times;
    and zeros.
    """
    X = (
        torch.randn(3 * d, d, generator=seeded(5), dtype=torch.float64)
        * torch.arange(1, d + 1) ** -0.7
    )
    middle = torch.eye(C, dtype=torch.float64) / C - 1 / C**2
    return torch.kron(middle, X.T @ X / len(X))


def blocks():
    """Identity blocks: 3 and 2 thirty times, 1 forty times."""
    return torch.diag(torch.tensor([3.0] * 30 + [2.0] * 30 + [1.0] * 40, dtype=torch.float64))


def zero_head():
    """A Hessian of which a whole layer is zero."""
    M = torch.randn(30, 30, generator=seeded(6), dtype=torch.float64)
    return torch.block_diag(M + M.T, torch.zeros(50, 50, dtype=torch.float64))


FAMILIES = {  # matrix, k, which
    "cycle": (cycle(20), 5, "largest"),
    "long cycle": (cycle(100), 6, "largest"),
    "both ends of a cycle": (cycle(80), 4, "both"),
    "softmax regression": (softmax_regression(), 12, "largest"),
    "identity blocks": (blocks(), 40, "largest"),
    "the smaller identity block": (blocks(), 45, "smallest"),
    "zero head, all negative values and some zeros": (zero_head(), 20, "smallest"),
    "identity": (torch.eye(50, dtype=torch.float64), 7, "both"),
    "zero": (torch.zeros(30, 30, dtype=torch.float64), 3, "largest"),
    "all of three": (torch.eye(3, dtype=torch.float64), 3, "largest"),
}


def expected(A, k, which):
    values = torch.linalg.eigvalsh(A).flip(0).numpy()
    bottom = values[len(values) - k :]
    return {"largest": values[:k], "smallest": bottom, "both": np.r_[values[:k], bottom]}[which]


@pytest.mark.parametrize(("tol", "block_size"), [(1e-2, 1), (1e-3, 2), (1e-7, 1)])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_copy_is_found_at_every_tolerance(name, tol, block_size):
    A, k, which = FAMILIES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = eigsh(A, k, which=which, tol=tol, block_size=block_size, generator=seeded())
    right = expected(A, k, which)
    ends = np.abs(right[[k - 1, -k if which == "both" else 0]])
    assert np.abs(pairs.values - right).max() <= max(
        3 * tol * ends.max(), 1e-12 * np.abs(right).max()
    )
    assert pairs.chance_missed <= CHANCE


def test_a_cycle_of_two_hundred_nodes():
    pairs = eigsh(cycle(200), 6, generator=seeded())
    assert np.abs(pairs.values - expected(cycle(200), 6, "largest")).max() < 1e-3 * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(6))
def test_a_threefold_lowest_value_comes_three_times(seed, dtype, prescribed):
    values = np.r_[np.full(3, -5.0), np.linspace(-2, 1, 397)]
    pairs = eigsh(prescribed(values, dtype), 6, which="smallest", generator=seeded(seed))
    assert np.abs(pairs.values - np.sort(values)[:6][::-1]).max() < 1e-3


@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_a_multiplicity_above_the_block_size(which, prescribed):
    values = np.r_[np.full(10, 2.0), np.linspace(-1, 1, 190), np.full(10, -2.0)]
    pairs = eigsh(prescribed(values), 11, which=which, block_size=3, generator=seeded())
    assert np.abs(pairs.values - expected(prescribed(values), 11, which)).max() < 1e-5


def test_values_that_are_nearly_equal_are_told_apart_or_counted(prescribed):
    values = np.r_[1.0, 1 - 1e-5, 1 - 2e-5, 0.5, np.linspace(-0.3, 0.3, 296)]
    for seed in range(5):
        pairs = eigsh(prescribed(values), 4, generator=seeded(seed))
        assert np.abs(pairs.values - values[:4]).max() < 1e-4


def test_copies_of_the_last_value_beyond_the_k_wanted_do_no_harm(prescribed):
    values = np.r_[2.0, np.full(6, 1.0), np.linspace(-0.5, 0.5, 193)]
    for seed in range(5):
        pairs = eigsh(prescribed(values), 3, generator=seeded(seed))
        assert np.abs(pairs.values - [2, 1, 1]).max() < 1e-5 and pairs.chance_missed <= CHANCE


def test_start_vectors_that_span_one_copy_hide_no_other():
    A = torch.diag(torch.tensor([4.0, 4.0, 4.0, 3.0] + [0.1] * 60, dtype=torch.float64))
    start = torch.eye(64, dtype=torch.float64)[:, [0, 3]]
    assert np.allclose(eigsh(A, 4, start=start, generator=seeded()).values, [4, 4, 4, 3])


def test_of_a_deflated_operator_only_what_is_left_is_found(prescribed):
    """Not the zeros that deflation makes, though all that is left is negative;
    whatever the start.
    """
    D = torch.diag(torch.tensor([5.0, 4.0] + [-1.0, -1.0, -2.0] + [-3.0] * 40, dtype=torch.float64))
    Q = torch.eye(45, dtype=torch.float64)
    for start in (None, Q[:, 1:4]):
        pairs = eigsh(deflate(D, Q[:, :2]), 3, start=start, generator=seeded())
        assert np.allclose(pairs.values, [-1, -1, -2]) and pairs.vectors[:2].abs().max() < 1e-12
    with pytest.raises(ValueError, match="44 eigenpairs asked of 43"):
        eigsh(deflate(D, Q[:, :2]), 44, generator=seeded())


def test_a_killed_search_goes_on_to_the_same_copies(tmp_path, prescribed):
    A = prescribed(np.r_[np.full(4, 2.0), np.linspace(-1, 1, 146)])

    def kill(done):
        if done == 34:
            raise InterruptedError

    whole = eigsh(A, 5, generator=seeded())
    assert whole.num_products > 40
    with pytest.raises(InterruptedError):
        eigsh(A, 5, generator=seeded(), checkpoint=tmp_path, callback=kill)
    resumed = eigsh(A, 5, generator=seeded(), checkpoint=tmp_path)
    assert np.array_equal(resumed.values, whole.values) and torch.equal(
        resumed.vectors, whole.vectors
    )


def test_a_simple_spectrum_with_a_gap_costs_some_eight_products_more(prescribed):
    values = np.r_[np.geomspace(1, 0.1, 10), np.linspace(-0.02, 0.06, 490)]
    A = prescribed(values)
    sure, unsure = (eigsh(A, 10, generator=seeded(), check=check) for check in (True, "symmetry"))
    assert 0 < sure.num_products - unsure.num_products <= 10
    assert np.array_equal(sure.values, unsure.values)
    assert sure.chance_missed <= CHANCE and np.isnan(unsure.chance_missed)
    assert sure.top(3).chance_missed == sure.chance_missed


def test_without_the_guard_copies_are_missing():
    assert np.allclose(
        eigsh(cycle(20), 2, generator=seeded(), check=False).values, [2, 1.9511], atol=1e-3
    )
    assert np.allclose(
        eigsh(cycle(20), 3, generator=seeded()).values, [2, 1.9511, 1.9511], atol=1e-3
    )
    with pytest.raises(ValueError, match="out of symmetry, copies; got 'copy'"):
        eigsh(cycle(20), 2, generator=seeded(), check="copy")


def test_says_where_the_products_were_too_few_to_be_sure(prescribed):
    A = prescribed(np.linspace(0, 1, 300))
    with pytest.warns(
        RuntimeWarning, match="may have more copies than were found.* to a chance of"
    ):
        pairs = eigsh(A, 2, generator=seeded(), max_products=90)
    assert CHANCE < pairs.chance_missed <= 1


@pytest.mark.parametrize("size", [9, 40])
@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_the_bound_holds_for_an_eigenvector_that_is_there(which, size, prescribed):
    """(u·r)² ≤ ρ at every step before u is seen, u what is missing;
    with 9 rows through thick restarts.
    """
    sign = 1 if which == "largest" else -1
    values = sign * np.r_[2.0, 1.61, 1.6, np.linspace(-0.5, 1.4, 197)]
    A = prescribed(values)
    U = torch.linalg.eigh(A)[1][:, torch.argsort(sign * torch.linalg.eigvalsh(A), descending=True)]
    u = U[:, 1]
    steps = 0
    for seed in range(20):
        space = Subspace(aslinearoperator(A), which, check=True)
        space.allocate(size)
        space.extend(U[:, [0, 2]].T)  # λ_1 and λ_3, exactly
        drawn = []

        def draw(space=space, drawn=drawn, seed=seed):
            V = space.V[: space.count]
            r = torch.randn(200, generator=seeded(seed), dtype=torch.float64)
            r -= V.T @ (V @ r)
            drawn.append(r / r.norm())
            return drawn[-1][None]

        search = Search(space, space.ritz(2, exact=True), 1e-3, draw)
        while not search.found and len(drawn) == 1:
            rho = scipy.special.betaincinv(0.5, (198 - 1) / 2, search.chance)
            assert (u @ drawn[0]) ** 2 <= rho + 1e-12
            search.step()
            steps += 1
        assert search.found
    assert steps > 100
