import doctest

import numpy as np
import pytest
import scipy.stats

from hspec import statistics
from hspec.statistics import mean_and_error, mean_and_interval, ratio_and_error, student_factor


def test_the_examples_run():
    assert doctest.testmod(statistics).failed == 0


def test_against_scipy():
    values = np.random.default_rng(0).normal(size=(6, 2, 3))
    mean, error = mean_and_error(values)
    assert np.allclose(mean, values.mean(0)) and np.allclose(error, scipy.stats.sem(values))
    mean, half = mean_and_interval(values, 0.9)
    low, high = scipy.stats.t.interval(0.9, 5, values.mean(0), scipy.stats.sem(values))
    assert np.allclose([mean - half, mean + half], [low, high])


def test_one_value_has_no_error_and_none_no_mean():
    assert mean_and_error([3.0])[0] == 3.0 and np.isnan(mean_and_error([3.0])[1])
    assert np.isnan(mean_and_interval([[1.0, 2.0]])[1]).all() and np.isnan(student_factor(1))
    for nothing in ([], 1.0):
        with pytest.raises(ValueError, match="at least one value"):
            mean_and_error(nothing)


def test_intervals_cover_as_often_as_they_say():
    """20,000 means of three normal values; four standard errors of a proportion."""
    mean, half = mean_and_interval(np.random.default_rng(1).normal(size=(3, 20_000)))
    assert abs((np.abs(mean) < half).mean() - 0.95) < 4 * (0.95 * 0.05 / 20_000) ** 0.5


def test_the_error_of_a_ratio_is_its_scatter():
    """Pairs that scatter together: the spread of 4,000 ratios within 5 % of the error that
    one of them states.
    """
    rng = np.random.default_rng(2)
    whole = 5 + rng.normal(size=(4000, 50))
    part = 0.3 * whole + 0.1 * rng.normal(size=whole.shape)
    found = np.array([ratio_and_error(p, w) for p, w in zip(part, whole, strict=True)])
    assert abs(found[:, 0].mean() - 0.3) < 1e-3
    assert abs(found[:, 0].std() / found[:, 1].mean() - 1) < 0.05
    assert np.isnan(ratio_and_error([1.0], [2.0])[1])
