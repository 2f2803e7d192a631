"""The measures behind films, on a net of a few dozen units, and how films are put together."""

import shutil

import numpy as np
import pytest
import torch

from hspec.chapters.early_training.figures import changes_by_epoch, sample_table
from hspec.chapters.early_training.verdict import epoch_ends, epoch_of, verdict_stored
from hspec.chapters.end_of_training.figures import fading, negative_parts
from hspec.chapters.gradient_concentration.figures import (
    gradient_over_spectrum,
    gradient_shares,
    gradient_table,
    share_summary,
)
from hspec.chapters.learning_rate_drop.figures import fall_table, falls
from hspec.curvature import Risk, hessian
from hspec.experiments import Experiment, Recipe, Record, Setting, Store, load_or_run
from hspec.experiments.film_quantities import gradient_concentration
from hspec.experiments.films import (
    check_steps,
    film,
    loss_records,
    published_films,
    rate_trials,
    stills,
    stopped,
    trained_mode,
    with_recipe,
    with_seeds,
    without_norm,
)
from hspec.experiments.loss_curves import loss_curves
from hspec.experiments.task import Task
from hspec.experiments.training_spectrum import training_spectrum
from hspec.figures import film_axes, film_tables, nets, training
from hspec.figures import films as pictures
from hspec.keys import digest

TINY = Setting(
    model="mlp:12-8",
    width=1.0,
    norm="batch",
    image_size=4,
    per_class=4,
    test_per_class=2,
    checkpoints=(0, 1, 2, 3, 4),
    recipe=Recipe(steps=4, batch_size=20, learning_rate=0.05, drops=(3,)),
)
OPTIONS = {"num_steps": 14, "num_probes": 2, "num_top": 12, "batch_size": 20, "progress": False}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return Store(folder, folder / "published")


@pytest.fixture(scope="module")
def frames(store):
    return film(TINY, [0, 2, 4], store=store, **OPTIONS)


@pytest.fixture(scope="module")
def plain(store):
    return film(without_norm(TINY, 0.01), [0, 4], store=store, **OPTIONS)


def test_frame_agrees_with_the_dense_hessian(store):
    setting = Setting(
        model="mlp:3",
        image_size=4,
        per_class=3,
        test_per_class=2,
        width=1.0,
        recipe=Recipe(steps=2),
    )
    options = {"step": 2, "num_steps": 70, "num_probes": 1, "num_top": 12, "batch_norm": "eval"}
    record = load_or_run(Experiment(training_spectrum, setting, options), store, progress=False)
    task = Task(setting, store, "dense", progress=False)
    images = task.images("train")
    risk = Risk.from_module(task.model().double(), images.batches(50), 10, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(hessian(risk).to_dense())
    np.testing.assert_allclose(
        record["top"], values.flip(0)[:12].numpy(), atol=2e-5 * float(values[-1])
    )
    np.testing.assert_allclose(record["bottom"], values[:1].numpy(), atol=2e-5 * float(values[-1]))
    projected = vectors.T @ risk.gradient()
    wanted = float((projected[-10:] ** 2).sum() / (projected**2).sum())
    value, low, high = gradient_concentration(record.spectrum("gradient_"), record["top"], 10)
    assert value == pytest.approx(wanted, abs=1e-4)
    assert low - 1e-4 <= wanted <= high + 1e-4


def test_frames_are_records_of_their_own_and_come_back(store, frames):
    again = film(TINY, [4, 0], store=store, **OPTIONS)
    assert [r.meta["key"] for r in again] == [frames[0].meta["key"], frames[2].meta["key"]]
    assert [int(r["step"]) for r in frames] == [0, 2, 4]
    assert all(r.meta["options"]["batch_norm"] == "batch" for r in frames)


def test_modes_give_different_matrices(store, frames):
    evaluated = film(TINY, [4], batch_norm="eval", store=store, **OPTIONS)
    assert abs(float(evaluated[0]["loss"]) - float(frames[2]["loss"])) > 1e-3


def test_a_step_without_checkpoint_is_refused_before_anything_runs(store):
    with pytest.raises(ValueError, match="no checkpoint is kept at step 7"):
        film(TINY, [0, 7], store=store, **OPTIONS)


def test_an_unknown_mode_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match="batch_norm='train' is unknown"):
        film(
            TINY, [0], store=Store(tmp_path, tmp_path / "published"), batch_norm="train", **OPTIONS
        )
    assert not list(tmp_path.rglob("*"))


def test_films_are_named_by_their_mode(store, frames):
    running = film(TINY, [4], batch_norm="eval", store=store, **OPTIONS)
    assert list(pictures.by_mode(frames, running)) == ["batch statistics", "running statistics"]
    assert pictures.by_mode(running, [], running[:1]) == {"running statistics": running}


def test_a_compared_step_must_be_a_frame():
    check_steps(TINY, [0, 4], frames=[0, 2, 4])
    with pytest.raises(ValueError, match=r"step 4 is not one of the frames, \[0, 2\]"):
        check_steps(TINY, [4], frames=[0, 2])


def test_too_many_eigenvalues_for_the_steps_are_refused(store):
    with pytest.raises(ValueError, match="num_top must be from 1 to num_steps"):
        film(TINY, [0], store=store, **OPTIONS | {"num_top": 14})


def test_mode_follows_the_training():
    assert trained_mode(TINY) == "batch"
    assert trained_mode(with_recipe(TINY, batch_norm="population")) == "population"
    assert trained_mode(without_norm(TINY, 0.01)) == "eval"


def test_seeds_change_weights_and_order():
    one, two = with_seeds(TINY, [1, 2])
    assert (one.init_seed, one.recipe.seed, two.init_seed, two.recipe.seed) == (1, 1, 2, 2)


def test_a_training_that_is_stopped_has_the_weights_of_the_whole(store):
    short = Task(stopped(TINY, 2), store, "short", progress=False)
    whole = Task(TINY, store, "whole", progress=False)
    for one, other in zip(short.model().parameters(), whole.model(2).parameters(), strict=True):
        assert torch.equal(one, other)
    assert len(short.run.steps) == 1
    with pytest.raises(ValueError, match="give them in steps"):
        stopped(with_recipe(TINY, drops=(0.5,)), 2)


def test_stills_are_one_frame_each(store, frames):
    (record,) = stills([TINY], 2, store=store, **OPTIONS)
    assert list(pictures.by_seed({"with": [record], "": [record]})) == ["with, seed 0", "seed 0"]
    assert record.meta["key"] == frames[1].meta["key"]


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_diverged_training_is_a_result(store):
    trials = rate_trials(without_norm(TINY, 0.01), [1e-3, 1e30], 4)
    good, bad = loss_records(trials, store=store)
    assert not good["diverged"]
    assert len(good["step_loss"]) == 4
    assert bad["diverged"]
    assert len(bad["step_loss"]) == 0
    table = film_tables.learning_rate_table([good, bad])
    assert list(table["training loss, last epoch"])[1] == "diverged"
    told = film_tables.rates_that_train([good, bad])
    best, right = good["train_loss"][-1], good["test_error"][-1] < 0.5
    assert (
        f"without normalisation, the training loss ends lowest at the rate 0.001, at {best:.3g}"
        in told
    )
    assert told.endswith("up to the rate 0.001." if right else "at no rate.")
    assert film_tables.rates_that_train([bad]).endswith(
        "without normalisation, every rate diverges."
    )


def test_loss_curves_average_stretches(store):
    short = Experiment(loss_curves, TINY, {"points": 2})
    whole = load_or_run(Experiment(loss_curves, TINY), store, progress=False)
    record = load_or_run(short, store, progress=False)
    np.testing.assert_allclose(
        record["step_loss"], whole["step_loss"].reshape(2, 2).mean(1), atol=1e-12
    )
    np.testing.assert_allclose(record["step"], [1.5, 3.5])


def test_published_films_are_found_by_norm_and_mode(store, frames, plain):
    target = store.published / "training_spectrum"
    for record in (*frames, *plain):
        shutil.copytree(
            store.root / "training_spectrum" / record.meta["key"], target / record.meta["key"]
        )
    (found,) = published_films(norm="batch", batch_norm="batch", store=store)
    assert [int(r["step"]) for r in found] == [0, 2, 4]
    (bare,) = published_films(norm="none", batch_norm="eval", store=store)
    assert len(bare) == 2
    assert (
        published_films(norm="batch", statistics="population", batch_norm="population", store=store)
        == []
    )


def test_a_net_that_came_trained_is_no_film(tmp_path, frames):
    """Its step 0 is the end of somebody's training, not the beginning of one."""
    published = Store(tmp_path, tmp_path / "results")
    setting = frames[0].meta["setting"] | {"weights": "net.pt", "weights_sha256": "12ab"}
    configuration = {n: frames[0].meta[n] for n in ("measure", "version", "options")} | {
        "setting": setting
    }
    record = Record(
        frames[0].arrays, frames[0].meta | configuration | {"key": digest(configuration)}
    )
    Store(published.published).put(record)
    assert len(published.published_records(training_spectrum)) == 1
    assert published_films(norm="batch", batch_norm="batch", store=published) == []


def test_film_shows_every_frame_the_drop_and_the_ends(store, frames):
    (curves,) = loss_records([TINY], store=store)
    figure = pictures.film(frames, curves, drops=[3])
    above, below = figure.axes[:2]
    assert above.get_title() == pictures.describe(frames) and TINY.dataset in above.get_title()
    lines = {line.get_label(): line for line in below.get_lines()}
    has_converged = any(np.isfinite(frame.top[10:11]).any() for frame in frames)
    assert {r"$\lambda_1$", r"$\lambda_{\min}$"} <= lines.keys()
    assert (r"$\lambda_{11}$" in lines) == has_converged
    assert list(lines[r"$\lambda_1$"].get_xdata()) == [0, 2, 4]
    assert below.collections[0].get_array().shape == (pictures.ROWS, 3)
    figure.draw_without_rendering()


def test_a_column_of_the_film_holds_all_eigenvalues(frames):
    measure = frames[0].spectrum("hess_")
    grid = np.linspace(-8, 8, 4001)
    total = np.trapezoid(film_axes.column(measure, grid, 0.1), grid)
    assert total == pytest.approx(measure.dimension, rel=1e-6)


def test_the_axis_of_the_film_is_odd_and_ticked_at_its_zero():
    np.testing.assert_allclose(film_axes.bent(np.array([-9.0, 0.0, 9.0]), 1.0), [-1, 0, 1])
    np.testing.assert_allclose(film_axes.eigenvalue_ticks(-5.0, 120.0, 0.8), [-1, 0, 1, 10, 100])


def test_all_pictures_are_drawn(frames, plain, store):
    both = {"with": frames, "without": plain}
    curves = loss_records([TINY, without_norm(TINY, 0.01)], store=store)
    drawn = [
        training.stills(frames),
        fading(frames),
        training.ends(both, drops=[3]),
        falls(frames[:2], frames[1:], frames[1:]),
        negative_parts(both),
        changes_by_epoch(frames, 2),
        pictures.published([frames]),
        nets.losses(dict(zip(both, curves, strict=True))),
        nets.outliers(nets.at_step(both, 4), rank=2),
        nets.outlier_ratios(both, rank=2),
        nets.over_loss(both, "gradient"),
        nets.over_loss({"with": frames}, "outliers"),
        gradient_over_spectrum(nets.at_step(both, 4)),
    ]
    for figure in drawn:
        figure.draw_without_rendering()
        assert all(
            axis.get_lines() or axis.collections for axis in figure.axes if axis.get_visible()
        )
    assert pictures.published([]) is None
    assert gradient_shares(both) is None  # nothing of so small a net has converged


def test_a_stored_film_is_judged_by_its_own_epochs(frames, plain):
    """40 images in mini-batches of 20: two steps an epoch."""
    claims = [row.claim for row in verdict_stored(frames)]
    assert epoch_of(frames) == 2
    assert claims == ["GKX-2", "GKX-2", "GKX-3"]
    assert [frame.step for frame in epoch_ends(plain)] == [0]  # step 2 is missing
    assert [row.claim for row in verdict_stored(plain)] == ["GKX-2", "GKX-2"]


def test_tables_have_a_row_for_each_frame_or_net(frames, plain):
    both = {"with": frames, "without": plain}
    assert len(film_tables.frame_table(both)) == len(gradient_table(both)) == 5
    assert len(share_summary(both)) == 2
    assert pictures.by_norm([frames, plain]) == {"with batch norm": frames, "without": plain}
    assert len(fall_table(frames, frames, frames)) == 3
    assert len(sample_table([frames, plain], 4)) == 1  # another net's frame is left out
    with pytest.raises(ValueError, match="no film has a frame at step 9"):
        nets.at_step(both, 9)
