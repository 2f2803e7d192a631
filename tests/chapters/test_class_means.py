"""G and its parts: against dense matrices of a tiny net, and both outcomes of every verdict."""

import functools

import numpy as np
import pytest
import torch

from hspec.chapters.class_means.figures import (
    collinearity_table,
    every_net,
    exact_knock_outs,
    knock_outs,
    outliers_and_means,
    part_table,
    survivor_table,
    yardstick_table,
)
from hspec.chapters.class_means.measure import check_exact_rows, class_structure, exact_knock_out
from hspec.chapters.class_means.verdict import a1_share, across_scales, verdict_class_structure
from hspec.curvature import A1, A2, B1, class_means, gauss_newton
from hspec.experiments import Recipe, Setting
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.records import Record

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
def structure(task):
    return class_structure(task("structure"), **OPTIONS)


def test_structure_has_the_exact_eigenvalues_of_the_means(structure, risk, eigenvalues):
    means = class_means(risk)
    a1, a2 = A1(means), A2(means)
    np.testing.assert_allclose(structure["a1"], eigenvalues(a1)[:10], rtol=1e-3)
    np.testing.assert_allclose(structure["a2"], eigenvalues(a2)[:10], rtol=1e-3)
    np.testing.assert_allclose(structure["a12"], eigenvalues(a1 + a2)[:10], rtol=1e-3)
    np.testing.assert_allclose(structure["b1"][:20], eigenvalues(B1(means))[:20], rtol=1e-3)


def test_shares_divide_every_eigenvalue(structure):
    np.testing.assert_allclose(structure["shares"].sum(1), 1)
    assert (structure["shares"] > -1e-5).all()


def test_knocked_out_spectra_end_where_the_dense_ones_do(structure, risk, eigenvalues):
    means = class_means(risk)
    without = gauss_newton(risk) - A1(means)
    assert np.nanmax(structure["g_a1_nodes"]) == pytest.approx(eigenvalues(without)[0], rel=1e-3)
    without = without - A2(means) - B1(means)
    assert np.nanmax(structure["g_a1_a2_b1_nodes"]) == pytest.approx(
        eigenvalues(without)[0], rel=1e-3
    )


def test_nothing_changes_where_not_even_the_class_means_fit_in_memory(task, structure, risk):
    """As with many classes and a large net: every part is streamed."""
    streaming = task("streamed")
    budget = 9 * 4 * risk.num_parameters  # nine vectors; there are ten classes
    streaming.risk = functools.partial(streaming.risk, memory_budget=budget)
    streamed = class_structure(streaming, **OPTIONS)
    assert "cosines" not in streamed
    for name in ("a1", "a2", "a12", "g_top", "cosine"):
        np.testing.assert_allclose(streamed[name], structure[name], rtol=1e-3)
    np.testing.assert_allclose(streamed["b1"][:20], structure["b1"][:20], rtol=1e-3)
    np.testing.assert_allclose(streamed["shares"][:10], structure["shares"][:10], atol=1e-2)


def test_the_two_means_of_a_class_oppose_each_other(structure):
    np.testing.assert_allclose(structure["cosine"], -1, atol=1e-8)
    assert structure["mismatch"].max() < 1e-4
    np.testing.assert_allclose(structure["p_off"] + structure["p_own"], 0.1, rtol=1e-5)


def test_exact_knock_outs_are_those_of_the_dense_matrices(task, eigenvalues):
    sampling = task("exact")
    found = exact_knock_out(sampling, sample_per_class=2, num_steps=20)
    risk = sampling.risk(per_class=2, dtype=torch.float64)
    expected = eigenvalues(gauss_newton(risk) - A1(class_means(risk)))[:20]
    np.testing.assert_allclose(found["exact_a1"][:20], expected, atol=1e-5 * expected[0])
    np.testing.assert_allclose(found["exact"][0], np.nanmax(found["g_nodes"]), rtol=1e-4)


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


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


def test_outliers_that_no_subtraction_of_rank_c_takes_away_are_not_held_against_it():
    record = structure_record(left=0.95)
    record["g_top"][3] = 0.9
    row = verdict_class_structure(record)[-1]
    assert row.outcome == OUTCOMES[2] and "the least that could be left, 0.900" in row.margin


def test_nets_stand_beside_one_another_with_what_makes_their_outliers(measured):
    """Also one whose class means did not fit in memory, so that its spans have no angles."""
    small, large = (measured(class_structure, num_steps=20, seed=seed) for seed in (0, 1))
    streamed = Record({k: v for k, v in large.arrays.items() if k != "cosines"}, large.meta)
    rows = every_net([small, streamed])
    assert "–" in set(rows["cos² of the spans"].str[0])
    assert rows["A1's share"].str.contains(f"{a1_share(small):.3f}").any()
    told = across_scales([small, streamed])
    assert f"{a1_share(small):.2f}, " in told and told.count("digits") == 2
    assert across_scales([small]) == ""


def test_exact_spectra_beyond_what_can_be_solved_are_refused():
    with pytest.raises(
        ValueError, match="N·C = 30,000 rows are too many: at most 12,000 are solved"
    ):
        check_exact_rows(30_000)


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def test_structure_figures_and_tables(measured, drawn):
    found = measured(class_structure, num_steps=30)
    left, right = drawn(outliers_and_means(found)).axes
    np.testing.assert_array_equal(lines(left)["A1"].get_ydata(), found["a1"][:13])
    assert len(right.patches) == 4 * 13
    rows = drawn(knock_outs(found)).axes
    assert [next(iter(lines(axis))) for axis in rows] == [
        "G",
        "G − A1",
        "G − A1 − A2",
        "G − A1 − A2 − B1",
    ]
    assert len(part_table(found)) == len(collinearity_table(found)) == 10
    assert list(survivor_table(found)["matrix"]) == ["G − A1", "G − A1 − A2", "G − A1 − A2 − B1"]


def test_exact_spectra_are_drawn_beside_the_quadrature(measured, drawn):
    found = measured(exact_knock_out, sample_per_class=2, num_steps=30)
    left, right = drawn(exact_knock_outs(found)).axes
    assert lines(left)["G"].get_ydata()[0] == pytest.approx(found["exact"][0])
    assert {"exact", "quadrature"} <= lines(right).keys()
    values = dict(yardstick_table(found).itertuples(index=False))
    assert float(values["quadrature of G: relative error of λ_max"]) < 1e-4
