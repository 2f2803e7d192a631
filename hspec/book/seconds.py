"""How long the commands of the book take, as book/seconds.json has it, said above each of them.

hspec/book/timing.py measures it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hspec.book.repository import Repository

FILE = "seconds.json"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
TOLD = re.compile(
    r"^# (?:(?:more than )?\d[\d mins]* on one core|not timed[:;] .*)\n", re.MULTILINE
)
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
    r"^python -m benchmarks": "hours, and a quiet machine",
    r"^hspec (sweep|measure|merge|publish|verify)": "its page says how long",
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


def with_seconds(
    block: str, seconds: Mapping[str, Mapping[str, Any]], own: Mapping[str, Any] | None = None
) -> str:
    """The text of a block with a comment above each command: how long it takes, or why that is not
    known, which is said once of commands that follow each other.

    own: the record of the page's run (`hspec.book.staging.stage_chapter`), where it is one of a
    chapter: how long its own parameters take says something of others.

    Example:
        >>> print(with_seconds("brew tea\\nfetch milk\\n", {"brew tea": {"seconds": 260}}))
        # 4 min 20 s on one core
        brew tea
        fetch milk
        <BLANKLINE>
    """
    lines, said = [], ""
    for command, line in _lines(TOLD.sub("", block)):
        if command:
            comment = told(command, seconds, own)
            if comment and not (comment == said and command not in seconds):
                lines.append(f"# {comment}\n")
            said = comment
        lines.append(line)
    return "".join(lines)


RUNS = re.compile("hspec run|papermill")  # a notebook
# Of a chapter's command that has not been timed yet.
UNTIMED = "the end of its page says what its own parameters take"


def told(
    command: str,
    seconds: Mapping[str, Mapping[str, Any]],
    own: Mapping[str, Any] | None = None,
) -> str:
    """What stands above a command: its seconds, or why there are none."""
    if command in seconds:
        known = seconds[command]
        more = "more than " if known.get("ended") else ""
        return f"{more}{spoken(known['seconds'])} on one core"
    if why := reason(command):
        return f"not timed: {why}"
    if not RUNS.match(command):
        return ""
    if own and own.get("measuring"):
        return f"not timed; measuring this page's own results took {spoken(own['measuring'])}"
    return f"not timed: {UNTIMED}"


def spoken(seconds: float) -> str:
    """ "43 s", "4 min 20 s"; tens of seconds from two minutes on.

    Example:
        >>> spoken(43.2), spoken(258), spoken(300)
        ('43 s', '4 min 20 s', '5 min')
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    minutes, rest = divmod(round(seconds, -1), 60)
    return f"{minutes:.0f} min" + (f" {rest:.0f} s" if rest else "")


def reason(command: str) -> str:
    """Why a command is not timed; "" where it should be."""
    return next((why for what, why in REASONS.items() if re.search(what, command)), "")


def read_seconds(book: Path) -> dict[str, dict[str, Any]]:
    """{command: {"seconds", "machine", "load", "date", "revision"}} of the folder book/; with
    "ended" where the command was ended after those seconds, with what `hspec.book.expected` keeps
    where it draws something.
    """
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
