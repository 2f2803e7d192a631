"""How long the commands of the book take, measured and kept in book/seconds.json.

`python -m hspec.book.seconds [--minutes M] [WORD …]` runs those commands that have no entry yet (or
those with one of the words in them) and writes what each took of the processor's time, on one
thread and with nothing stored but what comes with the book: on a busy machine the clock on the wall
would say more of the others than of the command.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hspec.book.repository import Repository
from hspec.experiments.provenance import git_revision, machine_name
from hspec.files import write_whole

FILE = "seconds.json"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
TOLD = re.compile(r"^# (?:\d[\d min]* s on one core|not timed: .*)\n", re.MULTILINE)
TRAILING = re.compile(r"\s{2,}#.*| \\\n\s*")  # a comment behind a command; a line that goes on
# What is not timed, and why not: the first pattern that is found in the command.
REASONS = {
    r"--profile paper|folder:imagenet": "wants a large GPU",
    r"CIFAR10": "wants CIFAR-10, and hours on two cores",
    r"mynet": "as long as your net takes",
    r"^make (book|pdf)": "it says what each chapter takes",
    r"^make test": "pytest says it at the end",
    r"FRESH=1": "the sum of what the chapters say at their ends",
    r"^(pip|uv|git|python3? -m venv|source|conda)\b": "as long as the downloads take",
    r"^(python -m benchmarks|hspec (sweep|measure|merge|publish|verify))": "its page says how long",
    r"torchrun": "its page says how long",
}


def commands_of(text: str) -> list[str]:
    """The commands of the ```bash blocks of a page, without comments, each on one line."""
    return [command for block in BLOCK.findall(text) for command, _ in _lines(block) if command]


def _lines(block: str) -> Iterator[tuple[str, str]]:
    """Every line of a block, or lines that go on, as a command ("" for others) and as it stands."""
    for line in re.findall(r"(?:.*\\\n)*.*\n?", block):
        if line:
            command = TRAILING.sub(lambda found: " " * ("\n" in found[0]), line).strip()
            command = command.replace(".venv/bin/", "")
            yield ("" if command.startswith("#") else command, line)


def with_seconds(block: str, seconds: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of a block with a comment above each command: how long it takes, or why that is not
    known.

    Example:
        >>> print(with_seconds("brew tea\\nfetch milk\\n", {"brew tea": {"seconds": 260}}))
        # 4 min 20 s on one core
        brew tea
        fetch milk
        <BLANKLINE>
    """
    lines = []
    for command, line in _lines(TOLD.sub("", block)):
        if command and (told := _told(command, seconds)):
            lines.append(f"# {told}\n")
        lines.append(line)
    return "".join(lines)


# Of a chapter's command that has not been timed yet.
UNTIMED = "the end of its page says what its own parameters take"


def _told(command: str, seconds: Mapping[str, Mapping[str, Any]]) -> str:
    if command in seconds:
        return f"{spoken(seconds[command]['seconds'])} on one core"
    why = reason(command) or (UNTIMED if re.match("hspec run|papermill", command) else "")
    return f"not timed: {why}" if why else ""


def spoken(seconds: float) -> str:
    """ "43 s", "4 min 20 s"; tens of seconds from two minutes on.

    Example:
        >>> spoken(43.2), spoken(258)
        ('43 s', '4 min 20 s')
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    minutes, rest = divmod(round(seconds, -1), 60)
    return f"{minutes:.0f} min {rest:.0f} s"


def reason(command: str) -> str:
    """Why a command is not timed; "" where it should be."""
    return next((why for what, why in REASONS.items() if re.search(what, command)), "")


def read_seconds(book: Path) -> dict[str, dict[str, Any]]:
    """{command: {"seconds", "machine", "date", "revision"}} of the folder book/."""
    file = book / FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def all_commands(repository: Repository) -> list[str]:
    """Every command that a page or the README shows, in the order of their files."""
    pages = [repository.root / "README.md", *sorted(repository.book.glob("*.md"))]
    texts = [page.read_text(encoding="utf-8") for page in pages if page.is_file()]
    for notebook in sorted((repository.root / "notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return list(dict.fromkeys(command for text in texts for command in commands_of(text)))


def take_time(repository: Repository, command: str) -> dict[str, Any]:
    """Run a command of the book with an empty store and its output elsewhere.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    with tempfile.TemporaryDirectory(prefix="hspec-seconds-") as folder:
        words, root = _elsewhere(shlex.split(command), repository.root, Path(folder))
        own = {"HSPEC_STORE": f"{folder}/store", "OMP_NUM_THREADS": "1"}
        before = os.times()
        subprocess.run(
            words,
            cwd=root,
            env=os.environ | own,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        after = os.times()
    spent = sum(after[2:4]) - sum(before[2:4])  # of all processes that it started
    return {
        "seconds": round(spent, 1),
        "machine": machine_name("cpu"),
        "date": datetime.now(UTC).date().isoformat(),
        "revision": git_revision(),
    }


def _elsewhere(words: list[str], root: Path, folder: Path) -> tuple[list[str], Path]:
    """The words of a command that leaves its output in the folder, and where it is to be started;
    make, with this environment, in a clone of its own.
    """
    if words[0] == "make":
        clone = folder / "clone"
        subprocess.run(["git", "clone", "--quiet", root, clone], check=True)
        (clone / ".venv").symlink_to(sys.prefix)
        return ["make", "-o", ".venv/.ready", *words[1:]], clone
    program = [sys.executable, "-m", words[0]]
    if words[:2] == ["hspec", "run"]:
        return [*program, *words[1:], "-o", str(folder / "out.ipynb")], root
    return [*program, *(str(folder / w) if w == "out.ipynb" else w for w in words[1:])], root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="begin nothing later than that")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only commands with one of these")
    options = parser.parse_args()
    repository = Repository.find()
    known, started = read_seconds(repository.book), time.monotonic()
    for command in all_commands(repository):
        wanted = any(word in command for word in options.words) or (
            not options.words and command not in known
        )
        if not wanted or reason(command):
            continue
        if time.monotonic() - started > 60 * options.minutes:
            break
        known[command] = take_time(repository, command)
        print(f"{spoken(known[command]['seconds'])}: {command}", flush=True)
        text = json.dumps(dict(sorted(known.items())), indent=1) + "\n"
        write_whole(repository.book / FILE, lambda file, text=text: file.write(text.encode()))


if __name__ == "__main__":
    main()
