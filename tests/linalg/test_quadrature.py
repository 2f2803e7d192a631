import numpy as np
import pytest
import torch

from hspec.linalg import (
    SpectralMeasure,
    deflate,
    eigsh,
    identity,
    lanczos,
    slq,
    wasserstein,
)
from hspec.linalg.quadrature import measure_from
from hspec.linalg.radau import Radau, radau
from hspec.linalg.ritz_weights import ritz_weights
from hspec.linalg.tridiagonal import Tridiagonal

NET_LIKE = np.r_[
    np.geomspace(1, 0.1, 10),  # outliers
    0.06 * 10.0 ** np.linspace(-5, 0, 390),  # a bulk over five decades
    -0.02 * 10.0 ** np.linspace(-5, 0, 200),
]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def plain(measure):
    return SpectralMeasure(
        measure.nodes, measure.plain_weights, measure.plain_weights, measure.dimension
    )


@pytest.mark.parametrize("m", [1, 2, 5, 9])
def test_gauss_rules_are_exact_to_degree_2m_minus_1(m, prescribed):
    A = prescribed(np.linspace(-1, 1, 60))
    measure = slq(A, m, 1, generator=seeded(4))
    v = torch.randn(60, generator=seeded(4), dtype=torch.float64)
    v /= v.norm()
    w = v
    for degree in range(2 * m + 1):
        error = abs(float(v @ w) - (measure.plain_weights * measure.nodes**degree).sum())
        assert (error < 1e-12) == (degree <= 2 * m - 1), degree
        w = A @ w


@pytest.mark.parametrize("m", [2, 5, 9])
def test_with_a_node_given_rules_are_exact_to_degree_2m(m, prescribed):
    """Of the probe's own measure; the node, between two of the Gauss rule, is there."""
    A, x = prescribed(np.linspace(-1, 1, 60)), 0.28
    v = torch.randn(60, generator=seeded(4), dtype=torch.float64)
    run = radau(lanczos(A, v, m), x)
    theta, S = np.linalg.eigh(run.T)
    assert np.abs(theta - x).min() < 1e-13 and np.abs(run.ritz()[0] - x).min() == 0.0
    v /= v.norm()
    w = v
    for degree in range(2 * m + 2):
        error = abs(float(v @ w) - (S[0] ** 2 * theta**degree).sum())
        assert (error < 1e-12) == (degree <= 2 * m), degree
        w = A @ w


def test_a_node_at_zero_takes_the_turns_out_of_a_singular_spectrum(prescribed):
    """Seven of ten eigenvalues are zero: a Gauss rule has one node there, or two beside it, by
    turns; with the node the error falls, and is never the larger one.
    """
    values = np.r_[NET_LIKE[::2], np.zeros(700)]
    exact = SpectralMeasure.from_eigenvalues(values)
    starts = torch.randn(4, len(values), generator=seeded(0), dtype=torch.float64)
    runs = [lanczos(torch.diag(torch.from_numpy(values)), v, 30) for v in starts]

    def error(m, node):
        cut = [
            Tridiagonal(r.alphas[:m], r.betas[: m - 1], None, None, r.betas[m - 1]) for r in runs
        ]
        measures = [measure_from([run], len(values), node=node) for run in cut]
        assert all(abs(q.weights.sum() - 1) < 1e-12 for q in measures)
        for q, run in zip(measures, cut, strict=True):  # what is seen of the ends is from inside
            low, high = run.ritz()[0][[0, -1]]
            assert min(low, 0.0) <= q.support[0] and q.support[1] <= max(high, 0.0)
        return np.mean([wasserstein(q, exact) for q in measures])

    steps = range(5, 29)
    gauss, given = ([error(m, node) for m in steps] for node in (None, 0.0))
    assert (np.array(given) < 1.03 * np.array(gauss)).all()
    assert np.median(np.divide(gauss, given)) > 1.1 and np.max(np.divide(gauss, given)) > 1.5
    assert (np.array(given[2:]) < 1.05 * np.array(given[:-2])).all()


def test_a_node_that_is_there_already_or_a_space_that_is_invariant_leaves_the_rule(prescribed):
    values = np.r_[-1.0, 0.0, 0.0, 0.0, 0.5, 2.0]
    whole = slq(prescribed(values), 6, 2, generator=seeded(0))  # stops after four steps
    given = slq(prescribed(values), 6, 2, generator=seeded(0), node=0.0)
    assert np.array_equal(given.nodes, whole.nodes) and np.array_equal(given.weights, whole.weights)
    symmetric = Tridiagonal(np.zeros(3), np.ones(2), None, None, 1.0)  # has the node 0
    assert radau(symmetric, 0.0) is symmetric
    assert isinstance(radau(symmetric, 0.5), Radau)


def test_all_steps_give_the_exact_spectrum(prescribed):
    values = np.linspace(-1, 2, 12)
    measure = slq(prescribed(values), 12, 2, generator=seeded(0))
    exact = SpectralMeasure.from_eigenvalues(values)
    assert wasserstein(measure, exact) < 1e-12
    assert np.allclose(measure.weights, 1 / 12, atol=1e-14)


def test_more_steps_than_dimensions_are_cut(prescribed):
    assert slq(prescribed([1.0, 2.0, 4.0]), 90, 1, generator=seeded(0)).nodes.shape == (1, 3)


@pytest.mark.parametrize("block", [False, True])
def test_blocks_and_single_probes_agree(block, prescribed):
    A = prescribed(NET_LIKE)
    one, other = (slq(A, 15, 4, generator=seeded(7), block=b) for b in (False, True))
    assert np.allclose(one.nodes, other.nodes, atol=1e-11)
    assert np.allclose(one.plain_weights, other.plain_weights, atol=1e-10)


def test_probes_run_in_lock_step_where_their_bases_are_small(monkeypatch, prescribed, wrapped):
    A, widths = prescribed(NET_LIKE), []
    seen = wrapped(len(A), lambda X: widths.append(X.shape[1]) or A @ X)
    slq(seen, 3, 2, generator=seeded(7))
    monkeypatch.setattr("hspec.linalg.quadrature.LOCK_STEP", 2 * 3 * len(A) * 8 - 1)
    slq(seen, 3, 2, generator=seeded(7))
    assert widths == [2, 2, 2] + 6 * [1]


def test_float32_and_float64_see_the_same_probes(prescribed):
    A = prescribed(NET_LIKE)
    one, other = slq(A, 10, 2, generator=seeded(7)), slq(A.float(), 10, 2, generator=seeded(7))
    assert np.allclose(one.nodes, other.nodes, atol=1e-5)


def test_converged_ritz_weights_beat_five_plain_probes(prescribed):
    """Means over 20 probes; W_1 and trace of one corrected probe against those of five
    plain ones.
    """
    A = prescribed(NET_LIKE)
    exact = SpectralMeasure.from_eigenvalues(NET_LIKE)
    runs = slq(A, 60, 100, generator=seeded(0))
    corrected, five_plain = [], []
    for i in range(0, 100, 5):
        one = SpectralMeasure(runs.nodes[i], runs.weights[i], runs.plain_weights[i], runs.dimension)
        rows = slice(i, i + 5)
        five = SpectralMeasure(
            runs.nodes[rows], runs.weights[rows], runs.plain_weights[rows], runs.dimension
        )
        corrected.append([wasserstein(one, exact), abs(one.trace()[0] - NET_LIKE.sum())])
        five_plain.append(
            [wasserstein(plain(five), exact), abs(plain(five).trace()[0] - NET_LIKE.sum())]
        )
    assert (np.mean(corrected, 0) < np.mean(five_plain, 0)).all()


def test_float32_products_with_float64_scalars_keep_the_ends(prescribed):
    """Top ten and λ_min to 1e-5 of λ_max in float32, to 1e-12 in float64, at m = 90."""
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        nodes = slq(prescribed(NET_LIKE, dtype), 90, 1, generator=seeded(2)).nodes[0]
        assert np.allclose(nodes[::-1][:10], NET_LIKE[:10], rtol=0, atol=tolerance)
        assert abs(nodes[0] - NET_LIKE.min()) < tolerance


def test_an_exact_null_space_keeps_its_weight(prescribed):
    """20 simple eigenvalues and 380 zeros: weights 1/p and the null space's share,
    not 1/p each."""
    values = np.r_[np.linspace(1, 2, 20), np.zeros(380)]
    measure = slq(prescribed(values), 60, 3, generator=seeded(0))
    exact = SpectralMeasure.from_eigenvalues(values)
    assert wasserstein(measure, exact) < 1e-10
    assert wasserstein(plain(measure), exact) > 1e-3
    at_zero = (measure.weights * (np.abs(measure.nodes) < 1e-9)).sum(1)
    assert np.allclose(at_zero, 0.95, atol=1e-10)


def test_no_node_left_to_carry_the_mass_means_the_plain_rule():
    """Two eigenvalues of multiplicity five: both converged, neither far beyond a χ²₁ draw."""
    theta, S = np.array([1.0, 2.0]), np.sqrt([0.4, 0.6])
    alphas = np.array([S**2 @ theta, S[::-1] ** 2 @ theta])
    run = Tridiagonal(alphas, np.array([np.prod(S)]), None, None, 0.0)
    assert np.allclose(run.ritz()[1] ** 2, [0.4, 0.6])
    assert np.allclose(ritz_weights([run], 10)[0], [0.4, 0.6])


def test_a_heavy_draw_does_not_make_an_outlier_multiple(prescribed):
    """A thousand converged nodes over twenty measures of ten probes:
    each is known to be simple."""
    values = np.r_[np.geomspace(1, 0.1, 10), np.linspace(-0.05, 0.05, 290)]
    A, draws = prescribed(values), []
    for seed in range(20):
        measure = slq(A, 60, 10, generator=seeded(seed))
        outliers = measure.nodes > 0.2
        assert np.allclose(measure.weights[outliers], 1 / 300)
        draws.append(measure.plain_weights[outliers] * 300)
    assert np.concatenate(draws).max() > 10.8  # beyond what one draw in a thousand exceeds


@pytest.mark.parametrize("num_probes", [1, 3])
def test_multiple_eigenvalues_are_told_from_simple_ones_by_all_probes_together(
    num_probes, prescribed
):
    """Ten values nine times each and ten times zero: never worse than the plain rule."""
    values = np.kron(np.r_[np.full(9, 1.0), 0.0], np.arange(1, 41) ** -1.5)
    A, exact = prescribed(values), SpectralMeasure.from_eigenvalues(values)
    errors = []
    for seed in range(12):
        measure = slq(A, 60, num_probes, generator=seeded(seed))
        errors.append([wasserstein(measure, exact), wasserstein(plain(measure), exact)])
    corrected, own = np.mean(errors, 0)
    assert corrected <= 1.001 * own


def test_without_reorthogonalisation_weights_are_plain(prescribed):
    measure = slq(prescribed(NET_LIKE), 40, 2, generator=seeded(0), reorthogonalize="none")
    assert np.array_equal(measure.weights, measure.plain_weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unasked_the_cpu_reorthogonalises_partially_to_the_same_measure(dtype, prescribed):
    A = prescribed(NET_LIKE).to(dtype)
    unasked, partial, full = (
        slq(A, 60, 2, generator=seeded(0), reorthogonalize=kind)
        for kind in (None, "partial", "full")
    )
    assert np.array_equal(unasked.nodes, partial.nodes)
    assert wasserstein(unasked, full) < 10 * torch.finfo(dtype).eps * np.abs(NET_LIKE).max()


@pytest.mark.parametrize("num_probes", [1, 2])
@pytest.mark.parametrize("kind", ["partial", "full"])
def test_as_many_steps_as_dimensions_in_single_precision(kind, num_probes, prescribed):
    """Probes exhaust their Krylov spaces at different steps: none may run away,
    and all find the spectrum.
    """
    values = np.r_[np.geomspace(8, 1e-3, 300), -np.geomspace(1, 1e-4, 200), np.zeros(400)]
    measure = slq(
        prescribed(values, torch.float32),
        900,
        num_probes,
        generator=seeded(0),
        reorthogonalize=kind,
    )
    assert np.abs(measure.nodes[np.isfinite(measure.nodes)]).max() < 8.00001
    assert wasserstein(measure, SpectralMeasure.from_eigenvalues(values)) < 1e-5


@pytest.mark.parametrize("m", [3, 10, 30])
@pytest.mark.parametrize("name", ["net-like", "uniform", "rank-deficient"])
def test_the_rigorous_band_contains_the_probes_exact_cdf(m, name, prescribed):
    values = {
        "net-like": NET_LIKE,
        "uniform": np.linspace(-1, 1, 200),
        "rank-deficient": np.r_[np.linspace(1, 2, 40), np.zeros(160)],
    }[name]
    D = torch.diag(torch.from_numpy(np.sort(values)))  # eigenvectors are the unit vectors
    measure = slq(D, m, 2, generator=seeded(5))
    g = seeded(5)
    # away from the eigenvalues, where both CDFs jump within rounding
    t = np.unique(np.r_[(np.unique(values)[1:] + np.unique(values)[:-1]) / 2, -5, 5])
    lower, upper = measure.cdf_bounds(t)
    for i in range(2):
        v = torch.randn(len(values), generator=g, dtype=torch.float64).numpy()
        weighted = (np.diag(D.numpy())[None] <= t[:, None]) @ (v**2 / (v**2).sum())
        assert (lower[i] <= weighted + 1e-12).all() and (weighted <= upper[i] + 1e-12).all()
    if name == "uniform":
        assert (upper - lower).mean() < 4 / m  # the band closes as m grows


def test_at_a_node_the_band_is_the_nodes_weight(prescribed):
    measure = slq(prescribed(NET_LIKE), 8, 1, generator=seeded(0))
    lower, upper = measure.cdf_bounds(measure.nodes[0])
    sums = np.cumsum(measure.plain_weights[0])
    assert np.allclose(upper[0], sums) and np.allclose(lower[0], sums - measure.plain_weights[0])


def test_a_deflated_operator_is_measured_on_the_complement(prescribed):
    """No spurious zeros: p − k eigenvalues, and with the spikes the whole spectrum."""
    values = np.r_[10.0, 8.0, np.linspace(1, 2, 30)]
    A = prescribed(values)
    pairs = eigsh(A, 2, generator=seeded(0), tol=1e-12)
    bulk = slq(deflate(A, pairs), 30, 2, generator=seeded(1))
    assert bulk.dimension == 30 and bulk.support[0] > 0.99 and bulk.support[1] < 2.01
    mixture = bulk.with_spikes(pairs.values)
    assert mixture.dimension == 32
    assert wasserstein(mixture, SpectralMeasure.from_eigenvalues(values)) < 1e-9


def test_all_zero_and_identity_operators():
    zero = slq(0.0 * identity(7), 5, 2, generator=seeded(0))
    assert np.array_equal(zero.nodes, np.zeros((2, 1))) and np.array_equal(
        zero.weights, np.ones((2, 1))
    )
    one = slq(identity(7), 5, 2, generator=seeded(0), block=True)
    assert np.allclose(one.nodes, 1.0) and one.trace() == pytest.approx((7.0, 0.0))


def test_probes_that_stop_at_different_steps_are_padded():
    """A block one of whose probes lies in an invariant subspace."""
    from hspec.linalg.operator import aslinearoperator
    from hspec.linalg.recurrence import Recurrence

    starts = torch.ones(2, 6, dtype=torch.float64)
    starts[0, 2:] = 0.0
    run = Recurrence(
        aslinearoperator(torch.diag(torch.arange(6.0, dtype=torch.float64))),
        starts,
        5,
        reorthogonalize="full",
    )
    measure = measure_from(run.finish(), 6, orthogonal=False)
    assert np.isnan(measure.nodes[0, 2:]).all() and (measure.weights[0, 2:] == 0).all()
    assert np.allclose(measure.nodes[0, :2], [0, 1], atol=1e-12)
    assert np.isfinite(measure.cdf_bounds(0.5)).all() and measure.support[1] < 5


def test_refusals(prescribed):
    A = prescribed([1.0, 2.0])
    with pytest.raises(ValueError, match="number of probes is a whole number of at least 1; got 0"):
        slq(A, 2, 0, generator=seeded(0))
    with pytest.raises(ValueError, match="gaussian or rademacher; got 'uniform'"):
        slq(A, 2, 1, generator=seeded(0), probes="uniform")
    with pytest.raises(ValueError, match="The node must be a finite number; got nan"):
        slq(A, 2, 1, generator=seeded(0), node=float("nan"))


def test_the_callback_counts_all_probes(prescribed):
    for block in (False, True):
        seen = []
        A = prescribed(NET_LIKE)
        slq(
            A, 4, 3, generator=seeded(0), block=block, callback=lambda *s, seen=seen: seen.append(s)
        )
        assert seen[-1] == (12, 12)


@pytest.mark.parametrize("kind", ["gaussian", "rademacher"])
def test_moments_are_unbiased(kind, prescribed):
    """tr A and tr A² within four standard errors of the truth, 200 probes."""
    A = prescribed(NET_LIKE)
    measure = plain(slq(A, 4, 200, generator=seeded(11), probes=kind))
    for k in (1, 2):
        mean, sem = measure.mean_and_sem(lambda t, k=k: t**k)
        assert abs(mean - (NET_LIKE**k).mean()) < 4 * sem


ON_CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    ],
)


@pytest.mark.parametrize("device", ["cpu", ON_CUDA])
@pytest.mark.parametrize("block", [False, True])
def test_float32_agrees_with_float64_on_the_cpu(block, device, prescribed):
    """Outside the bulk node by node: of two atoms a rounding apart, the distribution functions
    differ between them by the whole of their weight.
    """
    A = prescribed(NET_LIKE)
    reference = slq(A, 30, 3, generator=seeded(0))
    result = slq(A.float().to(device), 30, 3, generator=seeded(0), block=block)
    assert wasserstein(result, reference) < 1e-5
    outer = np.abs(reference.nodes) > 0.08 * np.abs(NET_LIKE).max()
    assert outer.sum() >= 3
    np.testing.assert_allclose(result.nodes[outer], reference.nodes[outer], rtol=1e-6)
    np.testing.assert_allclose(result.weights[outer], reference.weights[outer], rtol=1e-4)
