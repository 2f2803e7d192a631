"""The papers' search for a learning rate: its grids, its choice, and published rates."""

import math

import numpy as np
import pytest

from hspec.experiments import Experiment, Recipe, Record, Setting, Store
from hspec.experiments.loss_curves import loss_curves
from hspec.experiments.rate_search import (
    Choice,
    chosen_rate,
    rate_search,
    searched_rates,
    stored_runs,
)
from hspec.experiments.sweep import fill, sweep_experiments
from hspec.papers.small_samples import RATES as USED
from hspec.training.published_rates import CHOSEN, MLP_RATES, RATES, SAMPLES, published_rate

BASE = Setting(
    model="mlp:4", width=1.0, image_size=4, per_class=2, test_per_class=2, recipe=Recipe(epochs=1)
)


@pytest.mark.parametrize(("rates", "number"), [(RATES, 100), (MLP_RATES, 25)])
def test_grids_are_the_papers(rates, number):
    np.testing.assert_allclose(rates, np.logspace(math.log10(0.25), -4, number), rtol=1e-14)


def test_printed_rates_name_one_rate_of_the_grid():
    for (model, dataset), printed in CHOSEN.items():
        assert len(printed) == len(SAMPLES)
        for size, value in zip(SAMPLES, printed, strict=True):
            assert float(f"{published_rate(model, dataset, size):.3g}") == value
            assert sum(float(f"{rate:.3g}") == value for rate in RATES) == 1
    with pytest.raises(ValueError, match="no rate was published for vgg11 on MNIST with 14 images"):
        published_rate("vgg11", "MNIST", 14)


def test_nets_of_the_papers_use_the_published_rates():
    for (model, dataset, size), rate in USED.items():
        if size in SAMPLES:
            assert rate == pytest.approx(published_rate(model, dataset, size), rel=1e-14)


def test_a_part_of_a_grid_is_part_of_the_whole():
    few, all_of_it = (rate_search(BASE, searched_rates("P20", every)) for every in (25, 1))
    assert len(few) == 4 and {e.key for e in few.values()} <= {e.key for e in all_of_it.values()}
    assert all(e.setting.recipe.learning_rate == rate for rate, e in few.items())
    with pytest.raises(ValueError, match="grids are 'P20', 'P20 MLP'"):
        searched_rates("P21")
    with pytest.raises(ValueError, match="needs a rate"):
        rate_search(BASE, ())


def run(error, loss=1.0, diverged=False):
    curves = [] if diverged else [0.9, error]
    return Record(
        {"test_error": curves, "test_loss": [loss] * len(curves), "diverged": diverged}, {}
    )


def test_the_choice_is_by_test_error_at_the_last_epoch():
    records = {
        0.25: run(0, diverged=True),
        0.1: run(0.2, 3.0),
        0.01: run(0.2, 2.0),
        0.001: run(0.3),
        1e-4: None,
    }
    assert chosen_rate(records) == Choice(0.01, 0.2, trained=4, of=5, diverged=1)
    assert not chosen_rate(records).complete
    assert chosen_rate({0.25: run(0, diverged=True), 0.1: None}) is None


def test_a_search_goes_on_where_it_was_and_sees_what_was_found(tmp_path):
    store = Store(tmp_path, tmp_path / "none")
    entry = {
        "rates": "P20 MLP",
        "every": 12,
        "per_class": [2],
        "setting": {
            "model": "mlp:4",
            "width": 1.0,
            "image_size": 4,
            "test_per_class": 2,
            "recipe": {"epochs": 1},
        },
    }
    experiments = sweep_experiments(entry, {})
    search = rate_search(BASE, searched_rates("P20 MLP", 12))
    assert [e.key for e in experiments] == [e.key for e in search.values()]
    assert isinstance(experiments[0], Experiment) and experiments[0].measure is loss_curves
    assert fill(experiments[:2], store, progress=False) == 2
    assert [record is not None for record in stored_runs(search, store).values()] == [
        True,
        True,
        False,
    ]
    assert fill(experiments, store, progress=False) == 1
    choice = chosen_rate(stored_runs(search, store))
    assert choice.complete and choice.rate in search
    with pytest.raises(ValueError, match="a search has no 'epochs'"):
        sweep_experiments(entry | {"epochs": [1]}, {})
    with pytest.raises(ValueError, match="per_class is empty"):
        sweep_experiments(entry | {"per_class": []}, {})
