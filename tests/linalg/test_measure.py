import numpy as np
import pytest
import torch

from hspec.linalg import (
    KERNEL_WIDTHS,
    SpectralMeasure,
    aslinearoperator,
    kolmogorov_smirnov,
    noise_floor,
    slq,
    wasserstein,
)

VALUES = np.r_[-0.5, np.linspace(0, 1, 7), 3.0]


@pytest.fixture
def exact():
    return SpectralMeasure.from_eigenvalues(VALUES)


@pytest.fixture
def sampled():
    nodes = np.array([[-1.0, 0.5, 2.0], [-1.1, 0.6, np.nan]])
    weights = np.array([[0.2, 0.5, 0.3], [0.3, 0.7, 0.0]])
    return SpectralMeasure(nodes, weights, weights, 50)


def test_moments_trace_and_cdf_of_known_eigenvalues(exact):
    assert exact.moment(2) == pytest.approx((VALUES**2).mean())
    assert exact.trace() == pytest.approx((VALUES.sum(), 0.0))
    assert exact.share_below(-1e-9) == pytest.approx((1 / 9, 1 / 9, 1 / 9))
    assert exact.support == (-0.5, 3.0)
    t = np.array([-1.0, -0.5, 0.0, 0.1, 3.0, 4.0])
    assert np.allclose(exact.cdf(t), [0, 1 / 9, 2 / 9, 2 / 9, 1, 1])
    assert np.allclose(exact.cdf_bounds(t), exact.cdf(t))  # nothing is uncertain
    assert np.allclose(exact.confidence_band(t), exact.cdf(t))


def test_means_and_standard_errors_over_probes(sampled):
    means = np.array([0.65, -0.33 + 0.42])
    assert sampled.trace() == pytest.approx((50 * means.mean(), 50 * means.std(ddof=1) / 2**0.5))
    assert np.allclose(sampled.probe_cdfs([0.0, 1.0, 9.0]), [[0.2, 0.7, 1], [0.3, 1, 1]])


def test_one_probe_has_no_standard_error(sampled):
    one = SpectralMeasure(sampled.nodes[0], sampled.weights[0], sampled.plain_weights[0], 50)
    assert np.isnan(one.trace()[1])
    with pytest.raises(ValueError, match="needs at least two probes; cdf_bounds works with one"):
        one.confidence_band(0.0)


def test_the_confidence_band_covers_and_widens_with_the_level(sampled):
    t = np.linspace(-2, 3, 11)
    low, high = sampled.confidence_band(t)
    wide = sampled.confidence_band(t, level=0.99)
    assert (low <= sampled.cdf(t)).all() and (sampled.cdf(t) <= high).all()
    assert (wide[0] <= low).all() and (high <= wide[1]).all()


def test_the_mixture_with_spikes(sampled):
    mixture = sampled.with_spikes([5.0, 4.0])
    assert mixture.dimension == 52
    t = np.array([-2.0, 0.0, 3.0, 4.5, 6.0])
    expected = sampled.cdf(t) * 50 / 52 + np.array([0, 0, 0, 1, 2]) / 52
    assert np.allclose(mixture.cdf(t), expected)
    low, high = mixture.cdf_bounds(t)
    assert np.allclose(
        low[:, -2:],
        [
            [51 / 52 - 50 / 52 * 0.3, 1 - 50 / 52 * 0.3],
            [51 / 52 - 0.7 * 50 / 52, 1 - 0.7 * 50 / 52],
        ],
    )
    assert np.allclose(high[:, -2:], [[51 / 52, 1]] * 2)
    assert np.allclose(sampled.with_spikes([]).cdf(t), sampled.cdf(t))


def test_arrays_round_trip(sampled):
    again = SpectralMeasure.from_arrays(sampled.with_spikes([3.0]).to_arrays())
    for name, value in sampled.with_spikes([3.0]).to_arrays().items():
        assert np.array_equal(value, again.to_arrays()[name], equal_nan=True), name
    with pytest.raises(ValueError, match="weights, plain_weights, dimension, exact missing"):
        SpectralMeasure.from_arrays({"nodes": 0})


@pytest.mark.parametrize(
    ("nodes", "weights", "message"),
    [
        ([[0.0, 1.0]], [[0.5, 0.6]], "sum to one"),
        ([[0.0, 1.0]], [[1.5, -0.5]], "non-negative"),
        ([[0.0, np.nan]], [[0.5, 0.5]], "NaN with weight zero"),
        ([[0.0, np.inf]], [[0.5, 0.5]], "finite"),
        ([[0.0, 1.0]], [[1.0]], "one shape"),
    ],
)
def test_refuses_what_is_no_measure(nodes, weights, message):
    with pytest.raises(ValueError, match=message):
        SpectralMeasure(nodes, weights, weights, 10)


def test_refuses_eigenvalues_that_are_not_finite():
    with pytest.raises(ValueError, match="Finite eigenvalues"):
        SpectralMeasure.from_eigenvalues([1.0, np.nan])


def test_density_is_the_gaussian_mixture_and_never_rescaled(sampled):
    t = np.linspace(-4, 5, 4001)
    density = sampled.density(t, 0.2)
    assert np.trapezoid(density, t) == pytest.approx(1.0, abs=1e-9)
    at = np.array([0.5])
    rows = [
        sum(w * np.exp(-0.5 * ((0.5 - n) / 0.2) ** 2) for n, w in zip(ns, ws, strict=True) if w)
        for ns, ws in zip(sampled.nodes, sampled.weights, strict=True)
    ]
    assert sampled.density(at, 0.2)[0] == pytest.approx(np.mean(rows) / (0.2 * np.sqrt(2 * np.pi)))
    half = t[t <= 1.3]
    clipped = np.trapezoid(sampled.density(half, 0.05), half)
    assert clipped == pytest.approx(sampled.cdf(1.3), abs=1e-6) and clipped < 0.9


def test_log_density_splits_signs_and_integrates_to_their_masses(exact):
    x = np.linspace(-12, 4, 200_001)
    positive, negative = (np.trapezoid(exact.log_density(x, sign, 0.05), x) for sign in (1, -1))
    assert positive == pytest.approx(7 / 9, abs=1e-6)
    assert negative == pytest.approx(1 / 9, abs=1e-6)  # and 1/9 at exactly zero is on neither


def test_log_density_of_a_power_law_is_a_straight_line():
    """λ^(−3/2) on four decades: density per decade ∝ λ^(−1/2),
    slope −1/2 in the log-log plot."""
    low, high = 1e-3, 10.0
    u = (np.arange(200_000) + 0.5) / 200_000
    values = (low**-0.5 + u * (high**-0.5 - low**-0.5)) ** -2
    x = np.linspace(-2, 0.0, 5)
    log_density = np.log10(
        SpectralMeasure.from_eigenvalues(values).log_density(x, 1, 0.05, epsilon=1e-9)
    )
    assert np.allclose(np.diff(log_density) / np.diff(x), -0.5, atol=0.02)


def test_the_density_near_zero_stays_finite(exact):
    """The published change of variables divides by |θ + ε| at the node, and blows up there."""
    tiny = SpectralMeasure.from_eigenvalues([-1e-5, 1.0])
    assert np.isfinite(tiny.log_density(np.linspace(-20, 1, 50), -1, 0.1)).all()


def test_smoothing_refuses_bad_widths_and_signs(exact):
    with pytest.raises(ValueError, match="width must be positive; got 0"):
        exact.density([0.0], 0)
    with pytest.raises(ValueError, match=r"sign is \+1 or -1"):
        exact.log_density([0.0], 0, 0.1)


def test_published_kernel_widths():
    """Range [0, 100], m = 101: half the widened range is 55, a step 2/100 of [−1, 1]."""
    measure = SpectralMeasure.from_eigenvalues([0.0, 100.0])
    assert KERNEL_WIDTHS["P20"](measure, 101) == pytest.approx(55 * 0.02 / np.sqrt(8 * np.log(3.0)))
    assert KERNEL_WIDTHS["P19"](measure, 101) == pytest.approx(
        55 * 0.02 / np.sqrt(8 * np.log(1.25))
    )
    assert KERNEL_WIDTHS["GKX19"](measure, 101) == pytest.approx(np.sqrt(1e-3))
    assert KERNEL_WIDTHS["GKX19"](SpectralMeasure.from_eigenvalues([0.0, 0.1]), 9) == pytest.approx(
        np.sqrt(1e-5)
    )
    with pytest.raises(ValueError, match="at least two Lanczos steps"):
        KERNEL_WIDTHS["P20"](measure, 1)


def test_the_noise_floor():
    measure = SpectralMeasure.from_eigenvalues([-4.0, 1.0])
    assert noise_floor(measure) == pytest.approx(4 * 2.0**-23)
    assert noise_floor(measure, "float64") == pytest.approx(4 * 2.0**-52)


def test_wasserstein_of_a_shift_and_of_scipy(exact, sampled):
    from scipy.stats import wasserstein_distance

    shifted = SpectralMeasure.from_eigenvalues(VALUES + 0.3)
    assert wasserstein(exact, shifted) == pytest.approx(0.3)
    flat = sampled.weights.ravel() > 0
    expected = wasserstein_distance(
        sampled.nodes.ravel()[flat], VALUES, sampled.weights.ravel()[flat], np.ones(9)
    )
    assert wasserstein(sampled, exact) == pytest.approx(expected)


def test_kolmogorov_smirnov_and_its_outside():
    """Atoms at ±1e-5 exchanged: 0.9 apart, and nothing outside 1e-3 of the largest."""
    a = SpectralMeasure.from_eigenvalues([-1e-5] * 9 + [1.0])
    b = SpectralMeasure.from_eigenvalues([1e-5] * 9 + [1.0])
    assert kolmogorov_smirnov(a, b) == pytest.approx(0.9)
    assert kolmogorov_smirnov(a, b, outside=1e-3) == 0.0
    c = SpectralMeasure.from_eigenvalues([1e-5] * 8 + [0.5, 1.0])
    assert kolmogorov_smirnov(a, c, outside=1e-3) == pytest.approx(0.1)
    assert kolmogorov_smirnov(a, a) == 0.0


@pytest.mark.parametrize("outside", [0.0, 0.1, 0.4])
def test_kolmogorov_smirnov_against_a_fine_grid(outside, exact, sampled):
    t = np.sort(np.r_[np.linspace(-4, 4, 20_001), VALUES, VALUES - 1e-9])
    t = t[np.abs(t) >= outside * 3.0]
    brute = np.abs(exact.cdf(t) - sampled.cdf(t)).max()
    assert kolmogorov_smirnov(exact, sampled, outside) == pytest.approx(brute)


@pytest.mark.parametrize("probes", [1, 3])
def test_a_share_below_a_point_has_an_interval_that_holds_the_true_one(probes):
    """A node beside the point stands for eigenvalues on both sides:
    the spread over probes does not know it.
    """
    generator = torch.Generator().manual_seed(3)
    values = torch.cat([torch.linspace(-0.02, 0.01, 500), torch.linspace(0.5, 3.0, 20)]).double()
    matrix = aslinearoperator(torch.diag(values))
    measure = slq(matrix, 18, probes, generator=generator)
    truth = float((values <= -0.002).double().mean())
    share, low, high = measure.share_below(-0.002)
    assert low <= truth <= high and low <= share <= high and high - low < 1
