"""train: SGD as written down, history, checkpoints, repeatability."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hspec import data, models
from hspec.training import CheckpointError, Diverged, Recipe, evaluate, train
from hspec.training.progress import progress_bar


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def start(problem, folder=None, **settings):
    arguments = {"test_set": problem.test_set, "progress": False} | settings
    return train(
        problem.model, problem.train_set, problem.recipe, folder or problem.folder, **arguments
    )


def test_updates_are_sgd_with_momentum_and_weight_decay(tmp_path):
    """v ← μ v + (∇L + λ θ), θ ← θ − η v, on the full batch of a linear net,
    by hand in float64."""
    train_set = data.load("digits", per_class=3, image_size=4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10)).double()
    recipe = Recipe(
        steps=4, batch_size=100, learning_rate=0.5, momentum=0.8, weight_decay=0.01, drops=(2,)
    )
    run = train(model, train_set, recipe, tmp_path, progress=False)
    θ = [p.detach().clone().requires_grad_() for p in model.parameters()]
    v = [torch.zeros_like(t) for t in θ]
    for step in range(4):
        logits = train_set.images.double().flatten(1) @ θ[0].T + θ[1]
        loss = -logits.log_softmax(1)[range(30), train_set.labels].mean()
        assert run.history["step_loss"][step] == pytest.approx(loss.item(), rel=1e-12)
        for t, velocity, g in zip(θ, v, torch.autograd.grad(loss, θ), strict=True):
            velocity.mul_(0.8).add_(g + 0.01 * t.detach())
            t.data.sub_((0.5 if step < 2 else 0.05) * velocity)
    for found, expected in zip(run.load("last", model).parameters(), θ, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_model_and_random_state_are_left_alone(problem):
    before, random = (
        {k: v.clone() for k, v in problem.model.state_dict().items()},
        torch.get_rng_state(),
    )
    start(problem)
    assert problem.model.training
    assert all(torch.equal(before[k], v) for k, v in problem.model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_two_runs_are_equal_to_the_bit(problem, tmp_path):
    torch.manual_seed(1)
    first = start(problem, tmp_path / "a")
    torch.manual_seed(2)
    second = start(problem, tmp_path / "b")
    assert same(first.load("last", problem.model), second.load("last", problem.model))
    assert all(np.array_equal(first.history[k], second.history[k]) for k in first.history)


def test_history(problem):
    run = start(problem, checkpoints="epoch")
    h = run.history
    assert h["step_loss"].shape == h["step_error"].shape == h["learning_rate"].shape == (16,)
    assert h["epoch_step"].tolist() == [4, 8, 12, 16]
    weights = np.array([16, 16, 16, 12]) / 60
    np.testing.assert_allclose(h["train_loss"], h["step_loss"].reshape(4, 4) @ weights, rtol=1e-12)
    np.testing.assert_allclose(
        h["train_error"], h["step_error"].reshape(4, 4) @ weights, rtol=1e-12
    )
    for epoch, step in enumerate(h["epoch_step"]):
        loss, error = evaluate(run.load(int(step), problem.model), problem.test_set)
        assert (h["test_loss"][epoch], h["test_error"][epoch]) == (loss, error)
    assert h["train_loss"][-1] < h["train_loss"][0]


def test_checkpoints_are_the_run_at_their_steps(problem, tmp_path):
    run = start(problem, checkpoints=[0, 3, "epoch"])
    assert run.steps == (0, 3, 4, 8, 12, 16)
    assert same(run.load(0, problem.model), problem.model)
    short = Recipe(steps=3, batch_size=16, learning_rate=0.1, drops=())
    three = train(problem.model, problem.train_set, short, tmp_path / "three", progress=False)
    assert same(run.load(3, problem.model), three.load("last", problem.model))
    assert not run.load(3, problem.model).training


def test_a_checkpoint_asked_for_later_is_made_by_training_again(problem):
    last = start(problem).load("last", problem.model)
    run = start(problem, checkpoints=[5])
    assert run.steps == (5, 16) and same(run.load("last", problem.model), last)
    with pytest.raises(
        CheckpointError, match=r"no checkpoint of step 7 .* \(5, 16\); train again with"
    ):
        run.load(7, problem.model)


def test_finished_run_returns_at_once(problem, monkeypatch):
    first = start(problem)
    monkeypatch.setattr(
        "hspec.training.trainer.Trainer.advance", lambda self: pytest.fail("trained again")
    )
    again = start(problem)
    assert np.array_equal(first.history["step_loss"], again.history["step_loss"])


@pytest.mark.parametrize("checkpoints", [17, [-1], "first", [3.5]])
def test_checkpoints_beyond_the_run_are_refused(problem, checkpoints):
    with pytest.raises(ValueError, match="a step between 0 and the run's 16"):
        start(problem, checkpoints=checkpoints)
    assert not problem.folder.exists()


def test_wrong_output_is_refused(problem):
    problem.model[-1] = nn.Linear(144, 9)
    with pytest.raises(ValueError, match=r"maps one image to \(1, 9\), expected \(1, 10\)"):
        start(problem)


def test_divergence_is_one_message_and_keeps_the_last_good_state(problem):
    problem.recipe = Recipe(steps=400, batch_size=16, learning_rate=1e18, drops=(), momentum=0)
    with pytest.raises(
        Diverged,
        match=r"after step \d+ .learning rate 1e.18.: choose a smaller learning rate; .* kept in ",
    ):
        start(problem, checkpoints=[0, 1])
    kept = torch.load(problem.folder / "step-00000000.pt", weights_only=True)
    assert all(v.isfinite().all() for v in kept["model"].values())


def test_nothing_that_is_not_finite_is_ever_saved(problem):
    problem.recipe = Recipe(steps=400, batch_size=16, learning_rate=1e18, drops=(), momentum=0)
    with pytest.raises(Diverged):
        start(problem, checkpoints=range(401), save_every=0)
    for path in problem.folder.glob("*.pt"):
        saved = torch.load(path, weights_only=True)
        assert all(v.isfinite().all() for v in saved["model"].values())


@pytest.mark.parametrize("blocked", [True, False])
def test_unwritable_folder_is_refused_before_any_work(problem, tmp_path, monkeypatch, blocked):
    monkeypatch.setattr(
        "hspec.training.trainer.Trainer.advance", lambda self: pytest.fail("trained")
    )
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" if blocked else tmp_path / "file" / "run"
    with pytest.raises(
        CheckpointError, match=r"cannot write to the training folder .*: choose another"
    ):
        start(problem, folder)


def test_progress_bar_can_be_switched_off(problem, tmp_path, capfd):
    start(problem, tmp_path / "quiet", progress=False)
    assert capfd.readouterr() == ("", "")
    start(problem, tmp_path / "loud", progress=True)
    assert "0/16" in capfd.readouterr().err
    start(problem, tmp_path / "loud", progress=True)
    assert capfd.readouterr() == ("", "")  # nothing was left to do


def test_a_progress_bar_whose_refreshes_are_kept_is_refreshed_rarely(capfd):
    with progress_bar("many", 1000) as bar:
        for _ in range(1000):
            bar.update()
    assert capfd.readouterr().err.count("many") < 5


def test_narrow_vgg_learns_the_digits(tmp_path):
    train_set = data.load("digits", per_class=20)
    settings = {"in_channels": 1, "num_classes": 10, "image_size": 32, "width": 1 / 8}
    model = models.build("vgg11", generator=torch.Generator().manual_seed(0), **settings)
    run = train(model, train_set, Recipe(epochs=20, batch_size=32), tmp_path, progress=False)
    loss, error = evaluate(run.load("last", model), train_set)
    assert error <= 0.02 and loss < 0.1 < math.log(
        10
    )  # to the last image it depends on the number of threads


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_is_repeatable_and_close_to_the_cpu(tmp_path):
    train_set = data.load("digits", per_class=10)
    settings = {"in_channels": 1, "num_classes": 10, "image_size": 32, "width": 1 / 8}
    model = models.build("vgg11", generator=torch.Generator().manual_seed(0), **settings).double()
    recipe = Recipe(epochs=2, batch_size=32)
    cpu = train(model, train_set, recipe, tmp_path / "cpu", progress=False)
    first, second = (
        train(model.cuda(), train_set, recipe, tmp_path / f, progress=False) for f in "ab"
    )
    assert same(first.load("last", model), second.load("last", model))
    np.testing.assert_allclose(first.history["step_loss"], cpu.history["step_loss"], rtol=1e-6)


def test_convolutions_are_trained_and_evaluated_in_full_float32(problem):
    """TF32 is a GPU's default; it is given back."""

    def look(module, inputs, output):
        seen.append((module.training, torch.backends.cudnn.allow_tf32))

    seen, before = [], torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    hook = problem.model.register_forward_hook(look)
    try:
        images, recipe = problem.train_set, replace(problem.recipe, epochs=1)
        train(problem.model, images, recipe, problem.folder / "f", test_set=images, progress=False)
        assert torch.backends.cudnn.allow_tf32
    finally:
        hook.remove()
        torch.backends.cudnn.allow_tf32 = before
    assert set(seen) == {(True, False), (False, False)}


def test_a_last_batch_too_small_for_batch_norm_is_told(problem):
    """Sixty digits in batches of 29 leave two."""
    few = replace(problem.recipe, epochs=1, batch_size=29)
    with pytest.warns(UserWarning, match="has 2 examples: batch norm.*smallest_batch=8"):
        train(problem.model, problem.train_set, few, problem.folder / "few", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, recipe in {
            "merged": replace(few, smallest_batch=8),
            "population": replace(few, batch_norm="population"),
        }.items():
            train(problem.model, problem.train_set, recipe, problem.folder / name, progress=False)
