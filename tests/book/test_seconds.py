"""Every command of the pages says how long it takes, or why that is not known."""

import doctest
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hspec.book import seconds
from hspec.book.expected import EXPECTED
from hspec.book.pages import timed_text
from hspec.book.repository import Repository
from hspec.book.seconds import (
    UNTIMED,
    all_commands,
    commands_of,
    read_seconds,
    with_seconds,
)
from hspec.book.timing import take_time

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable


def test_the_examples_run():
    assert doctest.testmod(seconds).failed == 0


def test_every_command_has_its_seconds_or_a_reason():
    known = read_seconds(ROOT / "book")
    commands = all_commands(Repository(ROOT))
    assert len(commands) > 60
    for command in commands:
        assert with_seconds(f"{command}\n", known).startswith("# "), f"time it: {command}"
    gone = known.keys() - set(commands)
    assert not gone, f"no page has these any more: {gone}"
    for entry in known.values():
        known_of = entry.keys() - {"load", "ended"} - EXPECTED
        assert known_of == {"seconds", "machine", "date", "revision"}


def test_commands_are_read_without_comments_and_on_one_line():
    page = (
        "x\n```bash\nmake book   # makes it\n# 3 s on one core\nhspec run one \\\n  -p a 1\n```\n"
    )
    page += "```python\nmake = 1\n```\n```bash\n.venv/bin/hspec status\n```\n"
    assert commands_of(page) == ["make book", "hspec run one -p a 1", "hspec status"]


def test_seconds_are_told_once_and_anew():
    known = {"hspec status": {"seconds": 3.2}}
    once = with_seconds("hspec status\nls\n", known)
    assert once == "# 3 s on one core\nhspec status\nls\n"
    assert with_seconds(once, {"hspec status": {"seconds": 130}}).startswith("# 2 min 10 s on one")
    assert with_seconds("hspec run a --profile paper\n", {}).startswith(
        "# not timed: wants a large"
    )


def test_a_reason_is_said_once_and_seconds_of_each():
    block = "hspec run a --profile paper\nhspec run b --profile paper\nhspec run c -p d 1\n"
    seconds = {"hspec run a": {"seconds": 3}, "hspec run b": {"seconds": 3}}
    lines = with_seconds(f"{block}hspec run a\nhspec run b\n", seconds).splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "# not timed: wants a large GPU",
        f"# not timed: {UNTIMED}",
        "# 3 s on one core",
        "# 3 s on one core",
    ]


def test_of_what_is_not_timed_a_page_says_what_its_own_results_took():
    told = with_seconds("hspec run a -p b 1\n", {}, {"measuring": 150.0, "seconds": 40.0})
    assert told.startswith("# not timed; measuring this page's own results took 2 min 30 s\n")
    assert with_seconds(told, {}).startswith("# not timed: the end of its page")


def test_a_command_is_timed_with_its_output_elsewhere(toy, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/true")
    taken = take_time(toy, "papermill notebooks/one.ipynb out.ipynb -k python3")
    assert taken["seconds"] < 1 and "core" in taken["machine"]
    assert not (toy.root / "out.ipynb").exists()


def test_a_command_that_wants_too_much_is_ended_and_one_that_fails_is_no_time(toy, monkeypatch):
    for text, outcome in (("while True: pass", 1), ("raise SystemExit(3)", None)):
        program = toy.root / "program"
        program.write_text(f"#!{PYTHON}\n{text}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        if outcome is None:
            with pytest.raises(subprocess.CalledProcessError):
                take_time(toy, "hspec run one", most=1)
            continue
        taken = take_time(toy, "hspec run one", most=1)
        assert (taken["seconds"], taken["ended"]) == (1, True)
        told = with_seconds("hspec run one\n", {"hspec run one": taken})
        assert told == "# more than 1 s on one core\nhspec run one\n"
        assert with_seconds(told, {"hspec run one": taken | {"seconds": 240}}).startswith(
            "# more than 4 min on one core\nhspec"
        )


def test_a_kernel_that_wants_too_much_is_told_from_one_that_dies_early(toy, monkeypatch):
    """Papermill does not wait for it, and so does not know of its seconds."""
    program = toy.root / "program"
    monkeypatch.setattr(sys, "executable", str(program))
    for asleep, most in ((1.1, 1), (0, 60)):
        text = f"import sys, time; time.sleep({asleep}); sys.exit('DeadKernelError: Kernel died')"
        program.write_text(f"#!{PYTHON}\n{text}\n")
        program.chmod(0o755)
        if asleep:
            assert take_time(toy, "papermill one.ipynb out.ipynb", most)["ended"]
        else:
            with pytest.raises(subprocess.CalledProcessError):
                take_time(toy, "papermill one.ipynb out.ipynb", most)


def test_the_status_page_says_where_and_when(tmp_path):
    assert timed_text(tmp_path) == "None was timed yet."
    entries = {
        command: {"seconds": 3, "machine": "1 core of a loom", "date": f"2026-01-0{day}"}
        for day, command in enumerate(("one", "two"), 1)
    }
    (tmp_path / "seconds.json").write_text(json.dumps(entries))
    told = timed_text(tmp_path)
    assert "load" not in told
    assert told.startswith("2 commands were timed on 1 core of a loom (2026-01-01 to 2026-01-02)")
