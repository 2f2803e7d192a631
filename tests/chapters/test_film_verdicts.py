"""Verdict logic on records made by hand: each claim is seen to hold, to fail,
and to stay open."""

import re

import numpy as np
import pytest

from hspec.chapters.batch_norm.verdict import verdict_outliers
from hspec.chapters.early_training.verdict import (
    PAPER_STEP,
    findings,
    verdict_negative_start,
    verdict_settling,
)
from hspec.chapters.end_of_training.verdict import by_depth, verdict_end
from hspec.chapters.learning_rate_drop.verdict import check_drop, verdict_drop
from hspec.chapters.population_batch_norm.verdict import verdict_modes, verdict_population
from hspec.experiments import Setting
from hspec.experiments.film_quantities import UNDEFINED
from hspec.experiments.records import Record
from hspec.experiments.training_spectrum import Frame
from hspec.keys import canonical
from hspec.linalg import SpectralMeasure


def frame(eigenvalues, step=0, residual=0.0, classes=2, model="vgg11"):
    values = np.sort(np.asarray(eigenvalues, dtype=float))
    rows = np.stack([values, values])
    weights = np.full(rows.shape, 1 / len(values))
    measure = SpectralMeasure(rows, weights, weights, len(values), np.ones(rows.shape, bool))
    arrays = {
        "top": values[::-1],
        "bottom": values[:1],
        "top_residuals": np.full(len(values), residual),
        "bottom_residuals": np.array([residual]),
        "step": np.array(step),
        "num_classes": np.array(classes),
        **{f"hess_{k}": v for k, v in measure.to_arrays().items()},
    }
    meta = {"measure": "training_spectrum", "setting": canonical(Setting(model=model, width=1.0))}
    return Frame(arrays, meta | {"options": {"batch_norm": "batch"}})


def curve(loss):
    return Record(
        {"step": np.arange(1, 5) * 5.0, "step_loss": np.full(4, loss)}, {"measure": "loss_curves"}
    )


def outcomes(rows):
    return [row.outcome for row in rows]


HOLDS, FAILS, OPEN = "holds", "fails", "inconclusive at this scale"


@pytest.mark.parametrize(
    ("small", "large", "told"),
    [(-1.0, -0.5, "It falls as the sample grows"), (-0.5, -1.0, "these do not show it to be")],
)
def test_two_samples_tell_of_themselves_alone(small, large, told):
    films = [
        [frame([-5.0, 1, 4], step=0), frame([bottom, 1, 4], step=PAPER_STEP)]
        for bottom in (small, large)
    ]
    for film, number in zip(films, (20, 60), strict=True):
        for one in film:
            one.arrays["num_examples"] = np.array(number)
    live = [frame([-5.0, 1, 4 + step], step=step) for step in (0, 1, 2)]
    sentence = findings(live, 2, 1, films)[0]
    assert told in sentence and "does not explain" not in sentence


def test_large_negative_eigenvalues_that_go_away():
    start, end = frame([-5.0, 1, 4]), frame([-0.1, 1, 4], step=50)
    assert outcomes(verdict_negative_start([start, end], 50)) == [HOLDS, HOLDS]
    assert outcomes(verdict_negative_start([end, start], 0)) == [FAILS, FAILS]
    vague = frame([-0.1, 1, 4], step=50, residual=1.0)
    assert outcomes(verdict_negative_start([start, vague], 50))[0] == OPEN


def test_what_is_still_there_after_a_few_steps_is_not_against_the_claim():
    """It says: within a few hundred."""
    start = frame([-5.0, 1, 4])
    for step, expected in ((50, OPEN), (200, FAILS)):
        rows = verdict_negative_start([start, frame([-2.0, -2.0, 1, 4], step=step)], step)
        assert outcomes(rows) == [expected] * 2
    many = frame([-5.0] * 21_437 + [4])
    row = verdict_negative_start([many, frame([-0.1, 1, 4], step=200)], 200)[1]
    assert row.value.startswith("21,400, then")


def test_a_film_that_ends_too_early_is_refused():
    with pytest.raises(ValueError, match="ends at step 0, before step 50"):
        verdict_negative_start([frame([-1.0, 2])], 50)


def test_settling_compares_later_epochs_with_the_first():
    wild, calm = frame([1.0, 9.0]), [frame([1.0, 3.0 + 0.01 * k], step=10 * k) for k in (1, 2, 3)]
    assert outcomes(verdict_settling([wild, *calm], 10)) == [HOLDS]
    restless = [frame([1.0, 2.0 ** (k + 1)], step=10 * k) for k in range(4)]
    assert outcomes(verdict_settling(restless, 10)) == [FAILS]
    with pytest.raises(ValueError, match="no 10"):
        verdict_settling([wild, calm[1], calm[2]], 10)
    later = frame([1.0, 300.0], step=200)  # not an epoch after the one before it
    assert outcomes(verdict_settling([wild, *calm, later], 10)) == [HOLDS]


def test_drop_is_judged_before_and_against_the_control():
    before = [frame([8.0]), frame([9.0]), frame([10.0])]
    after = [frame([4.0]), frame([4.4]), frame([5.0])]
    control = [frame([2.0]), frame([2.3]), frame([2.4])]
    assert outcomes(verdict_drop(before, after, control)) == [HOLDS, FAILS]
    mixed = [frame([4.0]), frame([18.0]), frame([10.0])]
    assert outcomes(verdict_drop(before, mixed, mixed))[0] == OPEN


def test_end_needs_a_small_and_a_sharp_smallest_eigenvalue():
    good = [frame([-0.001, 0.5, 1.0]), frame([-0.002, 0.5, 1.0])]
    assert outcomes(verdict_end(good)) == [HOLDS, HOLDS]
    assert outcomes(verdict_end([frame([-0.5, -0.5, 1.0])] * 2)) == [FAILS, FAILS]
    assert outcomes(verdict_end([frame([-0.001, 1.0], residual=0.1)] * 2))[0] == OPEN


def test_depths_are_compared_where_their_ends_have_converged():
    """An unsharp smallest eigenvalue is not shown."""
    nets = {"resnet56": -0.25, "resnet20": -0.5, "resnet44": 0.0}
    trained = [frame([end, 0.5, 1.0], model=model) for model, end in nets.items()]
    unsharp = frame([-0.125, 1.0], residual=0.1, model="resnet32")
    assert by_depth([*trained, unsharp]) == (
        "With batch statistics $|\\lambda_{\\min}|/\\lambda_{\\max}$ is 0.5000 ± 1e-06 in "
        "ResNet-20, 0.0000 ± 1e-06 in ResNet-44, 0.2500 ± 1e-06 in ResNet-56."
    )
    assert by_depth([trained[0], unsharp]) == by_depth([]) == ""


def test_outliers_of_two_nets():
    flat, spiky = [frame([1.2, 1.1, 1])] * 2, [frame([9.0, 5, 1])] * 2
    assert outcomes(verdict_outliers(flat, spiky)) == [HOLDS, HOLDS]
    assert outcomes(verdict_outliers(spiky, flat)) == [FAILS, FAILS]
    scattered = [frame([2.9, 2, 1]), frame([3.1, 2, 1]), frame([30.0, 2, 1])]
    assert outcomes(verdict_outliers([flat[0]] * 3, scattered))[0] == OPEN


def test_the_interval_of_a_ratio_leaves_out_what_no_ratio_can_be():
    """λ_1/λ_k is at least one; a symmetric interval of these three would reach below zero."""
    scattered = [frame([top, 1.2, 1]) for top in (1.5, 2.0, 9.0)]
    absent = verdict_outliers(scattered, [frame([9.0, 5, 1])] * 3)[1]
    mean, low, high = map(float, re.findall(r"[-\d.]*\d", absent.value))
    assert mean == pytest.approx(3.0, abs=0.01)
    assert 0 < low < mean < high
    assert low * high == pytest.approx(mean**2, rel=0.05)
    assert absent.outcome == OPEN


def test_nets_are_compared_at_the_last_rank_that_both_reach():
    """A stored film of one training each, whose eigenvalue C + 1 has not converged."""
    flat, spiky = frame([4.0, 3.9, 1]), frame([90.0, 5, 1])
    for one in (flat, spiky):
        one.arrays["top_residuals"][2] = 0.5
    rows = verdict_outliers([flat], [spiky])
    assert outcomes(rows) == [HOLDS, HOLDS]
    assert "λ_1/λ_2, the last rank that all reach," in rows[0].quantity


def test_a_ratio_that_is_not_defined_is_named_so_and_decides_nothing():
    spiky, indefinite = [frame([9.0, 5, 1])] * 2, [frame([9.0, 5, -1])] * 2
    rows = verdict_outliers(indefinite, spiky)
    assert outcomes(rows) == [OPEN, OPEN]
    assert [row.value for row in rows] == [UNDEFINED] * 2


def test_population_statistics():
    flat, spiky = [frame([1.2, 1.1, 1], step=10)] * 2, [frame([9.0, 5, 1], step=10)] * 2
    fast, slow = ([curve(loss)] * 2 for loss in (0.5, 2.0))
    assert outcomes(verdict_population(flat, spiky, (fast, slow, fast))) == [HOLDS, HOLDS, HOLDS]
    assert outcomes(verdict_population(spiky, flat, (slow, fast, slow))) == [FAILS, FAILS, FAILS]


def test_the_same_weights_in_both_modes():
    flat, spiky = frame([1.2, 1.1, 1]), frame([9.0, 5, 1])
    assert outcomes(verdict_modes({"a": (flat, spiky), "b": (flat, spiky)})) == [HOLDS]
    assert outcomes(verdict_modes({"a": (flat, spiky), "b": (spiky, flat)})) == [FAILS]
    assert outcomes(verdict_modes({"a": (flat, spiky), "b": (flat, frame([1.3, 1.1, 1]))})) == [
        OPEN
    ]


def test_one_seed_decides_nothing_about_a_ratio():
    rows = verdict_drop([frame([8.0])], [frame([4.0])], [frame([5.0])])
    assert (rows[0].value, rows[0].over) == ("0.50", ("1 seed",))
    assert outcomes(rows) == [OPEN, OPEN]


@pytest.mark.parametrize(
    ("drops", "before", "after"),
    [([], 60, 100), ([20], 60, 100), ([60], 65, 100), ([100], 60, 100)],
)
def test_steps_without_a_drop_between_them_are_no_comparison(drops, before, after):
    check_drop([20, 60], 60, 100)
    with pytest.raises(
        ValueError, match=f"does not drop between step {before} .before. and step 100"
    ):
        check_drop(drops, before, after)
