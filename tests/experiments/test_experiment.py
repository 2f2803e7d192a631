"""An experiment is named by everything it depends on, is run once,
and refuses what it does not know.
"""

import inspect
from dataclasses import replace

import numpy as np
import pytest

from hspec.experiments import Experiment, Measure, Setting, Store, load_or_run, measure
from hspec.keys import canonical, digest
from hspec.training import Recipe

CALLS = []


@measure(version=1)
def toy(
    task, *, size: int = 3, scale: float = 1.0, tags: tuple[str, ...] = (), limit: int | None = None
):
    """A measure without a net."""
    CALLS.append(size)
    (task.folder / "half-way").write_text("state")
    return {"x": scale * np.arange(size)}


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


def test_a_measure_is_called_and_described_as_the_function_it_is_made_of():
    assert toy.name == "toy" and toy.__doc__ == "A measure without a net."
    assert list(inspect.signature(toy).parameters) == ["task", "size", "scale", "tags", "limit"]


def test_key_counts_defaults_and_ignores_spelling():
    assert Experiment(toy).key == Experiment(toy, None, {"size": 3, "scale": 1}).key
    assert Experiment(toy, None, {"tags": ["a"]}).key == Experiment(toy, None, {"tags": ("a",)}).key
    assert Experiment(toy).key != Experiment(toy, None, {"size": 4}).key


def test_key_is_stable_across_processes_and_versions():
    """A changed hash would orphan every stored result: this literal changes only on purpose."""
    assert Experiment(toy).key == "76c937faa75e8144ce67"


def test_key_depends_on_every_field_of_the_setting():
    base = Setting()
    changed = {
        "dataset": "MNIST",
        "model": "resnet18",
        "width": 0.25,
        "norm": "none",
        "classes": 3,
        "image_size": 40,
        "per_class": 7,
        "test_per_class": 7,
        "recipe": Recipe(epochs=3),
        "checkpoints": (0, 5),
        "init_seed": 1,
        "data_seed": 1,
        "subset": "P19",
        "init": "P19",
        "normalization": "ImageNet",
        "weights": ("net.pt", "12ab"),
        "weights_sha256": ("net.pt", "12ac"),
    }
    keys = {
        Experiment(toy, replace(base, **change(name, value))).key for name, value in changed.items()
    }
    assert len(keys | {Experiment(toy, base).key}) == len(changed) + 1
    assert set(changed) | {"model_version"} == set(base.__dataclass_fields__)


def change(name, value):
    """A file of weights and its checksum are given together."""
    together = ("weights", "weights_sha256")
    return dict(zip(together, value, strict=True)) if name in together else {name: value}


def test_measure_version_changes_the_key():
    assert Experiment(Measure(toy.function, version=2)).key != Experiment(toy).key


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ("toy",),
            TypeError,
            "an experiment needs a measure, a function made one by @measure; got 'toy'",
        ),
        ((toy.function,), TypeError, "an experiment needs a measure"),
        (
            (toy, None, {"sise": 3}),
            ValueError,
            "toy has no option sise: it has limit, scale, size, tags",
        ),
        ((toy, None, {"size": 0}), ValueError, "size must be at least 1; got 0"),
        ((toy, None, {"size": 3.5}), TypeError, r"size must be int, got 3.5 \(float\)"),
        ((toy, None, {"size": True}), TypeError, r"size must be int, got True \(bool\)"),
        ((toy, None, {"tags": (1,)}), TypeError, r"tags\[0\] must be str, got 1 \(int\)"),
    ],
)
def test_bad_options_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Experiment(*arguments)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"dataset": "minst"}, ValueError, "unknown data set 'minst'"),
        ({"width": "1"}, TypeError, "width must be float, got '1'"),
        ({"width": 0.0}, ValueError, "width multiplier must be positive"),
        (
            {"width": float("nan")},
            ValueError,
            "width=nan: the width multiplier must be positive, and finite",
        ),
        ({"width": float("inf")}, ValueError, "positive, and finite"),
        ({"per_class": 0}, ValueError, "per_class must be at least 1"),
        ({"classes": 1}, ValueError, "classes must be at least 2"),
        ({"model": "vgg12"}, ValueError, "unknown model 'vgg12': choose one of"),
        ({"model": "mlp:x"}, ValueError, "an MLP is called by its hidden widths"),
        ({"norm": "layer"}, ValueError, "unknown norm 'layer'"),
        ({"image_size": 0}, ValueError, "load them with image_size=32 or more"),
        ({"model": "mlp:4", "image_size": -3}, ValueError, "load them with image_size=1 or more"),
        (
            {"checkpoints": "all"},
            ValueError,
            "checkpoints must be 'last', 'epoch', 'ladder' or steps from 0 on",
        ),
        ({"checkpoints": (0, -1)}, ValueError, "or steps from 0 on"),
        ({"checkpoints": (0, 1.5)}, TypeError, r"checkpoints\[1\] must be int, got 1.5"),
        ({"init_seed": 2**70}, ValueError, r"init_seed must be from 0 to 2\*\*63 - 1"),
        ({"data_seed": -1}, ValueError, r"data_seed must be from 0 to 2\*\*63 - 1"),
    ],
)
def test_bad_settings_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        Setting(**fields)


def test_numpys_numbers_are_numbers():
    plain, numpys = (
        Setting(per_class=3, width=0.5),
        Setting(per_class=np.int64(3), width=np.float32(0.5)),
    )
    assert plain == numpys and type(numpys.per_class) is int and type(numpys.width) is float
    assert Experiment(toy, plain).key == Experiment(toy, numpys).key


def test_a_measure_of_a_net_says_that_it_needs_one(store):
    @measure(version=1)
    def looks(task):
        return {"x": task.images("train")}

    with pytest.raises(ValueError, match="this measure needs a net: give its experiment a Setting"):
        load_or_run(Experiment(looks), store, progress=False)


def test_measured_once_then_loaded(store):
    first = load_or_run(Experiment(toy), store, progress=False)
    second = load_or_run(Experiment(toy), store, progress=False)
    assert CALLS == [3]
    np.testing.assert_array_equal(first["x"], second["x"])
    assert first.meta == second.meta
    expected = {
        "measure",
        "version",
        "setting",
        "options",
        "key",
        "packages",
        "revision",
        "device",
        "seconds",
    }
    assert expected | {"written", "images", "weights", "arrays", "checksum"} == set(first.meta)


def test_unfinished_work_is_kept_until_the_record_is_written(store):
    @measure(version=1)
    def interrupted_once(task):
        if (task.folder / "half-way").exists():
            return {"x": np.ones(1)}
        (task.folder / "half-way").write_text("state")
        raise KeyboardInterrupt

    experiment = Experiment(interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        load_or_run(experiment, store, progress=False)
    folder = store.root / "unfinished" / experiment.key
    assert (folder / "half-way").read_text() == "state"
    load_or_run(experiment, store, progress=False)
    assert not folder.exists()


def test_unwritable_store_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match="result store"):
        load_or_run(Experiment(toy), Store(tmp_path / "file", tmp_path), progress=False)
    assert CALLS == []


def test_settings_say_what_file_of_weights_they_are_of():
    with pytest.raises(ValueError, match="give both or none"):
        Setting(weights="net.pt")
    with pytest.raises(ValueError, match="unknown subset 'P20'"):
        Setting(subset="P20")
    with pytest.raises(ValueError, match="unknown init 'P20'"):
        Setting(init="P20")
    with pytest.raises(ValueError, match="unknown normalization 'mine'"):
        Setting(normalization="mine")


def test_a_changed_net_has_keys_of_its_own():
    """ResNet-32 once padded its shortcuts at the end alone:
    its records are not found for today's net.
    """
    today = Setting(model="resnet32")
    assert today.model_version == 2 and replace(today, model="vgg11").model_version == 1
    before = {k: v for k, v in canonical(today).items() if k != "model_version"}
    assert Setting.from_canonical(before).model_version == 1 and digest(before) != digest(today)
    assert Setting.from_canonical(canonical(today)) == today
    assert "model_version" not in canonical(Setting())
