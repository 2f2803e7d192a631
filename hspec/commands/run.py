"""`hspec run`: run one notebook with the reader's own parameters."""

import argparse
import os
import sys
from pathlib import Path

from hspec.book.errors import BookError
from hspec.book.repository import PROFILES, Repository
from hspec.book.results import keep_results, verdicts_in_words
from hspec.book.running import default_output, read_notebook, run_notebook
from hspec.book.telling import told


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run one notebook with your own parameters; names and types are checked before it runs."
    )
    parser.epilog = "example: hspec run bulk_and_outliers -p datasets '[MNIST]' -p seed 1"
    parser.add_argument(
        "notebook", metavar="NOTEBOOK", help="a chapter's name, or the path of a notebook"
    )
    parser.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a parameter and its value; lists are written '[1, 2]'; may be given again",
    )
    parser.add_argument("--profile", choices=PROFILES, help="start from this profile's parameters")
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="OUT",
        help="the executed notebook (default: under runs/)",
    )


def run(options: argparse.Namespace) -> None:
    repository = Repository.find()
    source = _notebook(repository, options.notebook)
    base = repository.profile(options.profile).get(source.stem, {}) if options.profile else {}
    parameters = base | dict(options.parameters)
    output = options.output or default_output(repository, source, parameters)
    run_notebook(repository, source, parameters, output, progress=sys.stderr.isatty())
    executed = read_notebook(output)
    if verdicts := verdicts_in_words(executed):
        print(f"{verdicts}\n")
    if found := told(executed):
        print(f"{found}\n")
    print(f"The executed notebook is {output}")
    if files := keep_results(executed, output.with_suffix("")):
        print(
            f"Its figures and numbers, {len(files)} files, are in {output.with_suffix('')}{os.sep}"
        )


def _notebook(repository: Repository, name: str) -> Path:
    """The notebook of a chapter's name, or at a path."""
    if name.endswith(".ipynb"):
        return Path(name)
    if name not in repository.chapters():
        raise BookError(
            f"There is no chapter {name!r}. Chapters: {', '.join(repository.chapters())}."
        )
    return repository.source(name)
