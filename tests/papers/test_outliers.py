"""The largest eigenvalues of the papers' nets, from the records of who owns the outliers."""

from pathlib import Path

import numpy as np
import pytest

from hspec.book import front
from hspec.book.evidence import judged
from hspec.chapters.bulk_and_outliers.figures import largest_eigenvalues, net_row
from hspec.chapters.bulk_and_outliers.verdict import (
    across_scales,
    findings,
    verdict_bulk_and_outliers,
    verdict_training_alone,
)
from hspec.experiments import Record, Store
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.records import write_record
from hspec.papers.nets import PUBLISHED_NETS
from hspec.papers.outliers import both_splits, outliers_of_the_papers, with_top

STORE = Store(published=Path(__file__).parents[2] / "data" / "results")
NETS = outliers_of_the_papers(store=STORE)


def test_only_what_has_converged_is_counted():
    """From the first eigenvalue on that has not, whatever follows it."""
    arrays = {"hess_top": np.arange(9.0, 0, -1), "hess_residuals": np.full(9, 1e-3)}
    arrays["hess_residuals"][6] = 0.1
    top = with_top(Record(arrays, {}))
    np.testing.assert_array_equal(top["top"], [9, 8, 7, 6, 5, 4])
    assert len(top["top_residuals"]) == 6


def test_the_papers_nets_come_largest_first_and_are_judged():
    assert {net.setting.model for net in NETS} >= {"vgg11", "resnet32"}
    assert all(net.setting.width == 1 for net in NETS)
    sizes = [net.num_parameters for net in NETS]
    assert sizes == sorted(sizes, reverse=True)
    for net, row in zip(NETS, verdict_bulk_and_outliers(NETS), strict=True):
        ratios = net["hess_top"][:-1] / net["hess_top"][1:]
        assert f"after {ratios.argmax() + 1} (ratio {ratios.max():.2f})" in row.value


def test_half_a_claim_does_not_hold():
    """Where test images were not measured, the claim is open at best."""
    for net in NETS:
        train, test = verdict_training_alone(net)
        assert test.outcome == OUTCOMES[2]
        assert ", test: " in test.quantity
        assert train.value in test.value


def test_test_images_decide_where_they_were_measured(tmp_path):
    """The same net over both kinds of images is one net with two verdicts, and the front door's."""
    (train,) = (r for r in NETS if r.setting.dataset == "MNIST" and r.num_examples == 130)
    store = Store(tmp_path, published=tmp_path / "published")
    for name in ("ownership", "test-ownership"):
        experiment = PUBLISHED_NETS["vgg11-mnist"].experiments[name]
        meta = train.meta | experiment.configuration | {"key": experiment.key}
        write_record(store.published / "ownership" / experiment.key, Record(train.arrays, meta))
    ((over_training, over_test),) = both_splits(store)
    assert (over_training.options["split"], over_test.options["split"]) == ("train", "test")
    (judged_net,) = judged(store)["P18-1"]
    assert [v.margin == "test images were not measured" for v in judged_net.verdicts] == [False] * 2
    assert any("on its training images after" in told for told in front.findings(store))
    told, other = findings([], [over_training], [over_test])
    assert "over training images" in told
    assert "over test images" in other


def test_one_sentence_tells_of_all_of_them():
    (told,) = findings([], NETS)
    assert told.count("$k = ") == len(NETS)
    assert findings([], []) == []


def test_every_net_of_a_figure_is_drawn():
    """However many: two data sets more than there are colours, say."""
    (axis,) = largest_eigenvalues([*NETS, *NETS], net_row).axes
    assert len(axis.get_legend_handles_labels()[1]) == 2 * len(NETS) + 1


@pytest.mark.parametrize(("sign", "said"), [(1, "It grows with"), (-1, "It falls with")])
def test_a_relation_is_told_where_there_is_one(sign, said):
    """Nets whose gap near C is the clearer the larger, or the smaller, their loss."""
    rows = [
        Record(
            {
                "top": np.array([9.0, 8, 7, *(6 / (2 + k) * 0.99**j for j in range(4))]),
                "num_classes": np.array(3),
                "loss": np.array(1.0 + sign * 0.1 * k),
            },
            {},
        )
        for k in range(8)
    ]
    assert said in across_scales(rows)
    assert "No relation is seen" in across_scales(rows[:2])
