"""spectrum: eigenvalues, measures and traces are those of the dense matrices; kept, loaded,
resumed, refused.
"""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

import hspec
from hspec.curvature import A1, Risk, class_means
from hspec.linalg import SpectralMeasure, wasserstein
from hspec.yours import Spectrum, load_spectrum, plan, spectrum, spectrum_of
from hspec.yours.class_structure import OVER_COUNT


@pytest.fixture(scope="module")
def found(net, batches):
    """By quadrature: p = 345 is more than steps · probes."""
    return spectrum(net, batches, top=4, steps=40, probes=4, tol=1e-6)


def test_it_is_quadrature_with_the_top_pairs_put_back(found, dense):
    for name, one in found.matrices.items():
        assert not one.is_exact
        assert np.allclose(one.values, dense[name][::-1][:4], rtol=1e-8)
        assert (one.residuals <= 1e-6 * one.values).all()
        assert one.measure.dimension == len(dense[name])
        exact = SpectralMeasure.from_eigenvalues(dense[name])
        width = dense[name][-1] - dense[name][0]
        assert wasserstein(one.measure, exact) < width / np.sqrt(4 * len(dense[name]))


def test_traces_and_shares_are_within_their_errors(found, dense):
    for name, one in found.matrices.items():
        value, error = one.trace
        assert abs(value - dense[name].sum()) < 4 * error
        floor = 1e-5 * np.abs(dense[name]).max()
        share, low, high = one.negative_share
        assert low <= (dense[name] < -floor).mean() <= high and low <= share <= high
    assert found["G"].negative_share[0] == 0  # rounding below zero does not count


def test_small_matrices_are_computed_whole(net, batches, dense):
    exact = spectrum(net, batches, matrices="Hess", top=3)["Hess"]
    assert exact.is_exact and exact.products == 345
    assert np.allclose(exact.measure.nodes[0], dense["Hess"], atol=1e-12)
    assert exact.negative_share == 3 * (
        pytest.approx((dense["Hess"] < -1e-5 * dense["Hess"][-1]).mean()),
    )
    assert exact.trace == (pytest.approx(dense["Hess"].sum()), 0.0)
    assert (exact.residuals < 1e-10).all()


def test_class_structure_where_there_is_one(found, net, batches):
    means = class_means(Risk.from_module(net, batches))
    assert np.allclose(found.class_values["A1"], A1(means).eigenvalues())
    y = torch.randn(30, 3, dtype=torch.float64)
    pairs = [(x, t) for (x, _), t in zip(batches, y.split(12), strict=True)]
    assert spectrum(net, pairs, loss=nn.MSELoss(), matrices="G", top=2).class_values == {}


def test_the_module_and_the_global_generator_are_left_alone(net, batches):
    before = {name: t.clone() for name, t in net.state_dict().items()}
    state = torch.get_rng_state()
    spectrum(net, batches, matrices="G", top=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())


def test_the_same_seed_gives_the_same_numbers(net, batches, found):
    again = spectrum(net, batches, matrices="G", top=4, steps=40, probes=4, tol=1e-6)
    assert np.array_equal(again["G"].measure.nodes, found["G"].measure.nodes)
    other = spectrum(net, batches, matrices="G", top=4, steps=40, probes=4, tol=1e-6, seed=1)
    assert not np.array_equal(again["G"].measure.nodes, other["G"].measure.nodes)


def test_tables_name_every_number(found):
    summary, values = found.table(), found.eigenvalues()
    assert [row[0] for row in summary.rows] == ["Hess", "G", "H"]
    assert all(len(row) == len(summary.headers) for row in summary.rows)
    assert sum(row[0] == "Hess" for row in values.rows) == 4
    assert "<table " in summary._repr_html_() and str(summary).splitlines()[0].startswith("matrix")


@pytest.fixture(scope="module")
def saved(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("yours") / "out"
    found.save(folder)
    return folder


def test_saved_and_loaded(found, saved, tmp_path):
    names = {path.name for path in saved.iterdir()}
    assert names == {
        "spectrum.png", "spectrum.svg", "summary.csv", "eigenvalues.csv", "record.json",
        "measures.npz", "index.html"
    }  # fmt: skip
    loaded = load_spectrum(saved)
    assert isinstance(loaded, Spectrum) and loaded["Hess"].vectors is None
    for name, one in found.matrices.items():
        assert np.array_equal(loaded[name].measure.nodes, one.measure.nodes, equal_nan=True)
        assert np.array_equal(loaded[name].values, one.values)
        assert loaded[name].trace == one.trace
    assert str(loaded.table()) == str(found.table())
    with pytest.raises(FileNotFoundError, match=r"holds no spectrum: record\.json is missing"):
        load_spectrum(tmp_path)


def test_the_page_loads_nothing_from_elsewhere(found, saved):
    text = (saved / "index.html").read_text(encoding="utf-8")
    addresses = re.findall(
        r"(?:src|srcset|href)\s*=\s*[\"']([^\"'#][^\"']*)|@import|url\(([^#)][^)]*)\)", text
    )
    loaded = [part for pair in addresses for part in pair if part]
    assert all(part.startswith("data:image/svg+xml") for part in loaded) and "<script" not in text
    assert len(loaded) == 2 and "<picture>" in text  # panels beside and below each other
    assert f"{found['Hess'].values[0]:.4g}" in text
    json.loads((saved / "record.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("scale", ["linear", "log", "counts"])
def test_drawn_with_bands(found, scale):
    axes = found.plot(scale)
    labels = [text.get_text().split(" ")[0] for text in axes.get_legend().get_texts()]
    assert labels[:3] == ["Hess", "G", "H"]
    assert len(axes.collections) >= 3


class Killed(Exception):
    pass


def test_it_goes_on_where_it_was_killed(net, batches, found, tmp_path, monkeypatch):
    def kill(stage, done, total):
        if stage == "Hess: quadrature" and done >= 80:
            raise Killed

    options = {
        "top": 4,
        "steps": 40,
        "probes": 4,
        "tol": 1e-6,
        "matrices": "Hess",
        "checkpoint": tmp_path,
    }
    with pytest.raises(Killed):
        spectrum(net, batches, progress=kill, **options)
    again = spectrum(net, batches, **options)
    assert np.array_equal(again["Hess"].measure.nodes, found["Hess"].measure.nodes)

    product, calls = hspec.curvature.hessian(Risk.from_module(net, batches))._matmat.__func__, []
    owner = next(
        c
        for c in type(hspec.curvature.hessian(Risk.from_module(net, batches))).__mro__
        if "_matmat" in vars(c)
    )
    monkeypatch.setattr(
        owner, "_matmat", lambda self, X: calls.append(X.shape[1]) or product(self, X)
    )
    spectrum(net, batches, **options)
    assert (
        sum(calls) < 40
    )  # all of it is there: what is left is the forecast, a check, and the last few


def test_another_nets_checkpoint_is_never_taken(net, batches, tmp_path):
    options = {"top": 2, "steps": 20, "probes": 2, "matrices": "G", "checkpoint": tmp_path}
    spectrum(net, batches, **options)
    moved = [(x + 1, y) for x, y in batches]
    ours, fresh = (spectrum(net, moved, **options | {"checkpoint": c}) for c in (tmp_path, None))
    assert np.array_equal(ours["G"].measure.nodes, fresh["G"].measure.nodes)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_forecast_comes_first_and_counts_the_products(net, batches, found):
    heard = []
    spectrum(net, batches, matrices="G", top=4, steps=40, probes=4, on_plan=heard.append)
    (plan_,) = heard
    assert plan_.num_parameters == 345 and plan_.fits and not plan_.advice
    assert 0.4 < plan_.products["G"] / found["G"].products < 2.5
    assert "3 of 3 graphs kept" in str(plan_)


def test_the_forecast_counts_the_class_structure(net, batches):
    """Its products with G, and its vectors: the largest of A1's C and B1's C (C − 1)."""
    risk = Risk.from_module(net, batches)
    C, p = risk.num_classes, risk.num_parameters
    forecast = plan(risk, matrices="G", top=2)
    gradients = 1 + (C - 1)  # of the whole sample: one vector a class for A1, C − 1 for B1
    expected = OVER_COUNT * (2 + 2 * gradients) / 4 * forecast.seconds_per_product["G"]
    assert forecast.class_seconds == pytest.approx(expected)
    assert forecast.seconds > forecast.class_seconds
    assert forecast.class_bytes == C * (C - 1) * p * risk.dtype.itemsize
    assert "class structure" in str(forecast) and "class means" in str(forecast)
    targets = [(x, torch.zeros(len(x), C).to(risk.dtype)) for x, _ in batches]
    none = plan(Risk.from_module(net, targets, loss=nn.MSELoss()), top=2)
    assert (none.class_seconds, none.class_bytes) == (0.0, 0)
    assert "class" not in str(none)


def test_what_does_not_fit_is_refused_with_what_to_lower(net, batches, monkeypatch):
    monkeypatch.setattr("hspec.curvature.cost.free_memory", lambda device: 300_000)
    risk = Risk.from_module(net, batches)
    forecast = plan(risk, top=4, steps=100, probes=3)
    assert not forecast.fits
    with pytest.raises(
        MemoryError, match=r"room for \d+ vectors .* Lower steps to \d+ and top to \d"
    ):
        spectrum_of(risk, top=4, steps=100, probes=3)


def test_graphs_that_do_not_fit_are_said(net, batches):
    risk = Risk.from_module(net, batches, memory_budget=0)
    assert "3 of 3 graphs are built anew" in str(plan(risk, matrices="G"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"matrices": ("Hess", "F")}, "choose among Hess, G, H"),
        ({"matrices": ()}, "at least one"),
        ({"probes": 1}, "probes is a whole number of at least 2"),
        ({"steps": 0}, "steps is a whole number"),
        ({"tol": 0}, "tol must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(net, batches, options, message):
    with pytest.raises(ValueError, match=message):
        spectrum(net, batches, **options)
    with pytest.raises(TypeError, match="progress is True, False or a function"):
        spectrum(net, batches, progress="yes")


def test_the_names_are_offered_at_the_top():
    assert hspec.spectrum is spectrum and hspec.plan is plan
    assert {"spectrum", "plan", "plot", "Tracker"} <= set(dir(hspec))
