"""The recipe: budget, learning-rate drops, order of the examples, refusals."""

import dataclasses

import pytest
import torch

from hspec.training import Recipe
from hspec.training.order import epoch_batches


def test_budget_in_epochs_or_steps():
    recipe = Recipe(epochs=3, batch_size=128)
    assert recipe.steps_per_epoch(1000) == 8 and recipe.total_steps(1000) == 24
    assert Recipe(steps=515).total_steps(1000) == 515


def test_learning_rate_falls_tenfold_at_one_and_two_thirds():
    recipe = Recipe(steps=300, learning_rate=0.1)
    assert recipe.drop_steps(1000) == (100, 200)
    rates = [recipe.rate_after(step, 1000) for step in (0, 99, 100, 199, 200, 299)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rel=1e-15)


def test_drops_may_be_steps():
    assert Recipe(steps=300, drops=[0.5, 40]).drop_steps(1000) == (40, 150)
    assert Recipe(steps=300, drops=()).rate_after(299, 1000) == 0.05


@pytest.mark.parametrize(
    ("examples", "size"), [(1000, 128), (129, 128), (257, 128), (5, 128), (7, 1), (256, 128)]
)
def test_an_epoch_is_a_partition_without_single_examples(examples, size):
    steps = Recipe(epochs=1, batch_size=size).steps_per_epoch(examples)
    batches = epoch_batches(examples, steps, size, seed=0, epoch=4)
    assert len(batches) == steps
    assert sorted(torch.cat(batches).tolist()) == list(range(examples))
    assert all(len(batch) == size for batch in batches[:-1])
    assert size == 1 or len(batches[-1]) > 1


def test_a_small_last_batch_joins_the_one_before():
    """130 images in batches of 128: 128 and 2, or all together."""
    assert Recipe(epochs=1).steps_per_epoch(130) == 2 and Recipe(epochs=1).last_batch_size(130) == 2
    merged = Recipe(epochs=3, smallest_batch=8)
    assert merged.total_steps(130) == 3 and merged.last_batch_size(130) == 130
    assert merged.steps_per_epoch(136) == 2 and merged.last_batch_size(136) == 8
    assert merged.steps_per_epoch(5) == 1 and merged.last_batch_size(5) == 5
    assert merged.last_batch_size(256) == 128


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        return torch.cat(epoch_batches(50, 5, 10, seed, epoch)).tolist()

    before = torch.get_rng_state()
    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert torch.equal(torch.get_rng_state(), before)


def test_recipe_is_frozen_and_hashable():
    recipe = Recipe(epochs=1, drops=[0.5])
    assert hash(recipe) == hash(Recipe(epochs=1, drops=(0.5,)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either as epochs=… or as steps=…"),
        ({"epochs": 1, "steps": 1}, "either as epochs=… or as steps=…"),
        ({"steps": -1}, "steps=-1: a whole number"),
        ({"epochs": 1, "batch_size": 0}, "batch_size=0: at least 1"),
        ({"epochs": 1, "smallest_batch": 0}, "smallest_batch=0: at least 1"),
        ({"epochs": 1, "learning_rate": -0.1}, "learning_rate=-0.1: a positive number"),
        ({"epochs": 1, "learning_rate": float("nan")}, "learning_rate=nan: a positive number"),
        ({"epochs": 1, "momentum": 1.0}, "momentum=1.0 lies in"),
        ({"epochs": 1, "drops": (1.5,)}, "fractions between 0 and 1"),
        ({"epochs": 1, "seed": -1}, "seed must be from 0"),
        ({"epochs": 1, "batch_norm": "eval"}, "unknown batch_norm 'eval': 'batch' or 'population'"),
    ],
)
def test_bad_recipes_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 1.5}, "epochs must be int or NoneType, got 1.5"),
        ({"epochs": True}, "epochs must be int or NoneType, got True"),
        ({"epochs": 1, "batch_size": 2.5}, "batch_size must be int, got 2.5"),
        ({"epochs": 1, "seed": 1.5}, "seed must be int, got 1.5"),
        ({"epochs": 1, "drops": (200, "end")}, r"drops\[1\] must be int or float, got 'end'"),
    ],
)
def test_values_of_another_type_are_refused(settings, message):
    with pytest.raises(TypeError, match=message):
        Recipe(**settings)


def test_drops_keep_their_meaning():
    """200 are steps, 0.5 is half of the budget."""
    assert [type(drop) for drop in Recipe(epochs=1, drops=[200, 0.5]).drops] == [int, float]
