"""The tables of the papers' nets say what is stored, and what is not."""

import numpy as np
import pytest

from hspec.experiments import Record, Store
from hspec.papers.nets import PUBLISHED_NETS
from hspec.papers.tables import (
    growth_table,
    published_table,
    shapes_table,
    stopped_table,
    stored_nets,
    trained_twice,
    updates_table,
    which_is_nearer,
)
from hspec.papers.updates import Stretch, narrow_net


def rows(markdown):
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in markdown.data.splitlines()
    ]


def test_printed_and_measured_numbers_stand_in_one_row(tmp_path):
    store, net = Store(tmp_path, tmp_path / "none"), PUBLISHED_NETS["resnet32"]
    experiment = net.experiments["batch"]
    facts = {
        "key": experiment.key,
        "written": "2026-01-02T03:04:05",
        "seconds": 61.4,
        "device": "CPU",
    }
    arrays = {"top": np.array([2.0, 1.0]), "bottom": np.array([-0.0012])}
    store.put(Record(arrays, experiment.configuration | facts))
    found = rows(published_table(net, store))
    assert found[4] == [r"$\lambda_{\min}$, batch", "−0.0006", "−0.0012", "2"]
    assert found[5] == [r"$\lambda_{\max}$, batch (printed: of order 1)", "1", "2", "2"]
    assert found[-1][0].endswith("In size, measured over published lies between 2 and 2.")
    stored = rows(stored_nets(store))
    assert [net.title, "`hspec measure resnet32 batch`", "0.3", "2026-01-02", "61", "CPU"] in stored
    assert sum("not measured yet" in row for row in stored) == len(stored) - 3


def test_a_net_that_is_not_measured_has_a_sentence_and_no_table(tmp_path):
    net = PUBLISHED_NETS["vgg11-left-over"]
    said = published_table(net, Store(tmp_path, tmp_path / "none")).data
    assert said == f"{net.title}: not measured yet. Printed: {net.source}."


def stored(store, experiment, arrays):
    store.put(Record(arrays, experiment.configuration | {"key": experiment.key}))


def test_each_printed_number_is_nearer_to_one_of_two_nets(tmp_path):
    store = Store(tmp_path, tmp_path / "none")
    left_over, merged = (PUBLISHED_NETS[f"vgg11-{cut}"] for cut in ("left-over", "merged"))
    assert which_is_nearer(left_over, merged, store).data == ""
    for net, largest, cross in ((left_over, 400.0, 3.0), (merged, 1.0, 0.3)):
        arrays = {"A1": np.full(10, largest), "B1": np.array([cross])}
        stored(store, net.experiments["levels"], arrays)
    assert which_is_nearer(left_over, merged, store).data == (
        "Of the 3 printed numbers 2 are nearer, in ratio, to those of mini-batches of 128 and 2 "
        "than to those of all 130 in one mini-batch; not so largest of B₁."
    )


def test_shapes_are_ratios_and_the_nearest_net_is_named(tmp_path):
    """Also what misfits: it is told how many of its own images a net gets wrong."""
    store = Store(tmp_path, tmp_path / "none")
    assert rows(shapes_table(store))[2][:2] == ["printed", "0.99"]
    for cut, cross, rate in (("merged", 0.3, 0.0), ("left-over", 0.0003, 0.5)):
        arrays = {"A1": np.full(10, 3.0), "B1": np.array([cross]), "error_rate": np.array(rate)}
        stored(store, PUBLISHED_NETS[f"vgg11-{cut}"].experiments["levels"], arrays)
    drawn = shapes_table(store)
    found = {row[0]: row[1:] for row in rows(drawn) if len(row) == 5}
    assert found["VGG11, epoch 256, all 130 in one mini-batch"] == ["–", "0.1", "–", "0%"]
    assert drawn.data.endswith(
        "Nearest to the printed ratios are, for B₁'s largest / A₁'s: VGG11, epoch 256, "
        "mini-batches of 128 and 2, 27.3 times what is printed."
    )


def test_what_a_process_is_at_is_running(tmp_path):
    store, net = Store(tmp_path, tmp_path / "none"), PUBLISHED_NETS["densenet40-mnist"]
    command = "`hspec measure densenet40-mnist geometry`"

    def state():
        return next(row[3] for row in rows(stored_nets(store)) if row[1] == command)

    with store.claimed(net.experiments["geometry"].name):
        assert state() == "running"
    assert state() == "not measured yet"


def test_more_updates_stand_side_by_side_and_what_is_missing_is_said(tmp_path):
    store = Store(tmp_path, tmp_path / "none")
    experiment = narrow_net(Stretch(3500)).experiments["levels"]
    arrays = {"A1": np.linspace(9.0, 4.5, 10), "B1": np.array([0.25])}
    store.put(Record(arrays, experiment.configuration | {"key": experiment.key}))
    drawn = updates_table(store)
    found = {row[0]: row[1:] for row in rows(drawn) if len(row) == 3}
    assert found["quantity"] == ["published", "3,500 updates"]
    assert found["largest of A₁"] == ["820", "9"] and found["10th of A₁"] == ["56", "4.5"]
    assert found["largest of B₁"][1] == "0.25" and found["largest of H"][1] == "not measured yet"
    assert "Not measured yet: 350 updates; 35,000 updates; " in drawn.data


def test_growth_by_weight_decay_stands_beside_published_over_measured(tmp_path):
    store, net = Store(tmp_path, tmp_path / "none"), PUBLISHED_NETS["resnet18"]
    experiment = net.experiments["averaging"]
    arrays = {"G_top": np.full(13, 165.3 / 50), "G1": np.ones(10)}
    store.put(Record(arrays, experiment.configuration | {"key": experiment.key}))
    vgg, resnet = rows(growth_table(store))[2:]
    assert vgg[1] == "–" and resnet[1] == "50"
    # exp(2λ/(1 − μ) Σ η): a third of the updates each at η, η/10 and η/100
    rates = 0.01059338983795 * 1.11 * 350 / 3
    assert float(resnet[3]) == pytest.approx(np.exp(0.01 * rates * 390), rel=0.01)


def test_a_net_that_ended_early_has_the_updates_of_its_passes(tmp_path):
    found = rows(stopped_table())
    assert ["DenseNet40", "CIFAR100", "50,000", "391", "246", "350", "96,186"] in found


def test_two_trainings_of_one_seed_are_told_apart(tmp_path):
    """By the largest eigenvalues of G; where they agree, as of one net, nothing is said."""
    net = PUBLISHED_NETS["vgg11-mnist"]
    facts = {"written": "2026-01-02T03:04:05", "seconds": 1.0, "device": "CPU"}
    store = Store(tmp_path, tmp_path / "none")
    g_top = np.arange(13.0, 0, -1)
    for name, values in (("ownership", g_top), ("class-means", g_top * 1.0001)):
        experiment = net.experiments[name]
        arrays = {"g_top": values, "num_classes": np.array(10)}
        store.put(Record(arrays, experiment.configuration | facts | {"key": experiment.key}))
        assert trained_twice(store).data == ""
    told = trained_twice(Store()).data
    assert "2.07 and 2.57 in VGG11, MNIST" in told and "factor of 1.25" in told
