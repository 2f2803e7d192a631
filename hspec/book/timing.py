"""Measure how long the commands of the book take, and keep it in book/seconds.json, with what they
show (:mod:`hspec.book.expected`).

`python -m hspec.book.timing [--minutes M] [--most S] [WORD …]` runs those commands that have no
entry yet (or those with one of the words in them) and writes what each took of the processor's
time, on one thread and with nothing stored but what comes with the book: on a busy machine the
clock on the wall would say more of the others than of the command. A command that wants more than S
seconds is ended, and kept as "more than". What no page has any more is taken out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hspec.book.expected import EXPECTED, FOLDER, keep_expected, picture_file
from hspec.book.repository import Repository
from hspec.book.running import read_notebook
from hspec.book.seconds import FILE, RUNS, all_commands, read_seconds, reason, told
from hspec.experiments.provenance import git_revision, machine_name
from hspec.files import write_whole

OUTPUT = "out.ipynb"  # as commands of the pages name the executed notebook


def take_time(repository: Repository, command: str, most: int | None = None) -> dict[str, Any]:
    """Run a command of the book with an empty store and its output elsewhere; none of its processes
    gets more than `most` seconds of a processor. What it drew is kept in the repository's book/.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    with tempfile.TemporaryDirectory(prefix="hspec-seconds-") as folder:
        words, root = _elsewhere(shlex.split(command), repository.root, Path(folder))
        own = {"HSPEC_STORE": f"{folder}/store", "OMP_NUM_THREADS": "1"}
        before, started = os.times(), time.monotonic()
        done = subprocess.run(
            words,
            cwd=root,
            env=os.environ | own,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=most and (lambda: resource.setrlimit(resource.RLIMIT_CPU, (most, most))),
        )
        after = os.times()
        executed = Path(folder, OUTPUT)
        shown = executed.is_file() and not done.returncode
        expected = shown and keep_expected(read_notebook(executed), command, repository.book)
    spent = sum(after[2:4]) - sum(before[2:4])  # of all processes that it started
    # Itself, or its kernel, of whose time it may not know then.
    killed = done.returncode == -signal.SIGKILL or (
        b"DeadKernelError" in done.stderr and time.monotonic() - started > (most or 0)
    )
    ended = bool(done.returncode and most and (killed or spent > 0.9 * most))
    if done.returncode and not ended:
        print(done.stderr.decode(), file=sys.stderr)
        done.check_returncode()
    return {
        "seconds": most if ended else round(spent, 1),
        **({"ended": True} if ended else {}),
        "machine": machine_name("cpu"),
        "load": round(os.getloadavg()[1], 1),  # of the last five minutes: other processes and this
        "date": datetime.now(UTC).date().isoformat(),
        "revision": git_revision(),
        **(expected or {}),
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
        return [*program, *words[1:], "-o", str(folder / OUTPUT)], root
    return [*program, *(str(folder / w) if w == OUTPUT else w for w in words[1:])], root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="begin nothing later than that")
    parser.add_argument("--most", type=int, metavar="S", help="end what takes more seconds")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only commands with one of these")
    options = parser.parse_args()
    repository = Repository.find()
    commands = all_commands(repository)
    known = {c: entry for c, entry in read_seconds(repository.book).items() if c in commands}
    started, failed = time.monotonic(), []
    for command in commands:
        named = any(word in command for word in options.words)
        if not (named or (not options.words and _lacking(command, known))) or reason(command):
            continue
        if time.monotonic() - started > 60 * options.minutes:
            break
        try:
            known[command] = take_time(repository, command, options.most)
        except subprocess.CalledProcessError:
            failed.append(command)
            continue
        print(f"{told(command, known)}: {command}", flush=True)
        _keep(repository.book, known)
    if failed:
        sys.exit("These failed, as is said above:\n" + "\n".join(failed))


def _lacking(command: str, known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether it was not timed yet, or before what it shows was kept."""
    entry = known.get(command, {})
    shows = RUNS.match(command) and not entry.get("ended")
    return not entry or bool(shows and not entry.keys() >= EXPECTED)


def _keep(book: Path, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the entries, and remove pictures that none of them has any more."""
    text = json.dumps(dict(sorted(known.items())), indent=1) + "\n"
    write_whole(book / FILE, lambda file: file.write(text.encode()))
    shown = [command for command, entry in known.items() if entry.keys() >= EXPECTED]
    of_known = {picture_file(book, command).stem for command in shown}
    for file in (book / FOLDER).glob("*.svg"):
        if file.name.partition(".")[0] not in of_known:
            file.unlink()


if __name__ == "__main__":
    main()
