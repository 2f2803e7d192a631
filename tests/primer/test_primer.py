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
from hspec.primer.variation import (
    Cause,
    Laboratory,
    Numbers,
    causes_table,
    matrix,
    matrix_under_autocast,
    numbers,
    of_the_quadrature,
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


def test_what_the_pages_expect_of_their_exercises_happens():
    A, exact = bulk_with_outliers(600, [1.02, 4.0], seed=0)
    second = [values[-2].item() for values in ritz_values(A, 40, seed=0)[1:]]
    off = [abs(value - 1.02) for value in second]  # after 2, 3, … products
    assert exact.sort().values[-3].item() == pytest.approx(0.96, abs=0.005)
    assert off[13] > 1e-2 > off[18]  # seen after twenty
    assert off[19] > 1e-4 > off[23]  # known to four digits after twenty-five
    assert abs(ritz_values(A, 9, seed=0)[-1][-1].item() - 4.0) < 1e-4
    few = eigenvalues(clustered(10, 10, 500, strength=3.0, seed=0)[0])
    assert round(bulk_edge(500, 100), 1) == 10.5
    assert round(expected_outlier(3.0, 500, 100), 1) == 10.7
    assert (few > bulk_edge(500, 100)).sum() == 4


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


@pytest.fixture(scope="module")
def laboratory():
    laboratory = Laboratory(num_examples=32, width=1, epochs=1)
    batches = laboratory.sample(0)
    return laboratory, batches, laboratory.trained(batches, 0)


def test_other_seeds_give_other_samples_and_nets_the_same_the_same(laboratory):
    laboratory, batches, net = laboratory
    H = matrix(net, batches)
    again = matrix(laboratory.trained(laboratory.sample(0), 0), laboratory.sample(0))
    torch.testing.assert_close(H, again, rtol=0, atol=0)
    for other in (
        matrix(net, laboratory.sample(1)),
        matrix(laboratory.trained(batches, 1), batches),
        matrix(net, batches, batch_norm="batch"),
        matrix(net, batches, batch_norm="population"),
    ):
        assert (other - H).norm() > 0.01 * H.norm()


def test_autocast_is_wrong_by_its_rounding(laboratory):
    _, batches, net = laboratory
    exact, rounded = matrix(net, batches), matrix_under_autocast(net, batches)
    assert 1e-4 < (rounded - exact).norm() / exact.norm() < 0.1
    single = matrix(net, batches, dtype=torch.float32)
    assert 1e-9 < (single - exact).norm() / exact.norm() < 1e-5


def test_a_bare_recurrence_counts_an_outlier_twice_and_few_steps_never_overshoot():
    values = torch.cat([torch.linspace(0, 1, 399), torch.tensor([50.0])])
    found = {c.name: c.found for c in of_the_quadrature(torch.diag(values), range(3), cut=5.0)}
    assert all(n.outliers == 1 for n in (*found["1 probe"], *found["5 steps"]))
    bare = found.pop("no reorthogonalisation")
    assert all(n.outliers > 1 for n in bare)
    assert all(n.largest <= 50 * (1 + 1e-6) for some in found.values() for n in some)
    assert all(n.largest == pytest.approx(50, rel=1e-5) for n in bare)  # as right as float32
    spread = {
        name: torch.tensor([n.trace for n in found[name]]).std()
        for name in ("1 probe", "10 probes")
    }
    assert spread["10 probes"] < spread["1 probe"]


def test_numbers_and_deviations():
    reference = numbers(torch.diag(torch.tensor([-1.0, 0.5, 2.0, 10.0]).double()), cut=1.0)
    assert reference == Numbers(10.0, 11.5, 2)
    other, tiny = Numbers(9.0, 23.0, 1), Numbers(10.0 + 1e-9, 11.5, 2)
    cause = Cause("batch", "half of it", (other, tiny), "Take all.")
    assert cause.deviations("trace", reference) == [1.0, 0.0]
    table = causes_table(reference, [cause])
    assert table.rows[1][2:5] == ("−10 % to < 10⁻⁶", "< 10⁻⁶ to +100 %", "1 to 2")


def test_the_primer_needs_neither_data_nor_torchvision():
    code = (
        "import sys, hspec.parameters, hspec.primer.products, hspec.primer.recurrence, "
        "hspec.primer.means, hspec.primer.variation\n"
        "assert not {'torchvision', 'sklearn', 'hspec.data'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
