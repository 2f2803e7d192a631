"""Laws fitted to a branch: closed forms, known spectra recovered, and clear refusals."""

import numpy as np
import pytest

from hspec.experiments.fits import (
    LAWS,
    Branch,
    branch,
    fit,
    floors,
    halves,
    power_law_cdf,
    semicircle_cdf,
)
from hspec.linalg import SpectralMeasure

U = (np.arange(4000) + 0.5) / 4000


def both_signs(size):
    return SpectralMeasure.from_eigenvalues(np.concatenate([size, -size]))


def power_law(exponent, lowest=1e-3):
    """Quantiles of the law on [lowest, 1]."""
    rate = 1 - exponent
    return (lowest**rate + U * (1 - lowest**rate)) ** (1 / rate)


def semicircle():
    """|λ| at the quantiles of the unit semicircle,
    by inverting its distribution function on a fine grid.
    """
    t = np.linspace(0, 1, 20001)
    return np.interp(U, 2 / np.pi * (t * np.sqrt(1 - t**2) + np.arcsin(t)), t)


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 1.0, 1.5, 3.0])
def test_power_law_is_the_integral_of_its_density(exponent):
    size = np.geomspace(0.01, 2.0, 20001)
    density = size**-exponent
    steps = np.diff(size) * (density[1:] + density[:-1]) / 2
    expected = np.r_[0.0, np.cumsum(steps)] / steps.sum()
    np.testing.assert_allclose(power_law_cdf(size, np.array([exponent]))[0], expected, atol=1e-6)


def test_power_law_is_continuous_at_exponent_one():
    size = np.geomspace(0.01, 2.0, 50)
    at_one, beside = power_law_cdf(size, np.array([1.0, 1.0 + 1e-7]))
    np.testing.assert_allclose(at_one, beside, atol=1e-6)


@pytest.mark.parametrize("radius", [2.0, 2.5, 100.0])
def test_semicircle_is_the_integral_of_its_density(radius):
    size = np.linspace(0.01, 2.0, 20001)
    density = np.sqrt(radius**2 - size**2)
    steps = np.diff(size) * (density[1:] + density[:-1]) / 2
    expected = np.r_[0.0, np.cumsum(steps)] / steps.sum()
    np.testing.assert_allclose(semicircle_cdf(size, np.array([radius]))[0], expected, atol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("exponent", [0.5, 1.0 + 1e-9, 2.0])
def test_recovers_the_exponent_of_a_power_law(exponent, sign):
    of = branch(both_signs(power_law(exponent)), sign, (2e-3, 0.9))
    found = fit("power law", of)
    assert found.parameter == pytest.approx(exponent, abs=0.03)
    assert found.distance < 0.01
    assert fit("semicircle", of).distance > 10 * found.distance


def test_recovers_the_radius_of_a_semicircle():
    of = branch(both_signs(semicircle()), 1, (0.05, 0.9))
    found = fit("semicircle", of)
    assert found.parameter == pytest.approx(1.0, abs=0.03)
    assert found.distance < 0.005
    assert fit("power law", of).distance > 5 * found.distance


def test_no_other_parameter_is_nearer():
    of = branch(both_signs(power_law(1.7)), 1)
    target = of.cdf.mean(0)
    for law in LAWS:
        cdf, candidates = LAWS[law](of.size)
        others = np.abs(cdf(of.size, candidates) - target).max(1)
        assert fit(law, of).distance <= others.min() + 1e-12


def test_fits_do_not_depend_on_the_unit():
    size = power_law(1.3)
    near, far = (branch(both_signs(factor * size), 1) for factor in (1.0, 1e-4))
    assert fit("power law", far).parameter == pytest.approx(
        fit("power law", near).parameter, abs=1e-6
    )
    assert fit("semicircle", far).distance == pytest.approx(
        fit("semicircle", near).distance, abs=1e-6
    )


def test_a_branch_is_a_distribution_and_knows_its_mass():
    of = branch(both_signs(power_law(1.5)), 1, (0.01, 0.5))
    inside = (power_law(1.5) >= 0.01) & (power_law(1.5) <= 0.5)
    assert isinstance(of, Branch)
    assert of.cdf[0, 0] == 0
    assert of.cdf[0, -1] == 1
    assert (np.diff(of.cdf) >= 0).all()
    assert of.mass == pytest.approx(inside.mean() / 2, abs=2e-3)


def test_one_exponent_in_both_halves_of_a_power_law_and_two_of_a_broken_one():
    straight = [fit("power law", half).parameter for half in halves(both_signs(power_law(1.5)), 1)]
    assert straight[0] == pytest.approx(straight[1], abs=0.05)
    middle = 1e-3**0.5
    bent = np.concatenate([power_law(1.5, middle) * middle, power_law(3.0, middle)])
    lower, upper = (fit("power law", half).parameter for half in halves(both_signs(bent), 1))
    assert lower == pytest.approx(1.5, abs=0.05)
    assert 2.5 < upper < 3.05  # the middle of the window is not quite that of the law


def test_floors_are_the_noise_the_shift_and_the_third_node():
    measure = both_signs(np.array([0.5, 0.25, 1e-3, 1e-6, 1e-7]))
    assert floors(measure, 1) == pytest.approx(
        {"noise": 0.5 * np.finfo("float32").eps, "ε": 0.5e-5, "resolution": 1e-3}
    )


def test_too_few_nodes_are_refused_and_halves_are_none():
    few = both_signs(np.geomspace(0.01, 1, 5))
    with pytest.raises(ValueError, match=r"too few nodes .* take more Lanczos steps"):
        branch(few, 1)
    with pytest.raises(ValueError, match="take more Lanczos steps"):
        branch(SpectralMeasure.from_eigenvalues([1.0, 2.0]), -1)
    assert halves(both_signs(np.geomspace(0.01, 1, 8)), 1) is None
