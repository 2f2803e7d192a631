"""Published nets: numbers side by side, and what their settings say."""

import numpy as np
import pytest

from hspec.experiments import Record
from hspec.papers.nets import PUBLISHED_NETS, compared
from hspec.papers.public_weights import CIFAR_RESNETS, public_resnet
from hspec.papers.small_samples import MLP_RATE, RATES


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


def test_the_rate_of_the_mlp_is_on_its_grid():
    """25 log-spaced values from 0.25 down to 1e-4."""
    assert np.abs(np.geomspace(0.25, 1e-4, 25) / MLP_RATE - 1).min() < 1e-12


@pytest.mark.parametrize("model", CIFAR_RESNETS)
def test_public_resnets_name_their_file_by_its_checksum(model):
    setting = public_resnet(model, per_class=10)
    assert setting.weights_sha256[:8] in setting.weights and model in setting.weights
