"""`hspec book`: run the chapters that changed and build the pages."""

import argparse
import os
from functools import partial

from hspec.book.building import make_book
from hspec.book.pdf import find_browser, make_pdf
from hspec.book.repository import PROFILES, Repository


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run the chapters whose notebook, parameters, code or versions changed; build the pages."
    )
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="laptop",
        help="scale: smoke takes seconds a chapter, laptop (default) minutes, paper a large GPU",
    )
    parser.add_argument(
        "--only", metavar="NAME", help="run only this chapter; the other pages stay as they are"
    )
    parser.add_argument(
        "--force", action="store_true", help="run and build even what has not changed"
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="measure everything anew instead of drawing results that come with the book",
    )
    parser.add_argument(
        "--pdf",
        action="store_true",
        help="print the book to one file, _build/hspec.pdf, too; needs Chromium or Chrome",
    )


def run(options: argparse.Namespace) -> None:
    if options.pdf:
        find_browser()  # before anything runs
    if options.fresh:
        os.environ["HSPEC_FRESH"] = "1"  # read by the store in the chapters' kernels
    repository = Repository.find()
    index = make_book(
        repository,
        options.profile,
        only=options.only,
        force=options.force,
        report=partial(print, flush=True),
    )
    if options.pdf:
        print(f"The book as one file: {make_pdf(repository)}")
    print(f"The book is ready. Open {index.as_uri()}")
