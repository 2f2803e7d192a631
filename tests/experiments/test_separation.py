"""How far two groups of eigenvalues lie apart, against closed forms."""

import numpy as np
import pytest

from hspec.experiments.separation import level_separation, log_quartiles, separation


def test_quartiles_of_equal_weights_are_numpys_hazen_quantiles():
    values = np.random.default_rng(0).lognormal(size=41)
    expected = np.quantile(np.log10(values), [0.25, 0.5, 0.75], method="hazen")
    np.testing.assert_allclose(log_quartiles(values, np.ones(41)), expected)


def test_quartiles_ignore_what_has_no_logarithm():
    values, weights = np.array([-1.0, 0.0, 1.0, 10.0, 100.0, np.nan]), np.array([1, 1, 1, 1, 1, 0])
    assert log_quartiles(values, weights)[1] == 1.0
    with pytest.raises(ValueError, match="positive values"):
        log_quartiles(values[:2], weights[:2])


def test_separation_of_shifted_groups_is_the_shift_over_the_spread():
    """Two groups of one shape, three decades apart: 3 / IQR, whatever the unit."""
    values = np.logspace(-1, 1, 201)
    iqr = np.diff(np.quantile(np.linspace(-1, 1, 201), [0.25, 0.75], method="hazen"))[0]
    lower, upper = (values, np.ones(201)), (1000 * values, np.ones(201))
    assert separation(upper, lower) == pytest.approx(3 / iqr)
    assert separation(lower, upper) == pytest.approx(-3 / iqr)
    assert separation((7 * upper[0], upper[1]), (7 * lower[0], lower[1])) == pytest.approx(3 / iqr)


def test_level_separation_is_that_above_the_floor_and_its_error_is_over_probes():
    upper, nodes = np.logspace(1, 2, 11), np.tile(np.r_[0.0, 1e-9, np.logspace(-2, 0, 11)], (3, 1))
    weights = np.r_[5.0, 5.0, np.ones(11)][None] * np.ones((3, 1))
    expected = separation((upper, np.ones(11)), (nodes[0, 2:], np.ones(11)))
    options = {"by": "count", "floor": 1e-4}
    assert level_separation(upper, nodes, weights, **options) == (
        pytest.approx(expected),
        pytest.approx(0),
    )
    assert np.isnan(level_separation(upper, nodes[:1], weights[:1], **options)[1])


def test_level_separation_by_trace_weighs_by_eigenvalue_and_needs_no_floor():
    upper, lower = np.logspace(1, 2, 11), np.logspace(-2, 0, 11)
    expected = separation((upper, upper), (lower, lower))
    for zeros in ([], [0.0, -1e-9, 1e-12]):
        nodes = np.r_[zeros, lower][None]
        found, _ = level_separation(upper, nodes, np.ones(nodes.shape), by="trace")
        assert found == pytest.approx(expected)
    with pytest.raises(ValueError, match='by "count" or by "trace"'):
        level_separation(upper, lower[None], np.ones((1, 11)), by="mass")
