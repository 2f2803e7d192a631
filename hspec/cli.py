"""The `hspec` command: it finds the command that was named, loads it, and reports its errors."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module

from hspec.errors import CommandError
from hspec.extras import MissingExtra

COMMANDS = {  # each is the module hspec.commands.NAME, loaded when it is called
    "spectrum": "the spectrum of your own net: numbers, pictures and a page",
    "book": "run the chapters that changed and build the HTML book",
    "run": "run one notebook with your own parameters",
    "measure": "measure one of the papers' nets, and show its numbers beside the printed ones",
    "sweep": "fill the store with the cells that a file lists, by any number of workers",
    "merge": "take the records of another store into this machine's",
    "publish": "copy results of this machine's store to data/results, to be committed",
    "verify": "measure stored results again, and say which this machine reproduces",
    "status": "what was run, when, at which scale, and what is out of date",
}
TOGETHER = ("spectrum", "measure", "sweep")  # what several processes of torchrun do as one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 failed, 2 misused, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a locale that has no "–" or "λ"
    words = _negative_values(sys.argv[1:] if arguments is None else arguments)
    try:
        options, left_over = parser(words).parse_known_args(words)
        if left_over:
            options.misused(f"unrecognized arguments: {' '.join(left_over)}")
        _refuse_several(words)
        options.command(options)
    except (CommandError, MissingExtra, OSError) as error:  # OSError: a full disk, a closed folder
        print(f"hspec: {error}", file=sys.stderr)
        return 1
    except UnicodeEncodeError as error:
        print(
            f"hspec: this locale cannot write {error.object[error.start]!a}: set PYTHONUTF8=1",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(
            "\nhspec: interrupted. What was finished is kept; the same command goes on from there.",
            file=sys.stderr,
        )
        return 130
    return 0


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The grammar and help of the command line ``words``; of the commands, only the one named in
    it is loaded.

    Raises:
        MissingExtra: That command needs packages which are not installed.
    """
    top = argparse.ArgumentParser(
        prog="hspec", description="Spectra of deep-net Hessians: the book and its notebooks."
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    called = _called(words)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name == called:
            module = import_module(f"hspec.commands.{name}")
            module.configure(command)
            command.set_defaults(command=module.run, misused=command.error)
    return top


def _called(words: Sequence[str]) -> str | None:
    return next((word for word in words if not word.startswith("-")), None)


def _refuse_several(words: Sequence[str]) -> None:
    """A command of one process, which torchrun would do once in each of several."""
    name = _called(words)
    if name not in TOGETHER and "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise CommandError(
            f"hspec {name} is for one process: start it without torchrun, after hspec "
            f"{', '.join(TOGETHER)}, which share the work under it"
        )


def _negative_values(arguments: Sequence[str]) -> list[str]:
    """The arguments, with values like -1e-3 marked as such: argparse takes them for options."""
    return [
        f" {word}" if re.fullmatch(r"-[\d.]+e[-+]?\d+", word, re.I) else word for word in arguments
    ]
