"""The command: help, exit statuses, one line for each error."""

import subprocess
import sys
from pathlib import Path

import pytest

from hspec import cli
from hspec.book.errors import BookError
from hspec.commands import book, joined, measure
from hspec.distributed import Alone
from hspec.errors import CommandError
from hspec.experiments import Record
from hspec.papers.nets import PUBLISHED_NETS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["book", "--help"], ["run", "--help"], ["status", "--help"]]
)
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 0
    assert "usage: hspec" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["bake"], ["run"], ["run", "x", "-p", "seed"], ["book", "--profile", "huge"]]
)
def test_misuse_is_told_by_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "usage: hspec" in capsys.readouterr().err


def test_a_word_too_many_is_answered_by_the_usage_of_its_command(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["run", "instrument", "num_steps=40"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "usage: hspec run [-h] [-p NAME VALUE]" in said
    assert "unrecognized arguments: num_steps=40" in said


def test_negative_numbers_in_scientific_notation_are_values():
    words = ["run", "instrument", "-p", "learning_rate", "-1e-3", "-p", "seed", "-1"]
    given = dict(cli.parser(words).parse_args(cli._negative_values(words)).parameters)
    assert float(given["learning_rate"]) == -1e-3 and given["seed"] == "-1"


@pytest.mark.parametrize("words", [["merge", "x"], ["status"], ["run", "x"], ["publish", "x"]])
def test_a_command_of_one_process_is_refused_in_several(words, monkeypatch, capsys):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert cli.main(words) == 1
    assert f"hspec {words[0]} is for one process: start it without" in capsys.readouterr().err


def test_ranks_of_other_versions_are_refused():
    class Apart(Alone):
        size = 3

        def gather(self, value):
            return [value, value, value | {"PyTorch": "2.6.0"}]

    with pytest.raises(CommandError, match=r"rank 2 has PyTorch 2\.6\.0, not .* rank 0: install"):
        joined.refuse_unequal(Apart())
    joined.refuse_unequal(Alone())


def test_outside_a_clone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err.startswith("hspec: ")


@pytest.mark.parametrize(
    ("raised", "status", "told"),
    [
        (BookError("chapter one failed"), 1, "hspec: chapter one failed"),
        (PermissionError(13, "Permission denied", "_build"), 1, "Permission denied: '_build'"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            UnicodeEncodeError("ascii", "a–b", 1, 2, "no"),
            1,
            r"cannot write '\u2013': set PYTHONUTF8=1",
        ),
    ],
)
def test_an_error_is_one_message_and_a_status(monkeypatch, capsys, raised, status, told):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr(book, "make_book", fail)
    assert cli.main(["book"]) == status
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_a_net_of_the_papers_is_measured_and_compared(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HSPEC_STORE", str(tmp_path))
    asked = []

    def measured(experiment, store, progress):
        asked.append(experiment)
        return Record({}, {"seconds": 12.3, "device": "CPU"})

    monkeypatch.setattr(measure, "load_or_run", measured)
    assert cli.main(["measure", "resnet18"]) == 0
    experiments = PUBLISHED_NETS["resnet18"].experiments
    assert asked == list(experiments.values())
    told = capsys.readouterr().out
    assert all(f"resnet18 {name}: 12 s on CPU\n" in told for name in experiments)
    assert "\nλ_1(G): printed 165.3, measured" in told
    assert cli.main(["measure", "resnet18", "nosuch"]) == 1
    assert f"no experiment nosuch: it has {', '.join(experiments)}" in capsys.readouterr().err


def test_an_unknown_chapter_names_the_known_ones(capsys):
    assert cli.main(["run", "nosuch"]) == 1
    assert "Chapters: primer_product, " in capsys.readouterr().err


def test_a_wrong_parameter_is_refused_before_anything_large_is_loaded():
    """Within a second or so: what computes and draws takes ten times as long to load."""
    code = (
        "import sys; from hspec.cli import main; "
        "print(main(['run', 'instrument', '-p', 'widht', '1']), "
        "[name for name in ('torch', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "1 []\n" and "unknown parameter 'widht'" in done.stderr
