"""What decides: the uncertainty, and a factor 1.5 around thresholds that are ours."""

import doctest
import math

import pytest

from hspec.experiments import claims
from hspec.experiments.claims import both, judge

HOLDS, FAILS, OPEN = claims.OUTCOMES


def test_the_examples_run():
    assert doctest.testmod(claims).failed == 0


@pytest.mark.parametrize(
    ("value", "threshold", "options", "outcome"),
    [
        (0.3, 0.1, {}, FAILS),
        (0.3, 0.1, {"above": True}, HOLDS),
        (0.11, 0.1, {}, OPEN),
        (0.09, 0.1, {}, OPEN),
        (0.0, 0.1, {}, HOLDS),
        (0.11, 0.1, {"ours": False}, FAILS),
        (0.3, 0.1, {"interval": (0.05, 0.55)}, OPEN),
        (0.3, 0.1, {"interval": (math.nan, math.nan)}, OPEN),
        (math.nan, 0.1, {}, OPEN),
        (0.99, 0.9, {"above": True, "share": True}, HOLDS),
        (0.92, 0.9, {"above": True, "share": True}, OPEN),
        (0.88, 0.9, {"above": True, "share": True}, OPEN),
        (0.8, 0.9, {"above": True, "share": True}, FAILS),
        (1.2, 0.5, {"share": True}, FAILS),
    ],
)
def test_judgement(value, threshold, options, outcome):
    assert judge(value, threshold, **options)[0] == outcome


def test_of_several_parts_one_that_fails_decides():
    holds, fails, is_open = ((name, "why") for name in claims.OUTCOMES)
    assert both(holds, is_open, fails) == fails
    assert both(holds, is_open) == is_open
    assert both(holds, holds) == holds


@pytest.mark.parametrize(
    ("margins", "told"),
    [
        (("by a factor 30", "by a factor 5.2"), "by a factor 5.2"),
        (("by more than a factor 1000", "exact"), "by more than a factor 1000"),
        (("p = 0.0076", "p = 0.015"), "p = 0.015"),
        (
            ("95 % interval 0.13 to 0.20", "95 % interval 0.12 to 0.25"),
            "95 % interval 0.12 to 0.25",
        ),
        (("ahead by 0.26, more", "by a factor 89"), "ahead by 0.26, more; by a factor 89"),
        (("exact", ""), "exact"),
    ],
)
def test_of_parts_that_all_hold_the_weakest_margin_is_told(margins, told):
    assert both(*((HOLDS, margin) for margin in margins)) == (HOLDS, told)
