"""Centred versions of G against dense matrices of a tiny net,
and both outcomes of every verdict.
"""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from hspec.chapters.second_moment.figures import centred_spectra, centred_table, top_eigenvalues
from hspec.chapters.second_moment.measure import (
    LEVELS,
    centring,
    global_mean,
    second_moment,
    weighted_mean,
)
from hspec.chapters.second_moment.verdict import findings, verdict_second_moment
from hspec.curvature import delta_means, gauss_newton
from hspec.experiments import Recipe, Setting
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.records import Record

HOLDS, FAILS, INCONCLUSIVE = OUTCOMES
SETTING = Setting(
    model="mlp:5",
    width=1.0,
    image_size=8,
    classes=4,
    per_class=4,
    test_per_class=2,
    recipe=Recipe(epochs=10, batch_size=8),
)


@pytest.fixture(scope="module")
def record(measured):
    return measured(second_moment, num_steps=40)


@pytest.fixture(scope="module")
def deltas(risk):
    """δ_{n,c'} (N, C, p) from the definition, by one backward sweep each."""
    model, rows = risk.network.module, []
    parameters = [q for q in model.parameters() if q.requires_grad]
    for batch in risk.data:
        logits, x = model(batch.content[0]), batch.content[0]
        p = logits.softmax(1).detach()
        for n in range(len(x)):
            for c in range(risk.num_classes):
                cotangent = torch.zeros_like(logits)
                cotangent[n] = -p[n]
                cotangent[n, c] += 1
                g = torch.autograd.grad(logits, parameters, cotangent, retain_graph=True)
                rows.append(p[n, c].sqrt() * torch.cat([part.flatten() for part in g]))
    return torch.stack(rows).view(-1, risk.num_classes, len(rows[0]))


def covariance(rows):
    """Σ (row − mean)(row − mean)ᵀ of rows (k, p)."""
    centred = rows - rows.mean(0)
    return centred.T @ centred


def dense_centred(deltas, labels, level):
    N, C, p = deltas.shape
    if level == "global":
        return covariance(deltas.reshape(-1, p)) / N
    total = torch.zeros(p, p, dtype=deltas.dtype)
    for c in range(C):
        of_class = deltas[labels == c]
        others = [k for k in range(C) if k != c]
        groups = [of_class[:, [k]] for k in range(C)]
        if level == "class":
            groups = [of_class[:, [c]], of_class[:, others]]
        total += sum(covariance(group.reshape(-1, p)) for group in groups)
    return total / N


@pytest.mark.parametrize("level", LEVELS)
def test_centred_matrices_are_covariances_by_their_definition(deltas, risk, level):
    G, means = gauss_newton(risk), delta_means(risk)
    np.testing.assert_allclose(
        (deltas.flatten(0, 1).T @ deltas.flatten(0, 1) / len(deltas)).numpy(),
        G.to_dense().numpy(),
        atol=1e-12,
    )
    found = centring(G, means, level, global_mean(means))
    expected = dense_centred(deltas, risk.labels, level).numpy()
    np.testing.assert_allclose(found.subtracted.to_dense().numpy(), expected, atol=1e-12)
    directions = {
        "global": deltas.mean((0, 1))[None],
        "cross": torch.stack([deltas[risk.labels == c].mean(0) for c in range(4)]).flatten(0, 1),
    }.get(level)
    if directions is not None:
        left = (found.projected @ directions.T).abs().max()
        assert float(left) < 1e-12


def test_the_mean_under_the_models_own_labels_is_zero(risk):
    assert weighted_mean(risk) < 1e-14


def test_no_covariance_exceeds_the_second_moment(record):
    """By Weyl's inequality, and for random groups too."""
    names = [
        name for name in record.arrays if name.endswith(("subtracted_nodes", "projected_nodes"))
    ]
    assert len(names) == 2 * (len(LEVELS) + 1)
    for name in names:
        assert np.nanmax(record[name]) <= record["g_top"][0] * (1 + 1e-3)


def made(largest):
    arrays = {
        "g_top": np.array([9.0, 4.0, 1.0, 0.6]),
        "num_classes": np.array(3),
        "weighted_mean": np.array(1e-8),
    }
    for level in (*LEVELS, "shuffled"):
        for way in ("subtracted", "projected"):
            arrays[f"{level}_{way}_nodes"] = np.array([[0.0, 0.1, 0.2, largest]])
    return Record(arrays, {})


@pytest.mark.parametrize(("largest", "outcome"), [(0.5, HOLDS), (0.9, INCONCLUSIVE), (3.0, FAILS)])
def test_verdict(largest, outcome):
    assert [verdict.outcome for verdict in verdict_second_moment(made(largest))] == [outcome] * 4
    assert len(findings(made(largest))) == 4


def test_figures_and_table(record):
    for figure in (centred_spectra(record), top_eigenvalues(record)):
        figure.canvas.draw()
    lines = {line.get_label(): line for line in top_eigenvalues(record).axes[0].get_lines()}
    names = ("G about one mean", "about random groups' means")
    one, control = (to_rgb(lines[name].get_color()) for name in names)
    assert max(one) - min(one) < 0.1 < max(control) - min(control)  # greys change in the dark
    assert len(centred_table(record)) == 2 * (len(LEVELS) + 1)
    assert len(findings(record)) == 4
