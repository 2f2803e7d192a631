"""Captions, alternative texts, badges and findings say what the records and the curves are,
and nothing else.
"""

import doctest

import numpy as np
import pytest
from matplotlib.figure import Figure

from hspec import words
from hspec.experiments import Record, Setting, scale
from hspec.figures import best_first, in_this_run, shown, tables, telling
from hspec.figures.densities import density_line
from hspec.keys import canonical
from hspec.linalg import SpectralMeasure
from hspec.models import MODELS
from hspec.plotting import descriptions
from hspec.plotting.descriptions import described
from hspec.training import Recipe
from hspec.words import TOLD


def record(arrays=(), options=(), seconds=1.5, **setting):
    of = Setting(**{"recipe": Recipe(steps=300), "checkpoints": (100, 300)} | setting)
    numbers = {"num_parameters": 29_574, "num_examples": 100} | dict(arrays)
    meta = {
        "setting": canonical(of),
        "options": dict(options),
        "seconds": seconds,
        "measure": "toy",
    }
    return Record({name: np.asarray(value) for name, value in numbers.items()}, meta)


def test_the_examples_run():
    assert all(
        doctest.testmod(module).failed == 0 for module in (descriptions, scale, telling, words)
    )


def test_a_badge_says_how_far_a_net_is_from_the_papers():
    toy = [
        record({"step": step}, model="resnet32", width=0.25, image_size=8) for step in (100, 300)
    ]
    assert scale.badge(toy) == (
        "toy: ResNet-32 at 1/4 of the width, 29,574 of 464,154 parameters; "
        "digits, 100 of 50,000 images, 300 of 100,000 steps"
    )
    papers = record({"num_parameters": 464_154}, model="resnet32", width=1.0, dataset="CIFAR10")
    assert scale.badge([papers]).startswith(
        "the papers’ net: ResNet-32, 464,154 parameters; CIFAR10, 100 of"
    )
    narrow = record(model="vgg11", width=0.125, dataset="MNIST")
    assert scale.badge([narrow]).startswith("narrower: VGG11 at 1/8 of the width, 29,574 of 28")
    of = {"dataset": "MNIST", "recipe": Recipe(epochs=200), "checkpoints": (0,)}
    mnist = record(model="vgg11", width=1.0, **of)
    assert scale.badge([mnist]).endswith("MNIST, 100 of 50,000 images, 200 of 200 epochs")
    perceptron = record(model="mlp:2048x8", width=1.0, **of | {"recipe": Recipe(epochs=350)})
    assert scale.badge([perceptron]).endswith("350 of 350 epochs")
    other = record(model="mlp:16", width=1.0)
    assert scale.badge([other]).startswith(
        "no net of the papers: MLP with 16 hidden units, 29,574 parameters, digits"
    )


def test_every_net_has_a_name_that_a_reader_knows():
    assert {model for model in MODELS if scale.model_name(model) == model} == set()
    dense = record({"num_parameters": 1_019_434}, model="densenet40", width=1.0, dataset="MNIST")
    assert scale.badge([dense]).startswith("the papers’ net: DenseNet40, 1,019,434 parameters; ")


def test_a_net_that_does_not_fit_its_images_is_said_to():
    assert scale.misfit([record({"error_rate": 0.823})]) == ", 82% of them misclassified"
    assert scale.misfit([record({"error_rate": 0.1})]) == scale.misfit([record()]) == ""
    assert scale.misfit([record({"error_rate": rate}) for rate in (0.9, 0.4)]) == ""  # a film


def test_a_caption_tells_data_net_steps_probes_kernel_seed_and_seconds():
    seeds = [
        record(
            options={"num_steps": 40, "num_probes": 2},
            model="resnet32",
            width=0.25,
            image_size=8,
            init_seed=s,
        )
        for s in (0, 1, 2)
    ]
    figure = Figure()
    density_line(
        figure.subplots(), SpectralMeasure.from_eigenvalues([0.0, 1.0]), 0.25, "black", "Hess"
    )
    told = shown(figure, seeds)
    notes = told._repr_mimebundle_()[1][TOLD]
    assert notes["caption"] == (
        "Kernel σ = 0.25; ResNet-32 at 1/4 of the width (29,574 parameters), digits, N = 100, m = "
        "40, probes = 2, "
        "seeds 0, 1 and 2; measured in 4 s."
    )
    assert notes["alt"] == described(figure)
    assert shown(None, []) is None


def test_it_is_said_where_the_images_are_test_images():
    over = {split: record(options={"split": split}) for split in ("train", "test")}
    assert scale.short_names([over["train"]]).endswith("N = 100")
    assert scale.short_names([over["test"]]).endswith("N = 100 test images")
    assert scale.sample_size([]) == "N = "  # of a group that counts no images
    both = scale.provenance(over.values())
    assert "N = 100 training and 100 test images, seed 0" in both
    sizes = [
        record({"num_examples": n}, {"split": split})
        for n, split in ((400, "test"), (500, "train"), (300, "train"))
    ]
    assert scale.sample_size(sizes) == "N = 300 and 500 training and 400 test images"
    assert "N = 100 test images**" in tables.what_was_measured([over["test"]])


def test_a_net_without_norm_is_compared_with_the_papers_without_norm():
    plain = record({"num_parameters": 29_290}, model="resnet32", width=0.25, norm="none")
    assert "29,290 of 463,018 parameters" in scale.badge([plain])


def test_a_description_follows_the_curves():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.semilogy([1, 2, 3], [10.0, 1e-3, 100.0], label=r"$\lambda_{1}$")
    left.set(xlabel="step", ylabel="eigenvalue", title="both")
    right.imshow([[0.25, 0.5], [0.75, np.nan]])
    text = described(figure)
    assert "Panel 1: both, eigenvalue against step, 1 to 3." in text
    assert "λ_1: 10 at 1, 0.001 at 2 (smallest), 100 at 3." in text
    assert "A map of 2 by 2 values, 0.25 to 0.75." in text
    left.set_ylim(bottom=1)
    assert "1 at 2 (smallest)" in described(figure)  # what lies below the axis is not seen


def test_panels_of_a_grid_are_told_by_the_labels_at_its_edges():
    """The upper panels name no abscissa, and powers of ten on its ticks are no names."""
    figure = Figure()
    (above, _), (below, beside) = figure.subplots(2, 2)
    for axes in figure.axes:
        axes.loglog([1, 10, 100], [1.0, 0.1, 1e-6], label="G")
        axes.set_ylim(1e-3, 1)
    above.set_ylabel("eigenvalue")
    below.set(xlabel="rank k", ylabel="density")
    beside.set_xlabel("step")
    figure.draw_without_rendering()
    assert described(figure) == (
        "Panel 1: eigenvalue against rank k, 1 to 10. G: 1 at 1, 0.1 at 10. "
        "Panel 2: the same against step, 1 to 10. G: 1 at 1, 0.1 at 10. "
        "Panel 3: density against rank k, 1 to 10. G: 1 at 1, 0.1 at 10. "
        "Panel 4: the same against step, 1 to 10. G: 1 at 1, 0.1 at 10."
    )
    above.set(ylabel="", title="features")
    assert described(figure).startswith("Panel 1: features, against rank k, 1 to 10.")


def test_what_a_single_panel_does_not_name_is_not_said_to_be_the_same():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [3.0, 2.0], label="one")
    axes.set(ylabel="size", xticks=[0, 1], xticklabels=["at the drop", "later"])
    assert described(figure) == "size against at the drop, later. one: 3 at 0, 2 at 1."
    axes.set(ylabel="", xlabel="λ")
    axes.set_xticks([0, 1], ["0", "1"])
    assert described(figure).startswith("along λ, 0 to 1. one: 3 at 0")


def test_findings_are_one_to_four():
    told = in_this_run(["It is 3."], [record()])
    data, metadata = told._repr_mimebundle_()
    assert "* It is 3." in data["text/markdown"] and metadata[TOLD]["findings"] == "* It is 3."
    assert metadata[TOLD]["badges"] == [{"text": scale.badge([record()]), "papers": False}]
    assert metadata[TOLD]["heading"] == "In this run"
    for findings in ([], ["."] * 5):
        with pytest.raises(ValueError, match="1 to 4 findings"):
            in_this_run(findings, [])


def test_the_heading_says_whether_stored_runs_are_told_of():
    own, other = record(), record(model="vgg11", width=1.0, dataset="MNIST")
    own.meta["key"], other.meta["key"] = "a", "b"
    for stored, heading in (([own], telling.THIS_RUN), ([own, other], telling.WITH_STORED)):
        notes = in_this_run(["It is 3."], [own], stored).metadata[TOLD]
        assert notes["heading"] == heading
        assert len(notes["badges"]) == len(stored)


def test_of_stored_and_own_findings_the_own_ones_are_known():
    own, other = record(), record(model="vgg11", width=1.0, dataset="MNIST")
    own.meta["key"], other.meta["key"] = "a", "b"
    told = best_first(lambda one: [f"It is {one.num_examples}."], (own,), (other,))
    notes = in_this_run(told, [own], [other]).metadata[TOLD]
    assert notes["findings"].count("* ") == 2
    assert notes["findings of its own nets"].splitlines() == notes["findings"].splitlines()[1:]
    notes = in_this_run(["It is 3."], [own]).metadata[TOLD]
    assert notes["findings of its own nets"] == notes["findings"] == "* It is 3."


def test_stored_evidence_comes_first_and_names_its_net():
    def sentences(one, other=None):
        return [f"✓ **P18-1.** {k} of {one.num_examples}." for k in range(3)]

    live = record({"num_examples": 30}, model="vgg11", width=0.125)
    stored = record(model="vgg11", width=1.0, dataset="MNIST")
    live.meta["key"], stored.meta["key"] = "a", "b"
    told = best_first(sentences, (live, {"x": None}), ([stored][0], [None]))
    assert told[0] == "✓ **P18-1.** VGG11, MNIST, N = 100: 0 of 100."
    assert told[3] == "✓ **P18-1.** VGG11 at 1/8 of the width, digits, N = 30: 1 of 30."
    assert len(told) == 4
    for nothing in ((None,), (), ([],), (live,)):
        assert best_first(sentences, (live,), nothing) == sentences(live)


def test_nets_of_one_name_are_told_apart_by_what_differs():
    def sentences(one):
        return [f"It is {one.num_examples}."]

    def of(epochs, rate, seed, key, num_steps=4, data_seed=0, momentum=0.9):
        recipe = Recipe(epochs=epochs, learning_rate=rate, momentum=momentum)
        of = {"recipe": recipe, "init_seed": seed, "data_seed": data_seed}
        one = record(options={"num_steps": num_steps}, model="vgg11", width=0.125, **of)
        one.meta["key"] = key
        return one

    live, same = of(20, 0.1, 0, "a"), "VGG11 at 1/8 of the width, digits, N = 100"
    for stored, ours, theirs in (
        (of(2, 0.1, 0, "b"), "20 epochs", "2 epochs"),
        (of(20, 0.05, 0, "b"), "rate 0.1", "rate 0.05"),
        (of(20, 0.1, 3, "b"), "seed 0", "seed 3"),
        (of(20, 0.1, 0, "b", num_steps=8), "num steps 4", "num steps 8"),
        (of(20, 0.1, 0, "b", data_seed=1), "data seed 0", "data seed 1"),
        (of(20, 0.1, 0, "b", momentum=0.5), "momentum 0.9", "momentum 0.5"),
        (of(20, 0.1, 0, "b"), "this run", "stored"),
    ):
        told = best_first(sentences, (live,), (stored,))
        assert told == [f"{same}, {theirs}: It is 100.", f"{same}, {ours}: It is 100."]
        notes = in_this_run(told, [live], [stored]).metadata[TOLD]
        assert notes["findings of its own nets"] == f"* {told[1]}"


def test_a_figure_prints_its_letters_and_its_text_has_them_plain():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="δ_c of A1")
    axes.set(xlabel="t", ylabel="share", yticks=[0, 1], yticklabels=["B1", "B2"])
    axes.legend()
    told = shown(figure, about="of nothing")
    assert axes.get_legend().get_texts()[0].get_text() == r"$\delta_c$ of A₁"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["B₁", "B₂"]
    assert "B1: 0. B2: 1." in told.metadata[TOLD]["alt"]


def test_rows_that_a_panel_shares_have_their_names():
    figure = Figure()
    left, right = figure.subplots(1, 2, sharey=True)
    for axes in (left, right):
        axes.plot([1, 3], [0, 0])
        axes.set_xlabel("t")
    left.set_yticks([0], ["trace"])
    right.tick_params(labelleft=False)
    assert described(figure).count("trace: 1 to 3") == 2


def test_bars_are_told_by_their_heights_and_axes_without_notes_on_lines():
    figure = Figure()
    axes = figure.subplots()
    axes.bar([1, 2, 3], [0.5, 0.25, 0.75], label="A1")
    axes.set(xlabel="rank k (dashed: C)", ylabel="share")
    assert described(figure) == (
        "share against rank k. A1: 0.5 at 1, 0.25 at 2 (smallest), 0.75 at 3."
    )


def test_rows_that_have_names_are_told_by_them():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.plot([1, 2, 3], [0, 1, 1.1], "o")
    left.set(xlabel="λ", yticks=[0, 1], yticklabels=["exact", "bare"])
    for offset, name in ((-0.2, "Hess"), (0.2, "G")):
        right.barh(np.arange(2) + offset, [2.0, 3.0 + offset], 0.38, label=name)
    right.set(xlabel="λ", yticks=[0, 1], yticklabels=["first  (20)", "all"])
    assert described(figure) == (
        "Panel 1: along λ. exact: 1. bare: 2 to 3. "
        "Panel 2: along λ. Hess: first  (20) 2, all 2.8. G: first  (20) 2, all 3.2."
    )


def test_histograms_rules_and_points_with_errors_are_told_by_numbers():
    figure = Figure()
    axes = figure.subplots()
    axes.hist([1, 1, 2, 3, 3, 3], bins=2)
    axes.axvline(2.5, label="edge")
    assert described(figure).endswith("edge, at 2.5. bars: 2 at 1.5, 4 at 2.5.")
    axes.clear()
    for loss, share in ((3.0, 0.1), (1.0, 0.2), (2.0, 0.5)):
        axes.errorbar(loss, share, yerr=0.01)
    axes.plot([], [], "o", label="10 per class")
    axes.set(xlabel="loss", ylabel="share")
    assert "3 points: 0.2 at 1, 0.5 at 2 (largest), 0.1 at 3." in described(figure)


def test_maps_are_told_by_their_values_and_not_by_lines_drawn_over_them():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.pcolormesh([[0.1, 0.2], [0.3, 0.4]])
    left.plot([0, 1], [1, 1])
    left.set(xlabel="sample", ylabel="epochs")
    right.plot([-6.28, 0.27], [1, 2])
    right.set(xticks=[], yticks=[], title="t-SNE")
    assert described(figure) == (
        "Panel 1: epochs against sample. A map of 2 by 2 values, 0.1 to 0.4. "
        "Panel 2: t-SNE, its axes without a scale."
    )
