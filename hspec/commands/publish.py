"""`hspec publish`: put results of this machine's store among those that come with the book."""

import argparse

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
