"""Stored results measured again: what repeats, what is near enough,
and what is not what was stored.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from hspec import cli
from hspec.commands import verify as command
from hspec.experiments import Experiment, Recipe, Setting, Store, load_or_run, measure
from hspec.experiments.measure import Measure
from hspec.experiments.records import Record
from hspec.experiments.verification import TOLERANCE, deviations, seconds_anew, verify, verify_all
from hspec.linalg import SpectralMeasure

DRIFT = {"by": 0.0, "loss": 0.5}


@measure(version=1)
def toy(task, *, size: int = 3):
    """The weights of a net, off by as much as a test says."""
    return {
        "x": np.arange(1.0, size + 1) * (1 + DRIFT["by"]),
        "residuals": np.array([DRIFT["by"]]),
    } | {"loss": DRIFT["loss"]}


@pytest.fixture
def stored(store):
    DRIFT.update(by=0.0, loss=0.5)
    return load_or_run(
        Experiment(toy, Setting("digits", "mlp:4", 1.0, recipe=Recipe(epochs=0)), {}), store
    )


@pytest.mark.parametrize(
    ("by", "outcome"),
    [(0.0, "repeated"), (0.9 * TOLERANCE, "reproduced"), (1.1 * TOLERANCE, "differs")],
)
def test_a_record_is_repeated_reproduced_or_differs(stored, tmp_path, by, outcome):
    DRIFT["by"] = by
    again = verify(stored, {"toy": toy}, Store(tmp_path / "again", fresh=True))
    assert again.outcome == outcome
    assert again.deviation == pytest.approx(by)
    assert by == 0 or again.worst == "x"


def test_a_net_that_training_took_elsewhere_is_another_net(stored, tmp_path):
    DRIFT.update(by=0.4, loss=0.6)
    again = verify(stored, {"toy": toy}, Store(tmp_path / "again", fresh=True))
    assert (again.outcome, again.worst) == ("another net", "loss 0.6, stored 0.5")


@pytest.mark.parametrize(
    ("weights", "outcome"), [("0f", "differs"), ("another", "another net"), (None, "differs")]
)
def test_a_loss_may_agree_by_chance_where_the_weights_do_not(stored, tmp_path, weights, outcome):
    """Records of before weights were kept have the loss alone."""

    @measure(version=1)
    def of_weights(task, *, size: int = 3):
        task.weights["0"] = "0f"
        return toy.function(task, size=size)

    DRIFT["by"] = 0.4
    kept = {"weights": {"0": weights}} if weights else {}
    old = replace(stored, meta={k: v for k, v in stored.meta.items() if k != "weights"} | kept)
    again = verify(old, {"toy": of_weights}, Store(tmp_path / "again", fresh=True))
    assert again.outcome == outcome
    assert again.worst == ("x" if outcome == "differs" else "other weights, x by 4.0e-01")


def test_spectra_are_compared_as_measures_and_residuals_not_at_all():
    def record(nodes, residual):
        spectrum = SpectralMeasure(
            np.array([nodes]), np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]]), 2
        )
        arrays = {f"h_{name}": value for name, value in spectrum.to_arrays().items()}
        return Record(arrays | {"h_residuals": np.array([residual]), "top": np.array([4.0])}, {})

    found = deviations(record([0.0, 4.0], 1e-9), record([0.0, 4.08], 1e-3))
    assert found == {"h_spectrum": pytest.approx(0.01), "top": 0.0}  # half the mass by 0.08, over 4
    assert deviations(record([0.0, 4.0], 0), Record({}, {})) == {
        "h_spectrum": np.inf,
        "top": np.inf,
    }


def test_what_cannot_be_measured_here_says_why(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("HSPEC_DATA", str(tmp_path))
    store = Store(tmp_path / "again", fresh=True)
    old = verify(stored, {"toy": Measure(toy.function, 2)}, store)
    assert (old.outcome, old.worst) == ("skipped", "it is of version 1 of the measure")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dataset": "CIFAR9"}, "unknown data set"),
        ({"model": "resnet32", "norm": "batch"}, "resnet32 is another net today"),
    ],
)
def test_what_is_no_more_is_skipped_and_told(stored, tmp_path, change, why):
    old = replace(stored, meta=stored.meta | {"setting": stored.meta["setting"] | change})
    result = verify(old, {"toy": toy}, Store(tmp_path / "again", fresh=True))
    assert result.outcome == "skipped" and why in result.worst


def test_the_minutes_are_kept(stored):
    slow = replace(stored, meta=stored.meta | {"seconds": 600.0})
    results = list(verify_all([slow, stored], {"toy": toy}, minutes=1))
    assert [r.outcome for r in results] == ["repeated", "skipped"]


def test_the_training_of_a_large_net_counts_where_its_record_was_quick():
    of = Setting("CIFAR10", "vgg11", 1.0, per_class=13, recipe=Recipe(epochs=350))
    meta = Experiment(toy, of).configuration | {"seconds": 133.0}
    quick = Record({"num_parameters": np.array(28_157_706), "num_classes": np.array(10)}, meta)
    assert seconds_anew(quick) == pytest.approx(133 + 5e-10 * 350 * 130 * 28_157_706)
    given = meta | Experiment(toy, replace(of, recipe=Recipe(epochs=0))).configuration
    assert seconds_anew(Record(quick.arrays, given)) == 133


def test_the_command_reports_and_fails_where_a_result_differs(stored, store, monkeypatch, capsys):
    monkeypatch.setattr(command, "MEASURES", {"toy": toy})
    monkeypatch.setattr(command, "Store", lambda: Store(store.root, store.root))
    assert cli.main(["verify", "toy"]) == 0
    assert "repeated to the last bit" in capsys.readouterr().out
    DRIFT["by"] = 0.5
    assert cli.main(["verify", "toy"]) == 1
    told = capsys.readouterr()
    assert "DIFFERS: x by 5.0e-01" in told.out and "1 results are not what is stored" in told.err
    report = json.loads((store.root / "verified.json").read_text())
    assert [outcome for outcome, *_ in report["records"].values()] == ["differs"]
    assert cli.main(["verify", "nosuch"]) == 1
    assert cli.main(["verify", "--minutes", "0"]) == 1
