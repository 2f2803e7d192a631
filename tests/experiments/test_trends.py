import numpy as np
import pytest
from scipy.stats import kendalltau

from hspec.experiments.trends import trend


def test_tau_of_one_line_is_kendalls():
    values = np.random.default_rng(0).standard_normal(12)
    assert trend(values[None], 1).tau == pytest.approx(kendalltau(np.arange(12), values).statistic)


def test_monotone_lines_have_tau_one_and_the_exact_permutation_p():
    table = np.arange(12.0).reshape(3, 4) + 100 * np.array([[2], [0], [1]])
    found = trend(table, 1)
    assert found.tau == 1.0
    assert found.comparisons == 18
    assert found.p == 2 / 24**3
    assert trend(-table, 1).tau == -1.0


@pytest.mark.parametrize(
    ("last", "share"), [((1.0, 2.0, 3.0), 2 / 216), ((1.0, 3.0, 2.0), 14 / 216)]
)
def test_few_exchanges_are_all_looked_at(last, share):
    """Of three lines of three all rise, or all but one pair: nothing is drawn."""
    table = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], last])
    assert {trend(table, 1, seed=seed).p for seed in range(3)} == {share}


def test_many_exchanges_are_drawn():
    assert trend(np.arange(10.0)[None], 1).p == 1e-4  # the one observed; drawn ones are not as high


def test_lines_are_not_compared_with_each_other():
    """Along axis 0 the offsets decide: 2, 0, 1 has one rise in three, in every column."""
    table = np.arange(12.0).reshape(3, 4) + 100 * np.array([[2], [0], [1]])
    assert trend(table, 0).tau == pytest.approx(-1 / 3)


def test_missing_cells_take_no_part():
    table = np.array([[1.0, np.nan, 2.0], [np.nan, np.nan, 9.0]])
    found = trend(table, 1)
    assert (found.tau, found.comparisons) == (1.0, 1)
    with pytest.raises(ValueError, match="at least two cells"):
        trend(table[1:], 1)


def test_without_a_trend_p_is_uniform():
    """The rate of p ≤ 0.1 over 200 tables without trend: 0.1, standard error 0.021,
    so at most 0.16 (3 s.e.).
    """
    rng = np.random.default_rng(1)
    p = np.array([trend(rng.standard_normal((2, 5)), 1).p for _ in range(200)])
    assert (p <= 0.1).mean() <= 0.16
    assert (p <= 0.5).mean() >= 0.35
