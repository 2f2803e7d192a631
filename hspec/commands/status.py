"""`hspec status`: what was run, when, at which scale, what is out of date,
and what is being measured.
"""

import argparse

from hspec.book.pages import status_text
from hspec.book.repository import Repository
from hspec.commands.sweep import standing
from hspec.experiments import Store


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "What was run, when, at which scale, and what is out of date; how much of each sweep is "
        "done; and what "
        "processes are at, on any machine that shares the store: by whom, and whether they still "
        "live."
    )


def run(options: argparse.Namespace) -> None:
    repository, store = Repository.find(), Store()
    print(status_text(repository))
    for file in sorted((repository.root / "sweeps").glob("*.yaml")):
        print(standing(file, store).splitlines()[0])
    for name, holder in store.claims().items():
        print(f"claimed: {name} by {holder}")
