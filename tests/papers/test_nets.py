"""Published nets: numbers side by side, and what their settings say."""

import numpy as np
import pytest

from hspec.experiments import Record
from hspec.papers.nets import PUBLISHED_NETS, compared
from hspec.papers.public_weights import CIFAR_RESNETS, public_resnet
from hspec.papers.small_samples import MLP_RATE, RATES
from hspec.papers.updates import LADDER, Stretch, narrow_net
from hspec.training import Recipe


def test_what_is_stored_stands_beside_what_was_printed_and_the_rest_is_missing(store):
    net = PUBLISHED_NETS["vgg11-left-over"]
    experiment = net.experiments["ownership"]
    arrays = {
        "hess_top": 2.0 * np.array([829.4, 415, 390, 342, 295, 207, 190, 171, 139, 61, 40, 39, 38]),
        "hess_nodes": np.array([[-20.9, 0.0, 43.0, np.nan]]),
        "g_nodes": np.array([[0.0, 43.7]]),
        "h_ends": np.array([28.9, -30.7]),
    }
    store.put(Record(arrays, experiment.configuration | {"key": experiment.key}))
    rows = {row.quantity: row for row in compared(net, store)}
    assert [rows[f"λ_{k}(Hess)"].ratio for k in range(1, 11)] == pytest.approx([2.0] * 10)
    for quantity in ("largest of H", "smallest of H", "smallest of Hess without its top 10"):
        assert rows[quantity].ratio == pytest.approx(1.0)
    assert np.isnan(rows["largest of B1"].measured) and rows["largest of B1"].published == 3e-3


@pytest.mark.parametrize("rate", RATES.values())
def test_published_rates_are_on_the_papers_grid(rate):
    """100 log-spaced values from 0.25 down to 1e-4."""
    assert np.abs(np.geomspace(0.25, 1e-4, 100) / rate - 1).min() < 1e-12


def test_left_over_examples_make_a_mini_batch_of_their_own_or_none():
    apart, together = (
        PUBLISHED_NETS[f"vgg11-{name}"].experiments["ownership"].setting
        for name in ("left-over", "merged")
    )
    assert apart.recipe.last_batch_size(130) == 2 and apart.checkpoints == (512, 700)
    assert together.recipe.last_batch_size(130) == 130 and together.checkpoints == (256, 350)


@pytest.mark.parametrize("stretch", LADDER)
def test_a_stretched_training_is_measured_where_the_papers_was(stretch):
    """After 256 of 350 parts of it: after the second drop, where a checkpoint is kept."""
    net, updates = narrow_net(stretch), stretch.updates
    for experiment in net.experiments.values():
        setting, after = experiment.setting, experiment.options["epoch"]
        assert setting.recipe.steps_per_epoch(130) == 1 and after in setting.checkpoints
        assert setting.recipe.drop_steps(130)[1] < after < setting.recipe.total_steps(130)
        assert after / updates == pytest.approx(256 / 350, abs=1 / updates)


def test_weight_decay_alone_shrinks_weights_by_the_product_over_the_updates():
    """Without gradients v ← μv + λw and w ← w − ηv, so that w goes as (1 − ηλ/(1 − μ))^t."""
    recipe = Recipe(steps=3000, learning_rate=0.2, weight_decay=5e-4, drops=(1000, 0.5))
    weight, velocity, sizes = 1.0, 0.0, [1.0]
    for step in range(3000):
        velocity = recipe.momentum * velocity + recipe.weight_decay * weight
        weight -= recipe.rate_after(step, 64) * velocity
        sizes.append(weight)
    for steps in (800, 1200, 3000):
        assert recipe.decay(64, steps) == pytest.approx(sizes[steps], rel=0.01)
    assert recipe.decay(64) == recipe.decay(64, 3000) and recipe.decay(64, 0) == 1


def test_ten_times_the_rate_for_a_tenth_of_the_updates_decays_as_far():
    decays = [
        narrow_net(stretch).experiments["levels"].setting.recipe.decay(130)
        for stretch in (Stretch(35_000), Stretch(3_500, times=10))
    ]
    assert decays[0] == pytest.approx(decays[1], rel=1e-3)


def test_the_rate_of_the_mlp_is_on_its_grid():
    """25 log-spaced values from 0.25 down to 1e-4."""
    assert np.abs(np.geomspace(0.25, 1e-4, 25) / MLP_RATE - 1).min() < 1e-12


@pytest.mark.parametrize("model", CIFAR_RESNETS)
def test_public_resnets_name_their_file_by_its_checksum(model):
    setting = public_resnet(model, per_class=10)
    assert setting.weights_sha256[:8] in setting.weights and model in setting.weights
