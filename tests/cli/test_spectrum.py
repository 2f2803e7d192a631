"""`hspec spectrum`: results from the shell, resumed after an interruption;
each mistake one sentence.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hspec import cli
from hspec.errors import CommandError
from hspec.yours import load_spectrum, spectrum, spectrum_of
from hspec.yours.named import named, state_of

SOURCE = """
import torch
from torch import nn

def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 18), nn.Tanh(), nn.Linear(18, 3), nn.Dropout(0.5))

def make_batches():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(24, 20, generator=generator)
    return list(zip(x.split(12), (torch.arange(24) % 3).split(12)))

def stream():
    yield from make_batches()

def numbers():
    return [(x, x[:, :3]) for x, _ in make_batches()]

def forward(module, batch):
    return module(batch[0]), batch[1]

def cubed(outputs, targets):
    return (outputs - targets).abs().pow(3).sum(1)

def make_loss(delta=0.5):
    return nn.HuberLoss(delta=delta)

def failing():
    raise KeyError("no such file")

answer = 42
"""
FEW = ["--top", "2", "--steps", "12", "--probes", "2", "--matrices", "G"]


@pytest.fixture
def mynet(tmp_path, monkeypatch):
    """The user's own module, in the current folder; its name is new each time,
    as modules are kept.
    """
    name = f"mynet_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


def command(mynet, *more, data="make_batches", model="make_model"):
    return cli.main(["spectrum", f"{mynet}:{model}", "--data", f"{mynet}:{data}", *FEW, *more])


def test_it_leaves_what_the_call_gives(mynet, tmp_path, capsys):
    assert command(mynet, "--out", "out") == 0
    told = capsys.readouterr().out
    assert "graphs kept" in told and (tmp_path / "out" / "index.html").as_uri() in told
    made = named(f"{mynet}:make_model")().eval(), named(f"{mynet}:make_batches")()
    expected = spectrum(*made, matrices="G", top=2, steps=12, probes=2)
    found = load_spectrum("out")
    assert np.array_equal(found["G"].measure.nodes, expected["G"].measure.nodes)
    names = {path.suffix for path in Path("out").iterdir()}
    assert names == {".png", ".svg", ".csv", ".json", ".npz", ".html"}  # and no checkpoint


def test_an_interrupted_command_goes_on(mynet, monkeypatch, capsys):
    def interrupted(stage, done, total):
        if "quadrature" in stage and done >= 60:
            raise KeyboardInterrupt

    monkeypatch.setattr(
        "hspec.commands.spectrum.spectrum_of",
        lambda *a, **k: spectrum_of(*a, **k | {"progress": interrupted}),
    )
    assert command(mynet, "--out", "out", "--steps", "40") == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not Path("out/index.html").exists() and list(Path("out/checkpoint").rglob("*.pt"))
    monkeypatch.setattr("hspec.commands.spectrum.spectrum_of", spectrum_of)
    assert command(mynet, "--out", "out", "--steps", "40") == 0
    made = named(f"{mynet}:make_model")().eval(), named(f"{mynet}:make_batches")()
    alone = spectrum(*made, matrices="G", top=2, steps=40, probes=2)
    gone_on, whole = load_spectrum("out")["G"].measure.nodes, alone["G"].measure.nodes
    # to the rounding of float32 products, which on some processors differ in their last bits
    assert np.abs(gone_on - whole).max() < 4 * np.finfo(np.float32).eps * whole.max()


def test_weights_of_every_kind_give_the_same(mynet, tmp_path):
    torch.manual_seed(9)
    other = nn.Sequential(nn.Linear(20, 18), nn.Tanh(), nn.Linear(18, 3))
    state = other.state_dict()
    torch.save(state, "plain.pt")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": t for k, t in state.items()}}, "checkpoint.pt"
    )
    compiled = {f"_orig_mod.module.{k}": t for k, t in state.items()}
    moments = {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"model_state": compiled, "optimizer": moments}, "compiled.pt")
    files = ["plain.pt", "checkpoint.pt", "compiled.pt"]
    try:
        from safetensors.torch import save_file

        save_file(state, "plain.safetensors")
        files.append("plain.safetensors")
    except ImportError:
        pass
    for file in files:
        assert all(torch.equal(t, state[k]) for k, t in state_of(file).items())
        assert command(mynet, "--weights", file, "--out", file + ".out") == 0
    values = {tuple(load_spectrum(file + ".out")["G"].values) for file in files}
    assert len(values) == 1


@pytest.mark.parametrize(
    "more",
    [
        ["--loss", "mse"],
        ["--loss", "torch.nn:HuberLoss", "--matrices", "Hess"],
        ["--loss", "{}:cubed"],
        ["--loss", "{}:make_loss", "--matrices", "Hess"],
        [
            "--loss",
            "torch.nn.functional:mse_loss",
            "--reduction",
            "mean",
            "--forward",
            "{}:forward",
        ],
        ["--loss", "mse", "--parameters", "2", "--dtype", "float64", "--batches", "1"],
    ],
)
def test_losses_and_parameters(mynet, more):
    assert (
        command(mynet, *(word.format(mynet) for word in more), "--out", "out", data="numbers") == 0
    )
    facts = json.loads(Path("out/record.json").read_text())["facts"]
    assert facts["num_examples"] == (12 if "--batches" in more else 24)
    assert facts["num_parameters"] == (57 if "--parameters" in more else 435)


def test_only_a_forecast(mynet, capsys):
    assert command(mynet, "--plan") == 0
    assert "products" in capsys.readouterr().out
    assert not list(Path().glob("spectrum-*"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"model": "nothing"}, "has no 'nothing'"),
        ({"model": "mak_model"}, "has no 'mak_model': do you mean 'make_model'?"),
        ({"model": "answer"}, "gives int, a torch.nn.Module is needed"),
        ({"data": "failing"}, "failing() fails: KeyError: 'no such file'"),
        ({"data": "answer"}, "batches is a int"),
        ({"more": ["--weights", "absent.pt"]}, "there is no file absent.pt"),
        ({"more": ["--weights", "text.pt"]}, "text.pt cannot be read as weights"),
        (
            {"more": ["--weights", "small.pt"]},
            "do not fit the module: 3 missing (0.bias, 2.bias, 2.weight); 1 unknown",
        ),
        ({"more": ["--loss", "hinge"]}, "--loss hinge is unknown: cross-entropy, mse, bce, nll"),
        ({"more": ["--probes", "1"]}, "probes is a whole number of at least 2"),
        ({"more": ["--parameters", "conv"]}, "matches no trainable parameter"),
        ({"more": ["--device", "abacus"]}, "--device abacus: "),
        ({"more": ["--loss", "mse"]}, "needs the same shape"),
        ({"more": ["--batches", "-1"]}, "--batches must be at least 1, not -1"),
        ({"more": ["--out", "site"]}, "site holds index.html, which no spectrum left there"),
        (
            {"more": ["--out", "text.pt/deep"]},
            "results cannot go to text.pt/deep: text.pt is a file",
        ),
    ],
)
def test_a_mistake_is_one_sentence(mynet, capsys, given, sentence):
    Path("text.pt").write_text("not weights")
    Path("site").mkdir()
    Path("site/index.html").write_text("somebody's page")
    torch.save({"0.weight": torch.zeros(18, 20), "4.weight": torch.zeros(1)}, "small.pt")
    arguments = {key: value for key, value in given.items() if key != "more"}
    assert command(mynet, *given.get("more", ()), **arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("hspec: ") and error.count("\n") == 1


def test_names_that_name_nothing():
    with pytest.raises(CommandError, match=r"write package\.module:name"):
        named("mynet")
    with pytest.raises(CommandError, match="there is no module 'surely_not_there'"):
        named("surely_not_there:make")
    for file in ("./mynet", "mynet.py"):
        with pytest.raises(CommandError, match=r"is a file.s name: .* such as mynet:make"):
            named(f"{file}:make")


def test_it_runs_without_the_books_packages():
    """What the command loads is the core, and nothing of the book."""
    code = (
        "import sys; from hspec import cli; cli.parser(['spectrum']); "
        "print(*({'seaborn', 'pandas', 'papermill', 'sklearn', 'yaml', 'torchvision'} & "
        "set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0 and done.stdout.strip() == ""
