"""`hspec merge`: take the records of another store into this machine's."""

import argparse
from pathlib import Path

from hspec.errors import CommandError
from hspec.experiments import Store
from hspec.experiments.records import holds_record


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Copy the records of other stores that this machine's has not. A record is named by all "
        "that it "
        "depends on, so nothing can clash; damaged ones are left out with a warning."
    )
    parser.add_argument(
        "stores", nargs="+", type=Path, metavar="FOLDER", help="a store: HSPEC_STORE of elsewhere"
    )


def run(options: argparse.Namespace) -> None:
    for folder in options.stores:
        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder")
        if not any(map(holds_record, folder.glob("*/*"))):
            raise CommandError(f"{folder} holds no record: give the folder that HSPEC_STORE names")
        print(f"{folder}: {len(Store().merge(folder))} records are new")
