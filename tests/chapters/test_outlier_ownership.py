"""Whose the outliers are: against dense matrices of a tiny net,
and both outcomes of every verdict.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hspec.chapters.outlier_ownership.figures import (
    eigenspace_overlap,
    eigenvalue_counts,
    energy_table,
    knocked_out,
    ownership_table,
    three_spectra,
)
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.chapters.outlier_ownership.verdict import (
    across_scales,
    energy_ratio,
    findings,
    verdict_ownership,
)
from hspec.curvature import gauss_newton, hessian, residual
from hspec.experiments import Recipe, Setting, Store
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.records import Record
from hspec.experiments.scale import of_the_papers, over_training
from hspec.figures.style import COLOURS
from hspec.linalg import SpectralMeasure

HOLDS, FAILS, INCONCLUSIVE = OUTCOMES
SETTING = Setting(
    model="mlp:5",
    width=1.0,
    image_size=8,
    per_class=4,
    test_per_class=2,
    recipe=Recipe(epochs=15, batch_size=10),
)
OPTIONS = {"num_steps": 60, "num_probes": 2}


@pytest.fixture(scope="module")
def owned(task):
    return ownership(task("ownership"), **OPTIONS)


def test_ownership_finds_the_eigenvalues_of_the_dense_matrices(owned, risk, eigenvalues):
    hess, h = eigenvalues(hessian(risk)), eigenvalues(residual(risk))
    np.testing.assert_allclose(owned["hess_top"], hess[:13], rtol=1e-4)
    np.testing.assert_allclose(owned["g_top"], eigenvalues(gauss_newton(risk))[:13], rtol=1e-4)
    np.testing.assert_allclose(owned["h_ends"], h[[0, -1]], rtol=1e-4)


def test_ownership_measures_overlaps_and_the_knock_out(owned, risk):
    hess, g = (torch.linalg.eigh(matrix(risk).to_dense()) for matrix in (hessian, gauss_newton))
    Q, M = hess[1][:, -10:].flip(1), g[1][:, -10:].flip(1)
    np.testing.assert_allclose(owned["cosines"], torch.linalg.svdvals(M.T @ Q), atol=2e-3)
    np.testing.assert_allclose(owned["overlaps"], (Q.T @ M) ** 2, atol=2e-2)
    project = torch.eye(len(M), dtype=M.dtype) - M @ M.T
    left = torch.linalg.eigvalsh(project @ hessian(risk).to_dense() @ project)
    assert np.nanmax(owned["knocked_nodes"]) == pytest.approx(float(left[-1]), rel=1e-2)


def test_energy_ratio_is_that_of_the_squares_and_knows_its_error():
    part, whole = (
        SpectralMeasure.from_eigenvalues([1.0, -2.0]),
        SpectralMeasure.from_eigenvalues([3.0, 4.0]),
    )
    ratio, error = energy_ratio(part, whole)
    assert ratio == pytest.approx(5 / 25)
    assert np.isnan(error)
    nodes, weights = np.array([[1.0, 2.0], [1.5, 3.0]]), np.full((2, 2), 0.5)
    twice = SpectralMeasure(2 * nodes, weights, weights, 7)
    assert energy_ratio(twice, SpectralMeasure(nodes, weights, weights, 7)) == pytest.approx((4, 0))
    with pytest.raises(ValueError, match="probes must be the same"):
        energy_ratio(part, twice)


def measure_arrays(prefix, nodes, dimension=100):
    measure = SpectralMeasure.from_eigenvalues(nodes)
    measure = replace(measure, dimension=dimension)
    return {prefix + name: value for name, value in measure.to_arrays().items()}


def owned_record(cosine=0.99, h_top=0.1, knocked=0.5, h=(0.5,), probes=2):
    arrays = {
        "hess_top": np.array([9.0, 4.0, 1.0, 0.6]),
        "hess_residuals": np.full(4, 1e-4),
        "cosines": np.full(3, cosine),
        "h_ends": np.array([h_top, -h_top]),
        "num_classes": np.array(3),
        **measure_arrays("knocked_", [0.0, knocked]),
    }
    for name, nodes in (("hess_", (0.5,)), ("h_", h)):
        spread = np.array([[0.99], [1.01]])[:probes] * np.array(nodes)
        ones = np.ones_like(spread)
        arrays |= {
            name + k: v for k, v in SpectralMeasure(spread, ones, ones, 100).to_arrays().items()
        }
    return Record(arrays, {})


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


def test_ownership_holds_or_fails_row_by_row():
    assert outcomes(verdict_ownership(owned_record())) == [HOLDS] * 4
    worse = owned_record(cosine=0.7, h_top=0.8, knocked=1.8, h=(0.1,))
    assert outcomes(verdict_ownership(worse)) == [FAILS] * 4


def test_no_knock_out_leaves_less_than_interlacing_allows():
    """A Ritz value below λ_{C+1} has not converged: what is left is at least λ_{C+1}."""
    row = verdict_ownership(owned_record(knocked=0.599))[2]
    assert row.value == "≥ 0.600; a perfect knock-out leaves λ_(C+1)/λ_C = 0.600"
    assert row.outcome == HOLDS
    assert verdict_ownership(owned_record(knocked=0.61))[2].value.startswith("0.610; ")
    assert "largest eigenvalue is ≥ 0.600 of it" in findings(owned_record(knocked=0.599))[0]


def test_a_knock_out_that_could_not_have_held_is_open_for_that_reason():
    for knocked, outcome in ((0.8, INCONCLUSIVE), (1.2, INCONCLUSIVE), (1.8, FAILS)):
        record = owned_record(knocked=knocked)
        record["hess_top"][3] = 0.75
        row = verdict_ownership(record)[2]
        assert row.outcome == outcome
        assert ("the least that could be left, 0.750" in row.margin) == (outcome == INCONCLUSIVE)


def test_energy_of_one_probe_or_near_the_half_is_inconclusive():
    assert outcomes(verdict_ownership(owned_record(probes=1)))[3] == INCONCLUSIVE


def test_findings_judge_outliers_and_bulk_apart():
    """A bulk that one probe leaves open has that for its reason, and no eigenvalue's margin."""
    record = owned_record(probes=1)
    outliers, bulk = findings(record)
    assert outliers.startswith("✓ ") and bulk.startswith("? ")
    assert verdict_ownership(record)[3].margin in bulk
    assert "Hessian's largest eigenvalue" in outliers and "energy" not in outliers


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def test_three_spectra_share_one_axis(measured, drawn):
    found = measured(ownership, num_steps=30, num_probes=2)
    left, right = drawn(three_spectra(found)).axes
    assert {"Hess", "G", "H"} <= lines(left).keys()
    assert right.get_xlim()[1] == pytest.approx(1.5 * found["hess_top"][9], rel=0.2)
    assert lines(left)["G"].get_color() == COLOURS["G"]


def test_eigenvalue_counts_end_at_the_largest_eigenvalue(measured, drawn):
    found = measured(ownership, num_steps=30, num_probes=2)
    (axis,) = drawn(eigenvalue_counts(found)).axes
    t, count = lines(axis)["Hess"].get_data()
    assert count[t > found["hess_top"][0] * 1.01].max() < 1e-9
    between = (t > found["hess_top"][1] * 1.01) & (t < found["hess_top"][0] * 0.99)
    np.testing.assert_allclose(count[between], 1)


def test_overlap_knock_out_and_tables_of_ownership(measured, drawn):
    found = measured(ownership, num_steps=30, num_probes=2)
    _, heat, _ = drawn(eigenspace_overlap(found)).axes
    np.testing.assert_array_equal(heat.get_images()[0].get_array(), found["overlaps"])
    assert any("projected out" in name for name in lines(drawn(knocked_out(found)).axes[0]))
    assert len(ownership_table(found)) == 13
    energies = dict(energy_table(found).itertuples(index=False))
    h = found.spectrum("h_")
    energy = h.dimension * np.nansum(h.weights * h.nodes**2, axis=1).mean()
    assert float(energies["energy of H, ‖H‖_F²"].split(" (")[0]) == pytest.approx(energy, rel=1e-2)
    bulk, reach = found.spectrum("hess_"), found["h_ends"][0]
    above = bulk.dimension * np.nansum(bulk.weights * (bulk.nodes > reach), axis=1).mean()
    count = energies["eigenvalues of the bulk above λ_max(H)"]
    assert float(count.split(" (")[0]) == pytest.approx(above, abs=0.5)


def test_one_probe_is_drawn_without_a_band(measured, drawn):
    found = measured(ownership, num_steps=30, num_probes=1)
    assert not drawn(three_spectra(found)).axes[0].collections
    drawn(eigenvalue_counts(found))


def test_shares_are_told_by_the_sample_where_they_grow_with_it():
    """VGG11 on 130 and on 1,360 images of MNIST; with their sizes exchanged the share falls."""
    stored = Store().published_records(ownership)
    small, large = sorted(
        (r for r in over_training(stored) if of_the_papers(r) and r.setting.dataset == "MNIST"),
        key=lambda record: record.num_examples,
    )
    shares = [energy_ratio(r.spectrum("h_"), r.spectrum("hess_"))[0] for r in (small, large)]
    assert shares[0] < shares[1]
    others = [record for record in stored if record.num_examples == 500]
    told = across_scales([large, small, *others])
    assert f"VGG11 on MNIST {shares[0]:.2f} over 130, {shares[1]:.2f} over 1,360 images" in told
    exchanged = [
        Record(one.arrays | {"num_examples": other["num_examples"]}, one.meta)
        for one, other in ((small, large), (large, small))
    ]
    told = across_scales([*exchanged, *others])
    assert "VGG11 (MNIST)" in told and "grows" not in told
    over_test = [
        Record(r.arrays, r.meta | {"options": r.options | {"split": "test"}}) for r in stored
    ]
    assert across_scales([*exchanged, *others, *over_test]) == told
