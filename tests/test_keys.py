"""Keys: equal configurations have equal keys, and a configuration that grows keeps those it
had."""

from dataclasses import dataclass, make_dataclass
from typing import Annotated

import pytest

from hspec.keys import Added, canonical, completed, digest, distinguishing


@dataclass(frozen=True)
class Plan:
    rate: float = 0.1
    rungs: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class GrownPlan:
    rate: float = 0.1
    rungs: tuple[int, ...] = (1, 2)
    merged: Annotated[bool, Added(False)] = False


@dataclass(frozen=True)
class NewDefault:
    """Later, the new behaviour became the default."""

    rate: float = 0.1
    rungs: tuple[int, ...] = (1, 2)
    merged: Annotated[bool, Added(False)] = True


def test_a_field_added_later_changes_no_key_while_it_is_as_at_birth():
    assert digest(GrownPlan()) == digest(Plan())
    assert digest({"plan": GrownPlan(rate=0.2)}) == digest({"plan": Plan(rate=0.2)})
    assert digest(GrownPlan(merged=True)) != digest(Plan())


def test_a_changed_default_does_not_take_over_the_old_key():
    assert digest(NewDefault()) == digest(GrownPlan(merged=True)) != digest(Plan())
    assert digest(NewDefault(merged=False)) == digest(Plan())


def test_first_fields_are_always_counted_and_their_defaults_may_change():
    moved = make_dataclass(
        "Plan", [("rate", float, 0.5), ("rungs", tuple[int, ...], (1, 2))], frozen=True
    )
    assert digest(moved(rate=0.1)) == digest(Plan())
    assert digest(moved()) != digest(Plan())


def first(task, *, size: int = 3): ...


def grown(task, *, size: int = 3, weighting: Annotated[str, Added("equal")] = "equal"): ...


def test_an_option_added_later_is_left_out_while_it_is_as_at_birth():
    assert distinguishing(grown, {"size": 3, "weighting": "equal"}) == {"size": 3}
    assert distinguishing(grown, {"size": 3, "weighting": "own"}) == {"size": 3, "weighting": "own"}
    assert distinguishing(first, {"size": 3}) == {"size": 3}


@pytest.mark.parametrize(
    "plan", [GrownPlan(), GrownPlan(merged=True), NewDefault(), NewDefault(merged=False)]
)
def test_what_is_left_out_is_read_as_at_birth_whatever_the_default_is_now(plan):
    assert type(plan)(**completed(type(plan), distinguishing(type(plan), vars(plan)))) == plan


def test_a_value_at_birth_is_recognised_in_every_spelling():
    @dataclass(frozen=True)
    class Listed:
        rungs: Annotated[tuple[int, ...], Added((1, 2))] = (1, 2)

    assert canonical(Listed(rungs=[1, 2])) == {}


def test_equal_configurations_have_one_text():
    assert digest({"b": (1, 2), "a": None}) == digest({"a": None, "b": [1, 2]})
    assert digest({"a": 1}) != digest({"a": "1"})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_has_no_key(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"width": number})
