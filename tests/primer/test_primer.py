"""The primer's few functions against closed forms,
and without what it promises to go without."""

import inspect
import subprocess
import sys

import pytest
import torch

from hspec.primer.means import (
    bulk_edge,
    clustered,
    eigenvalues,
    expected_outlier,
    growth,
    second_moment,
    without_class_means,
)
from hspec.primer.products import CLASSES, FEATURES, costs, difference_errors
from hspec.primer.recurrence import (
    bulk_with_outliers,
    lanczos_in_fifteen_lines,
    quadrature,
    ritz_values,
)


def test_it_is_fifteen_lines():
    assert len(inspect.getsource(lanczos_in_fifteen_lines).splitlines()) == 15


def test_the_fifteen_lines_are_the_recurrence():
    A, exact = bulk_with_outliers(40, [2.0, 3.0], seed=0)
    torch.testing.assert_close(torch.linalg.eigvalsh(A), exact)
    v = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    T, V = lanczos_in_fifteen_lines(A, v, 12)
    torch.testing.assert_close(V.T @ V, torch.eye(12, dtype=torch.float64))
    torch.testing.assert_close(V.T @ A @ V, T)
    nodes, weights = quadrature(A, 12, seed=2)
    start = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for power in range(24):
        exact_moment = start @ torch.linalg.matrix_power(A, power) @ start / start.dot(start)
        torch.testing.assert_close((weights * nodes**power).sum(), exact_moment)


def test_outliers_are_found_and_ghosts_come_without_reorthogonalisation():
    A, _ = bulk_with_outliers(100, [4.0], seed=0)
    last = ritz_values(A, 80, seed=0)[-1]
    assert last[-1].item() == pytest.approx(4.0) and last[-2] < 1.1
    assert (ritz_values(A, 80, seed=0, again=False)[-1] > 3.9).sum() > 1


def test_products_are_counted_by_parameters_and_agree_with_differences():
    (cost,) = costs([8], num_examples=16)
    assert cost.parameters == (FEATURES + 1) * 8 + 9 * 8 + 9 * CLASSES
    assert cost.matrix == cost.parameters * cost.product
    assert min(error for _, error in difference_errors(8, 16)) < 1e-7


def test_means_make_outliers_and_taking_them_out_removes_these():
    vectors, means = clustered(5, 400, 100, strength=4.0, seed=0)
    torch.testing.assert_close(means @ means.T, 20 * torch.eye(5, dtype=torch.float64))
    edge = bulk_edge(100, 2000)
    values = eigenvalues(vectors)
    assert values[4] > 2 * edge > edge > values[5]
    assert values[:5].mean().item() == pytest.approx(expected_outlier(4.0, 100, 2000), rel=0.05)
    assert eigenvalues(without_class_means(vectors, 5))[0] < edge
    torch.testing.assert_close(second_moment(means), means.T @ means / 5)


def test_a_weak_mean_is_lost_in_the_bulk():
    assert expected_outlier(0.5, 100, 100) == bulk_edge(100, 100) == 4.0
    assert expected_outlier(1.0 + 1e-12, 100, 100) == pytest.approx(4.0)
    ((_, weak, following),) = growth([0.01], 5, 40, 100, seed=0)
    assert weak / following < 1.2


def test_the_primer_needs_neither_data_nor_torchvision():
    code = (
        "import sys, hspec.primer.products, hspec.primer.recurrence, hspec.primer.means\n"
        "assert not {'torchvision', 'sklearn', 'hspec.data'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
