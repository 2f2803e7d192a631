"""The law of the bulk: matrices of known law, and both outcomes of every verdict."""

import numpy as np
import pytest

from hspec.chapters.power_law.figures import (
    every_net,
    half_table,
    law_fit_table,
    law_fits,
    log_spectra,
)
from hspec.chapters.power_law.measure import known_law, log_spectrum
from hspec.chapters.power_law.verdict import across_scales, branch_fits, verdict_power_law
from hspec.curvature import residual
from hspec.experiments import Recipe, Setting, Store
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.fits import floors
from hspec.experiments.records import Record
from hspec.linalg import SpectralMeasure

HOLDS, FAILS, INCONCLUSIVE = OUTCOMES
SETTING = Setting(
    model="mlp:5",
    width=1.0,
    image_size=8,
    per_class=4,
    test_per_class=2,
    recipe=Recipe(epochs=15, batch_size=10),
)


def test_known_laws_are_what_they_say(task):
    options = {"dimension": 300, "num_steps": 300, "num_probes": 1}
    circle = known_law(task("circle"), law="semicircle", **options)["h_nodes"]
    assert 0.9 < np.nanmax(circle) < 1.1
    law = np.sort(
        np.abs(known_law(task("power"), law="power law", exponent=2.0, **options)["h_nodes"][0])
    )
    counts = [(law > t).sum() for t in (0.01, 0.1)]  # share above t: (1/t − 1)/(1/lowest − 1)
    assert counts == pytest.approx([300 * (1 / t - 1) / 999 for t in (0.01, 0.1)], abs=1)
    with pytest.raises(ValueError, match="unknown law 'circle'"):
        known_law(task("none"), law="circle")


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


def law_record(size, law="", probes=2):
    nodes = np.sort(np.concatenate([size, -size]))[None] * np.array([[1.0], [1.0001]])[:probes]
    weights = np.full(nodes.shape, 1 / nodes.shape[1])
    measure = SpectralMeasure(nodes, weights, weights, nodes.shape[1])
    arrays = {"h_" + name: value for name, value in measure.to_arrays().items()}
    return Record(arrays, {"options": {"law": law}, "setting": None})


def quantiles(exponent, lowest=1e-3):
    u = (np.arange(500) + 0.5) / 500
    return (lowest ** (1 - exponent) + u * (1 - lowest ** (1 - exponent))) ** (1 / (1 - exponent))


def test_a_power_law_holds_and_a_semicircle_does_not():
    t = np.linspace(0, 1, 5001)
    u = (np.arange(500) + 0.5) / 500
    circle = np.interp(u, 2 / np.pi * (t * np.sqrt(1 - t**2) + np.arcsin(t)), t)
    right, wrong = law_record(quantiles(2.0), "power law"), law_record(circle, "semicircle")
    assert outcomes(verdict_power_law(right, [right, wrong])) == [HOLDS] * 4
    found = verdict_power_law(wrong, [])
    assert [found[0].outcome, found[2].outcome] == [FAILS] * 2


def test_a_control_that_is_taken_for_the_other_law_leaves_everything_open():
    mistaken = law_record(quantiles(2.0), "semicircle")
    found = verdict_power_law(law_record(quantiles(2.0), "power law"), [mistaken])
    assert outcomes(found)[0::2] == [INCONCLUSIVE] * 2
    assert "control" in found[0].margin


def test_probes_that_disagree_decide_nothing():
    """One probe sees a power law, the other a uniform density,
    which is a semicircle of large radius.
    """
    size = np.stack([quantiles(2.0, 0.05), np.linspace(0.05, 1, 500)])
    nodes = np.concatenate([-size[:, ::-1], size], axis=1)
    weights = np.full(nodes.shape, 1 / nodes.shape[1])
    arrays = SpectralMeasure(nodes, weights, weights, 1000).to_arrays()
    record = Record({"h_" + k: v for k, v in arrays.items()}, {"options": {}, "setting": None})
    assert outcomes(verdict_power_law(record, []))[0::2] == [INCONCLUSIVE] * 2


def test_log_spectrum_measures_the_residual(task, risk, eigenvalues):
    found = log_spectrum(task("log"), num_steps=40, num_probes=1)
    h = eigenvalues(residual(risk))
    assert np.nanmax(found["h_nodes"]) == pytest.approx(h[0], rel=1e-3)
    assert np.nanmin(found["h_nodes"]) == pytest.approx(h[-1], rel=1e-3)


def test_nets_stand_beside_one_another_with_their_exponents():
    records = Store().published_records(log_spectrum)
    rows = every_net(records, [])
    assert len(rows) == len(records)
    told = across_scales([records[0], records[0]])
    power = branch_fits(records[0])["positive"]["power law"]
    assert told.count(f"{power.distance:.3f} and ") == 2
    assert told.count(f"$a = {power.parameter:.2f}$ over ") == 2
    assert across_scales(records[:1]) == ""


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def test_log_spectra_draw_nothing_below_the_floors(measured, drawn):
    found = measured(known_law, None, law="semicircle", dimension=300, num_steps=60)
    axis = drawn(log_spectra([found])).axes[0]
    shown = lines(axis)
    drawn_floors = {name: line for name, line in shown.items() if str(name).startswith("floor: ")}
    highest = max(line.get_xdata()[0] for line in drawn_floors.values())
    curves = [line for name, line in shown.items() if name not in drawn_floors]
    left = [line.get_xdata().min() for line in curves if line.get_xdata().size > 2]
    assert len(left) == 4  # both branches and both laws
    assert min(left) >= highest * (1 - 1e-12)
    measure = found.spectrum("h_")
    own = [max(floors(measure, sign).values()) for sign in (-1, 1)]
    assert highest == max(own) > min(own)
    assert all(line.get_xdata()[0] > axis.get_xlim()[0] for line in drawn_floors.values())


def test_law_fits_and_their_numbers(measured, drawn):
    laws = [
        measured(known_law, None, law=law, dimension=300, num_steps=60)
        for law in ("semicircle", "power law")
    ]
    assert len(drawn(law_fits(laws)).axes) == 4
    numbers = law_fit_table(laws)
    assert list(numbers["law"]) == ["power law", "semicircle"] * 4
    distance = numbers["KS distance"].astype(float)
    assert (distance[numbers["spectrum"].eq("control: " + numbers["law"])] < 0.1).all()
    assert len(half_table(laws)) == 4
