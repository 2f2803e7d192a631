"""Layers of a tiny perceptron: numbers against dense matrices,
and every outcome of the verdict."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hspec.chapters.kronecker.figures import (
    approximation_table,
    layer_spectra,
    misses_by_layer,
    trace_table,
)
from hspec.chapters.kronecker.measure import APPROXIMATIONS, layer_curvature
from hspec.chapters.kronecker.verdict import across_scales, findings, misses, verdict_kronecker
from hspec.curvature import class_means, layer_data, layer_gauss_newton
from hspec.experiments import Recipe, Record, Setting
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.task import Task
from hspec.keys import canonical
from hspec.linalg import subspace_cosines

HOLDS, FAILS, OPEN = OUTCOMES
SETTING = Setting(
    model="mlp:5x2",
    width=1.0,
    norm="batch",
    image_size=4,
    per_class=4,
    test_per_class=2,
    recipe=Recipe(epochs=4, batch_size=10),
)


@pytest.fixture(scope="module")
def record(measured):
    return measured(layer_curvature, num_steps=10, num_probes=1)


@pytest.fixture(scope="module")
def layers(risk):
    return layer_data(risk)


def test_numbers_are_those_of_the_dense_matrices(record, layers):
    assert list(record["layers"]) == list(layers)
    for place, data in enumerate(layers.values()):
        G = layer_gauss_newton(data).to_dense()
        values, vectors = torch.linalg.eigh(G)
        np.testing.assert_allclose(record["top"][place, 0], values.flip(0)[:10], rtol=2e-3)
        for column, make in enumerate(APPROXIMATIONS.values()):
            A = make(data).to_dense()
            error = float((A - G).norm() / G.norm())
            assert record["frobenius"][place, column] == pytest.approx(error, abs=1e-4)
            assert record["trace"][place, column] == pytest.approx(
                float(A.trace() / G.trace()), 1e-4
            )
            near, spaces = torch.linalg.eigh(A)
            np.testing.assert_allclose(
                record["top"][place, column + 1], near.flip(0)[:10], rtol=2e-3
            )
            if (
                near.flip(0)[9] > 1.1 * near.flip(0)[10]
                and values.flip(0)[9] > 1.1 * values.flip(0)[10]
            ):
                cosines = subspace_cosines(vectors[:, -10:], spaces[:, -10:])
                assert record["overlap"][place, column] == pytest.approx(
                    np.mean(cosines**2), abs=2e-3
                )


def test_a_wide_layer_of_few_examples_has_the_numbers_of_its_dense_matrices(measured, store):
    """It is measured in 10 coordinates of 16 features; its spectra are those of all weights."""
    setting = replace(SETTING, model="mlp:30", norm="none", per_class=1)
    wide = measured(layer_curvature, setting, num_steps=6, num_probes=1)
    risk = Task(setting, store, "wide", progress=False).risk(dtype=torch.float64)
    for place, data in enumerate(layer_data(risk).values()):
        assert len(data.features) == 10 < data.weight.shape[1]
        assert list(wide["sizes"][place]) == list(data.weight.shape)
        G, A = (make(data).to_dense() for make in (layer_gauss_newton, APPROXIMATIONS["cfac"]))
        for row, matrix in ((0, G), (3, A)):
            exact = torch.linalg.eigvalsh(matrix).flip(0)[:10]
            np.testing.assert_allclose(wide["top"][place, row], exact, rtol=2e-3)
        error = float((A - G).norm() / G.norm())
        assert wide["frobenius"][place, 2] == pytest.approx(error, abs=1e-4)
        spectrum = wide.spectrum(f"l{place}_g_")
        assert spectrum.dimension == data.weight.numel()
        assert np.nanmax(spectrum.nodes) == pytest.approx(float(wide["top"][place, 0, 0]), rel=0.2)


def test_class_products_are_held_against_the_class_means(record, risk, layers):
    g = class_means(risk).class_vectors
    for place, (name, data) in enumerate(layers.items()):
        mine = g[:, risk.parameter_slices[f"{name}.weight"]].view(10, *data.weight.shape)
        for c in range(10):
            here = risk.labels == c
            p = risk.logits()[here].softmax(1)
            a = p / p[:, [k for k in range(10) if k != c]].sum()
            a[:, c] = 0
            epsilon = torch.einsum("nc,nco->o", a, data.errors[here, :, 0])
            h = data.features[here, 0]
            for key, of_h in (("products", h.mean(0)), ("weighted_products", a.sum(1) @ h)):
                off = (torch.outer(epsilon, of_h) - mine[c]).norm() / mine[c].norm()
                assert record[key][place, c] == pytest.approx(float(off), abs=1e-4)


def test_a_net_with_convolutions_is_refused_before_it_is_trained(measured, store):
    setting = replace(SETTING, model="vgg11", image_size=32)
    with pytest.raises(ValueError, match=r"vgg11 has convolutions, .* take a perceptron"):
        measured(layer_curvature, setting)
    assert not (store.root / "training" / setting.training_key).exists()


def made(kfac, cfac):
    """A record of four layers with these errors in all three measures."""
    columns = np.array([kfac, kfac, cfac, cfac])
    top = np.exp(np.concatenate([[0], columns]))[None, :, None] * np.ones((4, 1, 3))
    frobenius = np.tile(columns, (4, 1))
    return Record({"top": top, "frobenius": frobenius, "overlap": 1 - frobenius}, {})


def test_measures_of_error_and_every_outcome():
    for values in misses(made(0.6, 0.1)).values():
        np.testing.assert_allclose(values, np.tile([0.6, 0.6, 0.1, 0.1], (4, 1)))
    outcomes = [
        [verdict.outcome for verdict in verdict_kronecker(made(*errors))]
        for errors in ((0.6, 0.1), (0.6, 0.7), (0.1, 0.01), (0.6, 0.25))
    ]
    assert outcomes == [[HOLDS] * 3, [FAILS] * 3, [FAILS] * 3, [OPEN] * 3]


def test_what_cfac_leaves_goes_with_what_its_premise_misses():
    def net(width, off, frobenius):
        setting = replace(SETTING, model=f"mlp:{width}x2")
        arrays = {"products": np.tile(off, (3, 1)).T, "weighted_products": np.tile(off, (3, 1)).T}
        arrays |= {"frobenius": np.stack([np.ones(3), np.ones(3), frobenius, frobenius], 1)}
        return Record(arrays, {"setting": canonical(setting)})

    off = np.array([0.5, 0.3, 0.1])
    told = across_scales([net(64, off, off), net(8, off / 2, off / 2)])
    assert "by 30% in MLP of two layers of 64 (digits), where it leaves 30%" in told
    assert (
        "ρ of the two is 1.00 in MLP of two layers of 64 (digits), 1.00 in MLP of two layers of 8 "
        "(digits); but" in told
    )
    assert "leaves more there in 3 of 3 layers" in told
    assert told.endswith("it fails where its premise does.")
    other = across_scales([net(64, off, off), net(8, off / 2, 1 - off)])
    assert other.endswith("the reason is not found.")
    # ranks over the layers of each net alone, which depth may have made, are no reason
    depth = across_scales([net(64, off, off), net(8, off / 2, 1.5 * off)])
    assert "1.00 in MLP of two layers of 8 (digits); but" in depth and "in 0 of 3 layers" in depth
    assert depth.endswith("the reason is not found.")
    assert across_scales([net(64, off, off)]) == ""


def test_figures_and_tables(record):
    assert len(layer_spectra(record).axes) == 3
    misses = misses_by_layer(record).axes
    assert [len(axis.lines) for axis in misses] == [4, 4, 4]
    assert all(tick == round(tick) for tick in misses[0].get_xticks())
    assert len(findings(record)) == 2
    assert len(approximation_table(record)) == len(trace_table(record)) == 3
