"""Layers of a tiny perceptron: knock-outs against dense matrices, every outcome of verdicts."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hspec.chapters.class_structure_everywhere.figures import (
    depth_table,
    left_by_layer,
    left_table,
    mean_table,
    scales_table,
    spectra_before_and_after,
    with_depth,
)
from hspec.chapters.class_structure_everywhere.measure import (
    cross_beyond_chance,
    cross_trace,
    depth_numbers,
    drawn,
    kept_ranks,
    layer_structure,
    moment_eigenvalues,
    shuffled_wrong_labels,
)
from hspec.chapters.class_structure_everywhere.verdict import (
    across_scales,
    findings,
    left_over,
    verdict_cross_classes,
    verdict_depth,
    verdict_structure,
)
from hspec.curvature import A1, B1, B2, LayerData, Risk, class_means, gauss_newton, layer_data
from hspec.curvature.classes.levels import WEIGHTINGS, Levels
from hspec.curvature.layer_gradients import (
    InnerProducts,
    gradient_knock_outs,
    outside_of,
)
from hspec.curvature.layers import (
    error_moment,
    error_part,
    feature_means,
    feature_moment,
    feature_part,
)
from hspec.experiments import Recipe, Record, Setting
from hspec.experiments.claims import OUTCOMES
from hspec.experiments.one_thing import named_by, one_thing_apart, updates_of, width_of
from hspec.keys import canonical

HOLDS, FAILS, OPEN = OUTCOMES
SETTING = Setting(
    model="mlp:13x2",
    width=1.0,
    norm="batch",
    image_size=4,
    per_class=4,
    test_per_class=2,
    recipe=Recipe(epochs=4, batch_size=10),
)


@pytest.fixture(scope="module")
def record(measured):
    return measured(layer_structure, gradient_per_class=2)


@pytest.fixture(scope="module")
def layers(risk):
    return layer_data(risk)


def largest_first(matrix):
    return torch.linalg.eigvalsh(matrix).flip(0).numpy()


def without(matrix, vectors):
    """(I − P) M (I − P), P the projection on the span of the columns, by a pseudo-inverse."""
    P = vectors @ torch.linalg.pinv(vectors)
    rest = torch.eye(len(matrix), dtype=matrix.dtype) - P
    return rest @ matrix @ rest


def test_features_and_errors_are_those_of_the_dense_matrices(record, layers, task):
    start = task("start").new_model().state_dict()
    for place, (layer, data) in enumerate(layers.items()):
        H, D = feature_moment(data), error_moment(data)
        h = feature_means(data).T
        expected = {
            "features_all": H,
            "features_subtracted": feature_part(data, "within"),
            "features_projected": without(H, h),
            "errors_all": D,
            "errors_subtracted": D - error_part(data, "class"),
            "errors_within": error_part(data, "within"),
            "errors_cross": error_part(data, "cross"),
        }
        for name, matrix in expected.items():
            found = record[f"l{place}_{name}"]
            exact = largest_first(matrix)[: len(found)]
            np.testing.assert_allclose(
                found, exact, atol=1e-5 * largest_first(H if name[0] == "f" else D)[0]
            )
        mean = data.features[:, 0].mean(0)[:, None]
        left = largest_first(without(H, mean))[0]
        assert record["without_global"][place] == pytest.approx(left, rel=1e-4)
        W = data.weight
        np.testing.assert_allclose(
            record[f"l{place}_weights_all"], torch.linalg.svdvals(W), rtol=1e-4
        )
        angle = torch.cosine_similarity(W.flatten(), start[f"{layer}.weight"].double().flatten(), 0)
        assert record["start_cosine"][place] == pytest.approx(float(angle), rel=1e-5) and angle < 1


def gradients_of(data):
    """The layer's gradients as a table (d, N, C), one by one."""
    return torch.einsum("nco,ni->oinc", data.errors[:, :, 0], data.features[:, 0]).flatten(0, 1)


@pytest.mark.parametrize("exact", [True, False], ids=["all", "largest"])
@pytest.mark.parametrize("name", ["1", "7"], ids=["more vectors", "more coordinates"])
def test_gradients_keep_the_spectra_of_the_layers_block(task, name, exact, monkeypatch):
    """G of the layer, G − A1, B1, B2, and G outside of the span of the g_c, from a risk of its own:
    by a dense solver, or the largest alone.
    """
    if not exact:
        monkeypatch.setattr("hspec.curvature.layer_gradients.EXACT", 1)
        monkeypatch.setattr("hspec.curvature.layer_gradients.RANKS", 6)
    own = task("own")
    options = {"per_class": 2 if name == "1" else 4, "dtype": torch.float64}
    data = layer_data(own.risk(**options), name)[name]
    found = gradient_knock_outs(data, torch.Generator().manual_seed(0))
    risk = own.risk(**options, parameters=[f"{name}.weight"])
    means, G = class_means(risk), gauss_newton(risk).to_dense()
    expected = {
        "all": G,
        "subtracted": G - A1(means).to_dense(),
        "cross": B1(means).to_dense(),
        "within": B2(risk, means).to_dense(),
        "projected": without(G, means.class_vectors.T),
    }
    for which, matrix in expected.items():
        values = largest_first(matrix)[: len(found[which])]
        size = (1e-9 if exact else 1e-4) * largest_first(G)[0]
        np.testing.assert_allclose(found[which][: len(values)], values, atol=size)
        assert which == "cross" or len(found[which]) == (10 * len(risk.labels) if exact else 6)
    assert 0 < found["random"][0] <= found["all"][0] * (1 + 1e-9)


def test_one_example_of_each_class_leaves_nothing_within(task):
    data = layer_data(task("own").risk(per_class=1, dtype=torch.float64), "4")["4"]
    found = gradient_knock_outs(data, torch.Generator().manual_seed(0))
    assert not found["within"].any() and found["projected"][0] > 0


def test_directions_are_taken_out_of_the_weights_space(task):
    """K − (Vᵀ Q)(Vᵀ Q)ᵀ has the eigenvalues of (I − QQᵀ) G (I − QQᵀ), whatever Q."""
    data = layer_data(task("own").risk(per_class=2, dtype=torch.float64), "4")["4"]
    Z = torch.randn(data.weight.numel(), 3, dtype=torch.float64)
    V = (data.error_levels.root * gradients_of(data)).flatten(1) / len(data.features) ** 0.5
    exact = largest_first(without(V @ V.T, Z))[:50]
    found = largest_first(outside_of(InnerProducts(data), data, Z).to_dense())[:50]
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-12 * exact[0])


def trace_by_definition(table, levels):
    """tr B1 of a table v (d, N, C), from its means."""
    cells = levels.means(table)
    around = cells - (levels.shares * cells).sum(-1, keepdim=True)
    weights = levels.weights.masked_fill(levels.own, 0)
    return float((weights * (around**2).sum(0)).sum()) / len(levels.index)


def test_the_trace_of_the_cross_class_part_and_its_chance(record, layers):
    """tr B1 from the definition, of errors and of gradients, whichever matrices are smaller; wrong
    labels change places within an example alone; and labels that mean nothing have the trace that
    chance gives.
    """
    generator = torch.Generator().manual_seed(0)
    for data in layers.values():
        levels, h = data.error_levels, data.features[:, 0]
        as_is = torch.arange(10).expand(len(h), -1)
        exact = float(error_part(data, "cross").trace())
        assert trace_by_definition(data.error_table, levels) == pytest.approx(exact, rel=1e-10)
        assert cross_trace(data, torch.ones_like(h[:, :1]), as_is) == pytest.approx(exact, rel=1e-9)
        exact = trace_by_definition(gradients_of(data), levels)
        assert cross_trace(data, h, as_is) == pytest.approx(exact, rel=1e-9)
        assert cross_trace(data, h[:, :2], as_is) > 0  # fewer coordinates than examples
        order = shuffled_wrong_labels(levels, generator)
        log_p = data.log_probabilities.gather(1, order)
        of = Levels.of(data.risk.labels, log_p, WEIGHTINGS["2020"])
        exact = trace_by_definition(
            data.error_table.gather(2, order.expand_as(data.error_table)), of
        )
        found = cross_trace(data, torch.ones_like(h[:, :1]), order)
        assert found == pytest.approx(exact, rel=1e-9)
    assert torch.equal(order.sort(1).values, as_is)
    true = data.risk.labels[:, None]
    assert torch.equal(order.gather(1, true), true) and not torch.equal(order, order[[0]])
    shape = (*data.errors.shape[:3], 40)
    noise = replace(data, errors=torch.randn(shape, generator=generator, dtype=torch.float64))
    ones = torch.ones(len(h), 1)
    assert cross_beyond_chance(noise, ones, generator) == pytest.approx(1, abs=0.1)
    assert (record["errors_cross"] > 1).all() and len(record["gradients_cross"]) == 3


def test_depth_numbers_of_a_simplex(layers):
    """Orthogonal means of one length: ratio 1, cosines of a simplex; traces from the parts."""
    data = next(iter(layers.values()))
    found = depth_numbers(3 * torch.eye(10, 12, dtype=torch.float64), data, "features")
    assert (found["ratio"], found["cosines"]) == pytest.approx((1.0, 0.0), abs=1e-12)
    own = depth_numbers(feature_means(data), data, "features")
    h = feature_means(data)
    between = feature_part(data, "class") - torch.outer(h.mean(0), h.mean(0))
    within = feature_part(data, "within").trace()
    assert own["class_within"] == pytest.approx(float(between.trace() / within), rel=1e-10)
    values = largest_first(feature_part(data, "class"))
    assert own["ratio"] == pytest.approx(values[1] / values[9], rel=1e-8)


def test_smaller_gram_matrix_has_the_same_eigenvalues():
    table = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    few = moment_eigenvalues(table)
    tall = moment_eigenvalues(table.flatten(1).T[:, :, None])
    np.testing.assert_allclose(few * 4 / 3, tall, rtol=1e-12)


def test_a_record_keeps_the_top_and_thins_what_no_figure_shows(record):
    """All ranks to 64, then 16 an octave; a shorter spectrum has the first of the same ranks."""
    ranks = kept_ranks(2048)
    assert list(ranks[:66]) == [*range(1, 65), 67, 70] and ranks[-1] == 2048
    assert len(ranks) == 64 + 5 * 16 and np.ptp(np.diff(np.log2(ranks[63:]))) < 0.02
    spectrum = np.arange(2048, 0, -1.0)
    np.testing.assert_array_equal(drawn(spectrum, ranks), spectrum[ranks - 1])
    np.testing.assert_array_equal(drawn(spectrum[:100], ranks), spectrum[ranks[ranks <= 100] - 1])
    assert list(kept_ranks(5)) == [1, 2, 3, 4, 5]
    for name in ("l0_gradients_all", "l1_errors_cross", "l0_weights_random"):
        assert record[name].dtype == np.float32 and len(record[name]) <= len(record["ranks"])


def test_a_net_with_convolutions_is_refused_before_it_is_trained(measured, store):
    setting = replace(SETTING, model="resnet20", image_size=8)
    with pytest.raises(ValueError, match=r"resnet20 has convolutions, .* take a perceptron"):
        measured(layer_structure, setting)
    assert not (store.root / "training" / setting.training_key).exists()


def test_positions_are_refused():
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.Flatten(), torch.nn.Linear(8, 3))
    risk = Risk.from_module(net, [(torch.ones(3, 1, 3, 3), torch.arange(3))], 3)
    with pytest.raises(ValueError, match="layer '0' has 4 positions an example: take a perceptron"):
        InnerProducts(layer_data(risk)["0"])


@pytest.mark.parametrize(
    ("N", "budget", "matrix"),
    [(4, 1e9, True), (4, 0, False), (12, 1e9, False)],
    ids=["few", "few that do not fit", "many"],
)
def test_inner_products_are_multiplied_either_way(N, budget, matrix, monkeypatch):
    """As a matrix, where that takes fewer operations and fits; else through the weights' space."""
    monkeypatch.setattr("hspec.curvature.layer_gradients.ANY_BUDGET", 0)
    generator = torch.Generator().manual_seed(0)
    logits, W, h, e = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((N, 3), (5, 4), (N, 1, 4), (N, 3, 1, 5))
    )
    risk = SimpleNamespace(memory_budget=budget, labels=torch.arange(N) % 3, logits=lambda: logits)
    K = InnerProducts(data := LayerData(risk, "1", W, h, e))
    V = (logits.softmax(1).sqrt() * gradients_of(data)).flatten(1) / N**0.5
    torch.testing.assert_close(K.to_dense(), V.T @ V)
    assert (K.matrix is not None) == matrix


def made(left, random, trend, layers=8, beyond=5.0):
    """Three classes: λ_C is 1 before, `left` and `random` after;
    depth numbers follow `trend`."""
    arrays = {"num_classes": np.array(3), "layers": np.array([str(k) for k in range(layers)])}
    for place in range(layers):
        for kind in ("features", "errors", "gradients", "weights"):
            arrays[f"l{place}_{kind}_all"] = np.array([9.0, 5.0, 1.0, 0.1])
            arrays[f"l{place}_{kind}_projected"] = np.array([left, 0.05])
            arrays[f"l{place}_{kind}_random"] = np.array([random, 0.05])
    up = 2.0 ** np.arange(layers)
    for kind in ("features", "errors"):
        arrays |= {f"{kind}_class_within": up if trend > 0 else 1 / up}
        arrays |= {f"{kind}_{key}": 1 / up if trend > 0 else up for key in ("ratio", "cosines")}
    crossed = {f"{kind}_cross": np.full(layers, beyond) for kind in ("errors", "gradients")}
    return Record(arrays | crossed | {"global_cosine": np.ones(layers)}, {})


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


def test_verdicts_have_every_outcome():
    assert outcomes(verdict_structure([made(0.3, 6, 1)])) == [HOLDS] * 4
    assert outcomes(verdict_structure([made(3.0, 6, 1)])) == [FAILS] * 4
    assert outcomes(verdict_structure([made(0.9, 6, 1)])) == [OPEN] * 4
    assert outcomes(verdict_structure([made(0.3, 1.1, 1)])) == [OPEN] * 4
    for beyond, found in ((5.0, HOLDS), (1.0, FAILS), (1.5, OPEN)):
        crossed = verdict_cross_classes([made(0.3, 6, 1, beyond=beyond)])
        assert outcomes(crossed) == [found] * 2
    assert outcomes(verdict_depth([made(0.3, 6, 1)])) == [HOLDS] * 6
    assert outcomes(verdict_depth([made(0.3, 6, -1)])) == [FAILS] * 6
    assert outcomes(verdict_depth([made(0.3, 6, 1, layers=3)])) == [OPEN] * 6


def test_a_layer_without_a_cth_value_is_left_open():
    record = made(0.3, 6, 1)
    short = Record(record.arrays | {"l0_errors_all": np.array([1.0, 0.5])}, {})
    assert np.isnan(left_over(short, "errors")[0]) and left_over(short, "features")[0] == 0.3


def trained(width, epochs, first, last, seed=0):
    """A net of SETTING's kind whose errors' cosines lie so far from a simplex at its two ends."""
    recipe = replace(SETTING.recipe, epochs=epochs, seed=seed)
    setting = replace(SETTING, model=f"mlp:{width}x2", recipe=recipe, init_seed=seed)
    of = made(0.5, 3, 1, layers=3).arrays | {
        "errors_cosines": np.array([first, 0.1, last]),
        "start_cosine": np.array([0.9, 0.7, 0.1]),
        "num_examples": np.array(40),
        "test_error": np.array(0.05),
    }
    return Record(of, {"setting": canonical(setting)})


def test_width_and_training_are_told_apart():
    """Nets in a row differ in one thing alone, seeds together, however the records come."""
    narrow = [trained(64, 4, 0.2, 0.1, seed) for seed in (0, 1)]
    wide, middle = trained(256, 4, 0.05, 0.1), trained(128, 4, 0.15, 0.1)
    long, neither = trained(64, 40, 0.25, 0.1), trained(512, 90, 0.3, 0.1)
    every = [wide, neither, narrow[1], long, middle, narrow[0]]
    widths, lengths = (one_thing_apart(every, thing) for thing in ("width", "updates"))
    assert [[width_of(r) for r in net] for net in widths] == [[64, 64], [128], [256]]
    assert [[updates_of(r) for r in net] for net in lengths] == [[16, 16], [160]]
    told = across_scales(every)
    assert "width 64, 128, 256)" in told and "is 0.200, 0.150, 0.050 in the first layer" in told
    assert "in the widest at the logits" in told and "updates 16, 160)" in told
    assert "width alone does not decide" in across_scales([wide, trained(64, 4, 0.04, 0.1)])
    assert across_scales([wide, neither]) == across_scales([wide]) == ""
    frame = scales_table(every)
    assert list(frame["updates"]) == [16, 160, 16, 16, 360]
    assert frame["weights' cosine with their start"][0] == 0.8


def test_any_net_has_a_width():
    """A factor of a net with convolutions, units of a perceptron; layers keep their proportions."""

    def widths(*nets):
        settings = (replace(SETTING, model=m, width=w, image_size=32) for m, w in nets)
        records = [Record({}, {"setting": canonical(setting)}) for setting in settings]
        return [width_of(net[0]) for net in one_thing_apart(records, "width")]

    assert widths(("vgg11", 0.25), ("resnet18", 1.0), ("vgg11", 0.125)) == [0.125, 0.25]
    assert widths(("mlp:20", 0.5), ("mlp:40", 1.0), ("mlp:40x2", 1.0)) == [10, 40]
    assert widths(("mlp:80-40", 1.0), ("mlp:80x2", 1.0), ("mlp:40-20", 1.0)) == [40, 80]
    assert named_by([[Record({}, {"setting": canonical(SETTING)})]], "width") == "digits, width 13"


def test_figures_and_tables(record):
    assert len(spectra_before_and_after(record).axes) == 8
    left = left_by_layer([record])
    assert len(left.axes) == 4 and len(left.legends[0].texts) == 4  # each line drawn has a name
    assert [len(axis.lines) for axis in with_depth([record, record]).axes] == [2] * 6
    for frame in (left_table([record]), mean_table(record), depth_table([record])):
        assert len(frame) == 3
    assert len(findings([record])) == 3
