"""Averages against dense matrices of a tiny net, the curvature of a Lanczos run.

Both outcomes of every verdict.
"""

import re

import numpy as np
import pytest
import torch

from hspec.chapters.averaging.figures import (
    approximation_table,
    curvature_and_price,
    density_and_dots,
    eigenvalue_table,
    price_table,
    principal_angles,
    scree_plots,
)
from hspec.chapters.averaging.measure import averaging_experiments, part_eigenvalues, ritz_sums
from hspec.chapters.averaging.verdict import (
    across_scales,
    findings,
    steps_for,
    verdict_averaging,
)
from hspec.curvature import G0, G1, G2, G12, class_means, delta_means, gauss_newton, hessian
from hspec.experiments import Recipe, Setting, load_or_run_all
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.records import Record
from hspec.keys import canonical
from hspec.linalg import lanczos

HOLDS, FAILS, INCONCLUSIVE = OUTCOMES
SETTING = Setting(
    model="mlp:5",
    width=1.0,
    image_size=8,
    per_class=4,
    test_per_class=2,
    recipe=Recipe(epochs=10, batch_size=10),
)


@pytest.fixture(scope="module")
def record(store):
    (record,) = load_or_run_all(
        averaging_experiments(SETTING, ["mlp:5"], [4], {"num_steps": 30}), store, progress=False
    )
    return record


def eigenpairs(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    return values.flip(0).numpy(), vectors.flip(1)


def test_parts_have_the_eigenvalues_of_the_dense_matrices(risk):
    means = delta_means(risk)
    found = part_eigenvalues(means.levels, means.gram(), risk.num_examples)
    for name, part in {"G0": G0, "G1": G1, "G2": G2, "G12": G12}.items():
        dense = eigenpairs(part(means).to_dense())[0]
        count = min(len(dense), len(found[name]))
        np.testing.assert_allclose(found[name][:count], dense[:count], atol=1e-12 * dense[0])


def test_eigenvalues_of_parts_stay_below_those_of_the_whole(record):
    """Weyl's inequality: G ≥ G1+2 ≥ G1, in the order of positive semidefinite matrices."""
    slack = 1e-5 * record["G_top"][0]
    assert (record["G12"][:10] <= record["G_top"][:10] + slack).all()
    assert (record["G1"][:10] <= record["G12"][:10] + slack).all()


def test_angles_and_curvature_are_those_of_the_dense_matrices(record, risk):
    G = gauss_newton(risk).to_dense()
    for name, dense in {"G": G, "Hess": hessian(risk).to_dense()}.items():
        values, vectors = eigenpairs(dense)
        np.testing.assert_allclose(record[f"{name}_top"][:10], values[:10], rtol=1e-3)
        for space, means in {"delta": delta_means(risk), "weighted": class_means(risk)}.items():
            M = torch.linalg.qr(means.class_vectors.T)[0]
            overlap = float((M.T @ vectors[:, :10]).square().sum()) / 10
            assert np.mean(record[f"{space}_{name}_cosines"] ** 2) == pytest.approx(
                overlap, abs=2e-3
            )
            if name == "G":
                kept = float((M * (G @ M)).sum()) / values[:10].sum()
                assert float(record[f"{space}_captured"]) == pytest.approx(kept, rel=1e-3)


def test_principal_vectors_of_the_means_capture_what_the_dense_ones_do(record, risk):
    G = gauss_newton(risk).to_dense()
    Q = eigenpairs(G12(delta_means(risk)).to_dense())[1][:, :10]
    kept = float((Q * (G @ Q)).sum()) / eigenpairs(G)[0][:10].sum()
    assert float(record["cross_captured"]) == pytest.approx(kept, rel=1e-3)


def test_lanczos_captures_more_with_every_step_and_all_in_the_end():
    A = torch.diag(torch.linspace(0, 1, 12, dtype=torch.float64))
    run = lanczos(A, torch.ones(12, dtype=torch.float64), 12)
    sums = ritz_sums(run, 3)
    assert (np.diff(sums) > -1e-12).all()
    assert sums[-1] == pytest.approx(1 + 10 / 11 + 9 / 11)
    assert sums[0] == pytest.approx(0.5)  # the Rayleigh quotient of the start vector


def made(ratio=0.8, cosine=0.99, captured=0.97, steps=(0.2, 0.5, 0.98), seconds=0.5):
    top = np.array([9.0, 4.0, 1.0, 0.6])
    cosines = np.full(3, cosine)
    arrays = {
        "G_top": top,
        "G1": ratio * top[:3],
        "G12": ratio * top[:3],
        "delta_G_cosines": cosines,
        "delta_Hess_cosines": cosines,
        "delta_captured": np.array(captured),
        "delta_products": np.array(0.75),
        "delta_seconds": np.array(seconds),
        "seconds_per_product": np.array(1.0),
        "lanczos_captured": np.array(steps),
        "num_classes": np.array(3),
    }
    return Record(arrays, {})


def outcomes(*records):
    return [verdict.outcome for verdict in verdict_averaging(records)]


def test_the_worst_net_decides():
    good, bad = made(), made(0.1, 0.5, 0.5, steps=(0.6, 0.7, 0.9), seconds=5.0)
    assert outcomes(good) == [HOLDS] * 7
    told = findings([good, bad])
    assert [sentence[0] for sentence in told] == ["✗"] * 2
    price = r"cost [\d.]+ to [\d.]+ times the averages in products, and [\d.]+ to [\d.]+ times in "
    assert re.search(price + "seconds, over 2 nets", told[1])
    assert [sentence.count("over 2 nets") for sentence in told] == [1, 1]
    assert outcomes(bad) == outcomes(good, bad) == [FAILS] * 5 + [INCONCLUSIVE, FAILS]


def test_a_run_that_never_captures_as_much_costs_more_than_any_price():
    assert steps_for(made(steps=(0.1, 0.2)), 0.9) == np.inf


def of_a_net(ratio, width, per_class):
    setting = Setting(model="vgg11", width=width, dataset="MNIST", recipe=Recipe(epochs=2))
    arrays = {**made(ratio).arrays, "num_examples": np.array(3 * per_class)}
    return Record(arrays, {"setting": canonical(setting)})


def test_nets_are_compared_over_samples_of_one_size():
    told = across_scales(
        [of_a_net(0.3, 1.0, 13), of_a_net(0.5, 0.125, 13), of_a_net(0.2, 0.125, 30)]
    )
    assert "In a net with several samples it falls" in told
    assert "of one size, 13 a class: 0.30 in VGG11 on MNIST, 0.50 in VGG11 at 1/8 of the" in told
    rising = across_scales(
        [of_a_net(0.3, 1.0, 13), of_a_net(0.2, 0.125, 5), of_a_net(0.5, 0.125, 30)]
    )
    assert "falls" not in rising and "of one size" not in rising
    assert across_scales([of_a_net(0.3, 1.0, 13)]) == ""


def test_figures_and_tables(record):
    for figure in (
        scree_plots([record, record]),
        density_and_dots(record),
        principal_angles([record]),
        curvature_and_price([record, record]),
    ):
        figure.canvas.draw()
    assert len(scree_plots([record] * 3).axes) == 3, "a panel of two by two in which nothing is"
    lines = {line.get_label(): line for line in scree_plots([record]).axes[0].get_lines()}
    np.testing.assert_array_equal(lines["G"].get_ydata(), record["G_top"])
    assert len(approximation_table([record, record])) == 2
    assert list(price_table([record])["averages"]) == ["δ_c", "g_c", "top C of G1+2"]
    assert list(eigenvalue_table(record)["rank"]) == list(range(1, 11))
