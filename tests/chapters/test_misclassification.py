"""Gaussian classes: the three cases against dense matrices, and both outcomes of the verdict."""

import numpy as np
import pytest
import torch

from hspec.chapters.misclassification.figures import (
    fisher_by_rank,
    gap_table,
    ratio_and_error,
    ratio_table,
    within_table,
)
from hspec.chapters.misclassification.measure import (
    descending,
    fitted,
    logistic_fisher,
    posterior_fisher,
)
from hspec.chapters.misclassification.verdict import (
    findings,
    rank_correlation,
    verdict_misclassification,
    within_signals,
)
from hspec.curvature.logistic_regression import expected_fisher, gaussian_classes
from hspec.experiments import Record
from hspec.experiments.claims import OUTCOMES

HOLDS, FAILS, OPEN = OUTCOMES
C, D = 3, 5
OPTIONS = {
    "num_classes": C,
    "dimension": D,
    "signals": (0.5, 1.5, 2.5, 3.5, 5.0),
    "per_class": 40,
    "test_per_class": 200,
    "posterior_examples": 300_000,
    "repeats": 3,
}


@pytest.fixture(scope="module")
def record(measured):
    return measured(logistic_fisher, **OPTIONS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_posteriors_matrix_is_its_mean_over_all_features():
    """Against draws of all D features, each entry within five standard errors."""
    t, n = 1.5, 8192
    found, alpha = posterior_fisher(C, D, t, C * 4096, generator())
    x, y = gaussian_classes(C, D, t, n, generator=generator(1))
    p = (t * x[:, :C]).softmax(1)
    U = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    terms = torch.einsum("ni,nj,nab->niajb", x, x, U).reshape(len(x), C * D, C * D)
    error = terms.std(0) * (1 / len(x) + 1 / (C * 4096)) ** 0.5
    assert ((terms.mean(0) - found).abs() <= 5 * error + 1e-12).all()
    wrong = 1 - p[torch.arange(len(x)), y]
    assert abs(alpha - wrong.mean()) < 5 * wrong.std() * (1 / len(x) + 1 / (C * 4096)) ** 0.5


def test_theorem_is_held_against_the_dense_matrix_at_the_posteriors_alpha(record):
    for row, t in enumerate(record["signals"]):
        exact = descending(expected_fisher(C, D, t, float(record["alpha"][row])))
        np.testing.assert_allclose(record["dense"][row], exact, rtol=1e-12, atol=1e-14)
    assert record["fits"].shape == (5, 3, C * D)


def test_a_fit_is_a_minimum():
    x, y = gaussian_classes(C, D, 2.0, 30, generator=generator())
    W = fitted(x, y, C, 1e-2).requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(x @ W.T, y) + 0.005 * (W**2).sum()
    assert torch.autograd.grad(loss, W)[0].abs().max() < 1e-7


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_classes": 2}, "take three classes or more"),
        ({"dimension": C}, "more dimensions than classes, or there is no bulk"),
        ({"signals": (2.0, 2.0)}, "an order needs two different ones"),
        (
            {"signals": (1.0, 8.0)},
            r"draws at t = 8 the best classifier errs on .* take \de\+.. draws",
        ),
    ],
    ids=["two classes", "no bulk", "one signal", "no doubt"],
)
def test_what_has_no_ratio_is_refused(measured, options, reason):
    """Before anything is computed; a number that nothing stands behind would be the alternative."""
    with pytest.raises(ValueError, match=reason):
        measured(logistic_fisher, **OPTIONS | options)


def test_rank_correlation_has_its_published_interval():
    x = np.arange(10.0)
    y = np.array([1.0, 0, 2, 3, 5, 4, 6, 7, 8, 9])
    found = rank_correlation(x, y)
    half = 1.959964 * np.sqrt((1 + found.rho**2 / 2) / 7)
    assert np.arctanh([found.low, found.high]) == pytest.approx(
        [np.arctanh(found.rho) - half, np.arctanh(found.rho) + half], 1e-6
    )
    assert np.isnan(rank_correlation(x[:3], x[:3]).low)


def test_pairs_in_one_order_have_a_chance_and_no_interval():
    """Of five pairs one order of 120; an interval from −1 to −1 would say that nothing is open."""
    x = np.arange(5.0)
    found = rank_correlation(x, -x)
    assert np.isnan(found[1:3]).all()
    assert (found.same_order, found.p) == (True, 1 / 120)
    row = verdict_misclassification(made(x + 1, -x))[1]
    assert (row.value, row.outcome) == ("-1.000, p = 0.0083", HOLDS)
    assert row.over == ("permutation",)


def outcomes(record):
    return [verdict.outcome for verdict in verdict_misclassification(record)]


def made(ratios, errors, theorem=0.0):
    """A record whose ratios and errors are the same in the three cases."""
    groups = np.stack([ratios, np.ones_like(ratios), np.ones_like(ratios)], axis=-1)
    dense = np.ones((len(ratios), 4))
    return Record(
        {
            "groups_theorem": groups,
            "groups_posterior": groups,
            "groups_fits": groups[:, None],
            "error": errors,
            "fit_error": errors[:, None],
            "theorem": dense + theorem,
            "dense": dense,
        },
        {},
    )


def test_verdict_has_every_outcome():
    ratios = np.arange(1.0, 13.0)
    assert outcomes(made(ratios, 1 / ratios)) == [HOLDS] * 4
    assert outcomes(made(ratios, ratios, theorem=1e-6)) == [FAILS] * 4
    assert outcomes(made(ratios[:3], 1 / ratios[:3])) == [HOLDS, OPEN, OPEN, OPEN]


def test_fits_of_one_signal_are_compared_among_themselves():
    """Between the two signals the ratio falls with the error; within each it rises."""
    one = made(np.array([1.0, 5.0]), np.array([0.5, 0.1]))
    groups = np.ones((2, 3, 3))
    groups[..., 0] = [[3, 1, 2], [7, 9, 8]]
    errors = np.array([[0.53, 0.51, 0.52], [0.11, 0.13, 0.12]])
    found = within_signals(Record(one.arrays | {"groups_fits": groups, "fit_error": errors}, {}))
    assert (found.tau, found.comparisons) == (1, 6)
    assert within_signals(one) is None


def test_figures_and_tables(record):
    assert [len(axis.lines) for axis in fisher_by_rank(record).axes] == [7, 7, 7]
    _, right = ratio_and_error(record).axes
    assert [len(line.get_xdata()) for line in right.lines] == [5, 5, 15]
    assert len(ratio_table(record)) == 5
    gaps = gap_table(record)
    assert len(gaps) == 5 * 3 and gaps.shape[1] <= 5  # three cases beside each other are too wide
    assert len(findings(record)) == 4
    assert list(within_table(record)["measure of order"]) == ["Spearman's ρ", "Kendall's τ"]


def test_pairs_of_classes_in_doubt_make_one_outlier_less_than_classes():
    C, e = 6, np.eye(6)
    pairs = [np.kron(e[a] + e[b], e[a] - e[b]) for a in range(C) for b in range(a)]
    found = np.linalg.eigvalsh(np.array(pairs).T @ pairs)[::-1]
    expected = [C + 2.0] * (C - 1) + [2.0] * (C * (C - 1) // 2 - (C - 1))
    np.testing.assert_allclose(found[: len(pairs)], expected, rtol=1e-12)
    np.testing.assert_allclose(found[len(pairs) :], 0, atol=1e-12)
