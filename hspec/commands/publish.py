"""`hspec publish`: put results of this machine's store among those that come with the book."""

import argparse
from functools import partial

from hspec.book.front import README, with_results
from hspec.book.laptop import fill_laptop
from hspec.book.repository import Repository
from hspec.chapters.measures import MEASURES
from hspec.errors import CommandError
from hspec.experiments import Store


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Copy results of this machine's store to data/results; pages show them, "
        "whoever builds them."
    )
    parser.add_argument(
        "measures",
        nargs="*",
        metavar="MEASURE",
        help=", ".join(MEASURES),
    )
    parser.add_argument(
        "--laptop",
        action="store_true",
        help="run the chapters at laptop scale and put what they measure into data/laptop; "
        "may be interrupted and started again",
    )


def run(options: argparse.Namespace) -> None:
    if unknown := sorted(set(options.measures) - set(MEASURES)):
        raise CommandError(f"there is no measure {', '.join(unknown)}: see hspec publish --help")
    if not options.measures and not options.laptop:
        raise CommandError("name a measure, or say --laptop: see hspec publish --help")
    if options.laptop:
        fill_laptop(Repository.find(), report=partial(print, flush=True))
    for measure in options.measures:
        for folder in Store().publish(MEASURES[measure]):
            size = sum(file.stat().st_size for file in folder.iterdir())
            print(f"{measure}/{folder.name}: {size / 1000:.0f} kB")
    if README.is_file():  # of a clone: it says what is stored now
        README.write_text(
            with_results(README.read_text(encoding="utf-8"), Store()), encoding="utf-8"
        )
