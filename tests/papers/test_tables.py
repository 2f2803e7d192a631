"""The tables of the papers' nets say what is stored, and what is not."""

import numpy as np

from hspec.experiments import Record, Store
from hspec.papers.nets import PUBLISHED_NETS
from hspec.papers.tables import published_table, stored_nets


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
    assert found[4] == [r"$\lambda_{\min}$, batch", "-0.0006", "-0.0012", "2"]
    assert found[5] == [r"$\lambda_{\max}$, batch (printed: of order 1)", "1", "2", "2"]
    assert found[-1][0].endswith("In size, measured over published lies between 2 and 2.")
    stored = rows(stored_nets(store))
    assert [net.title, "`hspec measure resnet32 batch`", "0.3", "2026-01-02", "61", "CPU"] in stored
    assert sum("not measured yet" in row for row in stored) == len(stored) - 3


def test_what_a_process_is_at_is_running(tmp_path):
    store, net = Store(tmp_path, tmp_path / "none"), PUBLISHED_NETS["densenet40-mnist"]
    command = "`hspec measure densenet40-mnist geometry`"

    def state():
        return next(row[3] for row in rows(stored_nets(store)) if row[1] == command)

    with store.claimed(net.experiments["geometry"].name):
        assert state() == "running"
    assert state() == "not measured yet"
