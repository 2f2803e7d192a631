"""A record is of certain images: others under the same name are never answered with it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hspec.experiments import Experiment, Setting, load_or_run
from hspec.experiments import experiment as module
from hspec.experiments.grid import grid
from hspec.experiments.measure import measure
from hspec.experiments.task import Task
from hspec.training import Recipe, fingerprint


@measure(version=1)
def brightness(task, *, epoch: int | None = None, per_class: int | None = None):
    return {"mean": float(task.images("train", per_class).images.mean()), "num_examples": 1}


def draw(root, grey):
    for split in ("train", "test"):
        for name in ("cats", "dogs"):
            (root / "mine" / split / name).mkdir(parents=True, exist_ok=True)
            for i in range(2):
                pixels = np.full((8, 8, 3), grey + i, dtype=np.uint8)
                Image.fromarray(pixels).save(root / "mine" / split / name / f"{i}.png")


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A function that draws the folder of images anew, in a shade of grey."""
    monkeypatch.setenv("HSPEC_DATA", str(tmp_path / "data"))
    draw(tmp_path / "data", 10)
    return lambda grey: draw(tmp_path / "data", grey)


SETTING = Setting(
    "folder:mine",
    "mlp:2",
    image_size=8,
    norm="none",
    per_class=2,
    test_per_class=2,
    recipe=Recipe(epochs=1),
)


def test_a_record_says_which_images_it_is_of(store, pictures):
    whole = load_or_run(Experiment(brightness, SETTING), store, progress=False)
    part = load_or_run(Experiment(brightness, SETTING, {"per_class": 1}), store, progress=False)
    task = Task(SETTING, store, "any")
    assert whole.meta["images"] == {"train": task.images("train").fingerprint}
    assert part.meta["images"] == {"train/1": task.images("train", 1).fingerprint}
    assert whole.meta["images"] != part.meta["images"]


@measure(version=1)
def loss_after(task, *, epoch: int | None = None):
    return {"loss": task.risk(step=task.step_after(epoch)).loss()}


def test_a_record_says_of_which_weights_it_is(store, pictures, tmp_path):
    short = replace(SETTING, recipe=Recipe(epochs=2), checkpoints="epoch")
    last, first = (
        load_or_run(Experiment(loss_after, short, {"epoch": e}), store, progress=False)
        for e in (2, 1)
    )
    task = Task(short, store, "any")
    assert last.meta["weights"] == {"2": fingerprint(task.model())}
    assert first.meta["weights"] == {"1": fingerprint(task.model(1))}
    assert last.same_weights(first) is None  # nothing of one training both looked at
    assert last.same_weights(replace(last)) is True
    pictures(200)
    with pytest.warns(UserWarning, match="other images"):
        other = load_or_run(Experiment(loss_after, short, {"epoch": 2}), store, progress=False)
    assert last.same_weights(other) is False


def test_other_images_are_measured_anew_with_a_warning(store, pictures):
    experiment = Experiment(brightness, SETTING)
    before = load_or_run(experiment, store, progress=False)["mean"]
    pictures(200)
    with pytest.warns(UserWarning, match="is of other images than folder:mine now holds: not used"):
        after = load_or_run(experiment, store, progress=False)["mean"]
    assert after > before
    assert load_or_run(experiment, store, progress=False)["mean"] == after


def test_a_grid_does_not_show_cells_of_other_images(store, pictures):
    plane = grid(brightness, SETTING, per_class=[1, 2], epochs=[1])
    assert None not in plane.fill(store=store, progress=False).values()
    pictures(200)
    with pytest.warns(UserWarning, match="is of other images"):
        assert set(plane.load(store).values()) == {None}


def test_other_images_train_another_net(store, pictures):
    before = Task(SETTING, store, "before", progress=False).run
    pictures(200)
    after = Task(SETTING, store, "after", progress=False).run
    assert before.folder != after.folder


def test_without_the_images_the_record_is_taken_and_that_is_told(
    store, pictures, monkeypatch, tmp_path
):
    experiment = Experiment(brightness, SETTING)
    before = load_or_run(experiment, store, progress=False)
    monkeypatch.setenv("HSPEC_DATA", str(tmp_path / "nowhere"))
    with pytest.warns(UserWarning, match="could not be compared with the images it is of"):
        assert load_or_run(experiment, store, progress=False).meta == before.meta


def test_images_held_against_published_checksums_are_not_read_again(store, monkeypatch):
    experiment = Experiment(brightness, Setting(per_class=2))
    load_or_run(experiment, store, progress=False)
    monkeypatch.setattr(module, "load_images", None)
    load_or_run(experiment, store, progress=False)
