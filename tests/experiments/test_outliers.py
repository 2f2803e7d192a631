"""P18-2, P18-3 and P18-5: the measures against dense matrices of a tiny net, and both outcomes of every verdict."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hspec.chapters.class_means.measure import check_exact_rows, class_structure, exact_knock_out
from hspec.chapters.class_means.verdict import verdict_class_structure
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.chapters.outlier_ownership.verdict import energy_ratio, verdict_ownership
from hspec.chapters.power_law.measure import known_law, log_spectrum
from hspec.chapters.power_law.verdict import verdict_power_law
from hspec.curvature import A1, A2, B1, class_means, gauss_newton, hessian, residual
from hspec.experiments import Recipe, Setting, Store
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.records import Record
from hspec.experiments.task import Task
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
def tasks(tmp_path_factory):
    """A task of its own for each measure, as each has its own checkpoints; they share one trained net."""
    folder = tmp_path_factory.mktemp("store")
    return lambda name: Task(SETTING, Store(folder, folder / "none"), name, progress=False)


@pytest.fixture(scope="module")
def risk(tasks):
    return tasks("risk").risk(dtype=torch.float64)


def eigenvalues(operator):
    return torch.linalg.eigvalsh(operator.to_dense()).flip(0).numpy()


@pytest.fixture(scope="module")
def owned(tasks):
    return ownership(tasks("ownership"), **OPTIONS)


@pytest.fixture(scope="module")
def structure(tasks):
    return class_structure(tasks("structure"), **OPTIONS)


def test_ownership_finds_the_eigenvalues_of_the_dense_matrices(owned, risk):
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


def test_structure_has_the_exact_eigenvalues_of_the_means(structure, risk):
    means = class_means(risk)
    a1, a2 = A1(means), A2(means)
    np.testing.assert_allclose(structure["a1"], eigenvalues(a1)[:10], rtol=1e-3)
    np.testing.assert_allclose(structure["a2"], eigenvalues(a2)[:10], rtol=1e-3)
    np.testing.assert_allclose(structure["a12"], eigenvalues(a1 + a2)[:10], rtol=1e-3)
    np.testing.assert_allclose(structure["b1"][:20], eigenvalues(B1(means))[:20], rtol=1e-3)


def test_shares_divide_every_eigenvalue(structure):
    np.testing.assert_allclose(structure["shares"].sum(1), 1)
    assert (structure["shares"] > -1e-5).all()


def test_knocked_out_spectra_end_where_the_dense_ones_do(structure, risk):
    means = class_means(risk)
    without = gauss_newton(risk) - A1(means)
    assert np.nanmax(structure["g_a1_nodes"]) == pytest.approx(eigenvalues(without)[0], rel=1e-3)
    without = without - A2(means) - B1(means)
    assert np.nanmax(structure["g_a1_a2_b1_nodes"]) == pytest.approx(eigenvalues(without)[0], rel=1e-3)


def test_nothing_changes_where_not_even_the_class_means_fit_in_memory(tasks, structure, risk):
    """As with many classes and a large net: every part is streamed."""
    task = tasks("streamed")
    whole, budget = task.risk, 9 * 4 * risk.num_parameters  # nine vectors; there are ten classes
    task.risk = lambda *arguments, **options: whole(*arguments, memory_budget=budget, **options)
    streamed = class_structure(task, **OPTIONS)
    assert "cosines" not in streamed
    for name in ("a1", "a2", "a12", "g_top", "cosine"):
        np.testing.assert_allclose(streamed[name], structure[name], rtol=1e-3)
    np.testing.assert_allclose(streamed["b1"][:20], structure["b1"][:20], rtol=1e-3)
    np.testing.assert_allclose(streamed["shares"][:10], structure["shares"][:10], atol=1e-2)


def test_the_two_means_of_a_class_oppose_each_other(structure):
    np.testing.assert_allclose(structure["cosine"], -1, atol=1e-8)
    assert structure["mismatch"].max() < 1e-4
    np.testing.assert_allclose(structure["p_off"] + structure["p_own"], 0.1, rtol=1e-5)


def test_exact_knock_outs_are_those_of_the_dense_matrices(tasks):
    task = tasks("exact")
    found = exact_knock_out(task, sample_per_class=2, num_steps=20)
    risk = task.risk(per_class=2, dtype=torch.float64)
    expected = eigenvalues(gauss_newton(risk) - A1(class_means(risk)))[:20]
    np.testing.assert_allclose(found["exact_a1"][:20], expected, atol=1e-5 * expected[0])
    np.testing.assert_allclose(found["exact"][0], np.nanmax(found["g_nodes"]), rtol=1e-4)


def test_known_laws_are_what_they_say(tasks):
    options = {"dimension": 300, "num_steps": 300, "num_probes": 1}
    circle = known_law(tasks("circle"), law="semicircle", **options)["h_nodes"]
    assert 0.9 < np.nanmax(circle) < 1.1
    law = np.sort(np.abs(known_law(tasks("power"), law="power law", exponent=2.0, **options)["h_nodes"][0]))
    counts = [(law > t).sum() for t in (0.01, 0.1)]  # share above t: (1/t − 1)/(1/lowest − 1)
    assert counts == pytest.approx([300 * (1 / t - 1) / 999 for t in (0.01, 0.1)], abs=1)
    with pytest.raises(ValueError, match="unknown law 'circle'"):
        known_law(tasks("none"), law="circle")


def test_energy_ratio_is_that_of_the_squares_and_knows_its_error():
    part, whole = SpectralMeasure.from_eigenvalues([1.0, -2.0]), SpectralMeasure.from_eigenvalues([3.0, 4.0])
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


def owned_record(cosine=0.99, h_top=0.1, knocked=0.5, h=(0.4,), probes=2):
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
        arrays |= {name + k: v for k, v in SpectralMeasure(spread, ones, ones, 100).to_arrays().items()}
    return Record(arrays, {})


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


def test_ownership_holds_or_fails_row_by_row():
    assert outcomes(verdict_ownership(owned_record())) == [HOLDS] * 4
    worse = owned_record(cosine=0.7, h_top=0.8, knocked=1.2, h=(0.1,))
    assert outcomes(verdict_ownership(worse)) == [FAILS] * 4


def test_energy_of_one_probe_or_near_the_half_is_inconclusive():
    assert outcomes(verdict_ownership(owned_record(probes=1)))[3] == INCONCLUSIVE


def structure_record(share=0.8, a1=(7.0, 3.0, 0.8), left=0.5, cosine=0.99):
    arrays = {
        "g_top": np.array([9.0, 4.0, 1.0, 0.6]),
        "a1": np.array(a1),
        "shares": np.tile([share, 0.0, 1 - share, 0.0], (4, 1)),
        "cosines": np.full(3, cosine),
        "num_classes": np.array(3),
        "g_a1_nodes": np.array([[0.0, left], [0.0, np.nan]]),
    }
    return Record(arrays, {})


def test_structure_holds_or_fails_row_by_row():
    assert outcomes(verdict_class_structure(structure_record())) == [HOLDS] * 4
    worse = structure_record(share=0.3, a1=(7.0, 1.0, 0.1), left=2.0, cosine=0.5)
    assert outcomes(verdict_class_structure(worse)) == [FAILS] * 4


def law_record(size, law="", probes=2):
    nodes = np.sort(np.concatenate([size, -size]))[None] * np.array([[1.0], [1.0001]])[:probes]
    weights = np.full(nodes.shape, 1 / nodes.shape[1])
    measure = SpectralMeasure(nodes, weights, weights, nodes.shape[1])
    arrays = {"h_" + name: value for name, value in measure.to_arrays().items()}
    return Record(arrays, {"options": {"law": law}, "setting": None})


def quantiles(exponent, lowest=1e-3):
    u = (np.arange(500) + 0.5) / 500
    return (lowest ** (1 - exponent) + u * (1 - lowest ** (1 - exponent))) ** (1 / (1 - exponent))


def test_a_power_law_holds_and_a_semicircle_does_not():
    t = np.linspace(0, 1, 5001)
    u = (np.arange(500) + 0.5) / 500
    circle = np.interp(u, 2 / np.pi * (t * np.sqrt(1 - t**2) + np.arcsin(t)), t)
    right, wrong = law_record(quantiles(2.0), "power law"), law_record(circle, "semicircle")
    assert outcomes(verdict_power_law(right, [right, wrong])) == [HOLDS] * 6
    found = verdict_power_law(wrong, [law_record(circle, "power law")])
    assert [found[0].outcome, found[1].outcome, found[3].outcome] == [FAILS] * 3


def test_probes_that_disagree_decide_nothing():
    """One probe sees a power law, the other a uniform density, which is a semicircle of large radius."""
    size = np.stack([quantiles(2.0, 0.05), np.linspace(0.05, 1, 500)])
    nodes = np.concatenate([-size[:, ::-1], size], axis=1)
    weights = np.full(nodes.shape, 1 / nodes.shape[1])
    arrays = SpectralMeasure(nodes, weights, weights, 1000).to_arrays()
    record = Record({"h_" + k: v for k, v in arrays.items()}, {"options": {}, "setting": None})
    assert outcomes(verdict_power_law(record, []))[0::2] == [INCONCLUSIVE] * 2


def test_log_spectrum_measures_the_residual(tasks, risk):
    found = log_spectrum(tasks("log"), num_steps=40, num_probes=1)
    h = eigenvalues(residual(risk))
    assert np.nanmax(found["h_nodes"]) == pytest.approx(h[0], rel=1e-3)
    assert np.nanmin(found["h_nodes"]) == pytest.approx(h[-1], rel=1e-3)


def test_exact_spectra_beyond_what_can_be_solved_are_refused():
    with pytest.raises(ValueError, match="N·C = 30,000 rows are too many: at most 12,000 are solved"):
        check_exact_rows(30_000)
