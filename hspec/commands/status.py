"""`hspec status`: what was run, when, at which scale, and what is out of date."""

import argparse

from hspec.book import Repository, status_text


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "What was run, when, at which scale, and what is out of date."


def run(options: argparse.Namespace) -> None:
    print(status_text(Repository.find()))
