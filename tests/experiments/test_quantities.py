import numpy as np
import pytest

from hspec.chapters.bulk_and_outliers.verdict import outlier_count


def test_outliers_are_counted_at_the_largest_ratio():
    values = np.concatenate([np.array([9.0, 5.0, 4.0]), np.linspace(1.0, 0.9, 20)])
    count, ratio = outlier_count(np.random.default_rng(0).permutation(values), num_classes=3)
    assert count == 3
    assert ratio == pytest.approx(4.0)


def test_gaps_beyond_three_c_do_not_count():
    values = np.concatenate([np.full(7, 2.0), [1.0], np.full(5, 1e-6)])
    assert outlier_count(values, num_classes=2) == (1, 1.0)
    assert outlier_count(values, num_classes=3)[0] == 8


def test_one_positive_eigenvalue_is_refused():
    with pytest.raises(ValueError, match="at least two positive eigenvalues, got 1"):
        outlier_count(np.array([1.0, -2.0]), num_classes=2)
