"""`hspec publish`: put results of this machine's store among those that come with the book."""

import argparse

from hspec.book.front import README, with_results
from hspec.chapters.measures import MEASURES
from hspec.experiments import Store


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Copy results of this machine's store to data/results; pages show them, whoever builds them."
    )
    parser.add_argument(
        "measures",
        nargs="+",
        choices=sorted(MEASURES),
        metavar="MEASURE",
        help=", ".join(MEASURES),
    )


def run(options: argparse.Namespace) -> None:
    for measure in options.measures:
        for folder in Store().publish(MEASURES[measure]):
            size = sum(file.stat().st_size for file in folder.iterdir())
            print(f"{measure}/{folder.name}: {size / 1000:.0f} kB")
    if README.is_file():  # of a clone: it says what is stored now
        README.write_text(with_results(README.read_text(encoding="utf-8"), Store()), encoding="utf-8")
