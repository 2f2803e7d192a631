"""The `hspec` command: make the book, run one notebook with other parameters, see what is there."""

import argparse
import os
import re
import sys
from functools import partial
from pathlib import Path

from hspec.book import PROFILES, BookError, Repository, make_book, run_notebook, status_text
from hspec.book.running import default_output
from hspec.chapters.measures import MEASURES
from hspec.experiments import Store, load_or_run
from hspec.papers.nets import PUBLISHED_NETS, compared


def main(arguments=None):
    """Run the command; returns the exit status: 0 done, 1 failed, 2 misused, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a locale that has no "–" or "λ"
    options = parser().parse_args(_negative_values(sys.argv[1:] if arguments is None else arguments))
    try:
        options.command(options)
    except (BookError, OSError) as error:  # OSError: a full disk, a folder that may not be written
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


def _negative_values(arguments):
    """The arguments, with values like -1e-3 marked as such: argparse would take them for options."""
    return [f" {word}" if re.fullmatch(r"-[\d.]+e[-+]?\d+", word, re.I) else word for word in arguments]


def parser():
    """The command's grammar and help."""
    top = argparse.ArgumentParser(
        prog="hspec", description="Spectra of deep-net Hessians: the book and its notebooks."
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    book = commands.add_parser(
        "book",
        help="run the chapters that changed and build the HTML book",
        description="Run the chapters whose notebook, parameters, code or versions changed; build the pages.",
    )
    book.add_argument(
        "--profile",
        choices=PROFILES,
        default="laptop",
        help="scale: smoke takes seconds a chapter, laptop (default) minutes, paper wants a large GPU",
    )
    book.add_argument(
        "--only", metavar="NAME", help="run only this chapter; the other pages stay as they are"
    )
    book.add_argument("--force", action="store_true", help="run and build even what has not changed")
    book.add_argument(
        "--fresh",
        action="store_true",
        help="measure everything anew instead of drawing results that come with the book",
    )
    book.set_defaults(command=_book)

    run = commands.add_parser(
        "run",
        help="run one notebook with your own parameters",
        description="Run one notebook with your own parameters; names and types are checked before it runs.",
        epilog="example: hspec run bulk_and_outliers -p datasets '[MNIST]' -p seed 1",
    )
    run.add_argument("notebook", metavar="NOTEBOOK", help="a chapter's name, or the path of a notebook")
    run.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a parameter and its value; lists are written '[1, 2]'; may be given again",
    )
    run.add_argument("--profile", choices=PROFILES, help="start from this profile's parameters")
    run.add_argument(
        "-o", dest="output", type=Path, metavar="OUT", help="the executed notebook (default: under runs/)"
    )
    run.set_defaults(command=_run)

    measure = commands.add_parser(
        "measure",
        help="measure one of the papers' nets, and show its numbers beside the printed ones",
        description="Measure one of the papers' nets at full width; what is stored already is not measured again, "
        "what was interrupted goes on.",
    )
    measure.add_argument("net", choices=PUBLISHED_NETS, metavar="NET", help=", ".join(PUBLISHED_NETS))
    measure.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help="some of the net's experiments; all by default"
    )
    measure.set_defaults(command=_measure)

    publish = commands.add_parser(
        "publish",
        help="copy results of this machine's store to data/results, to be committed",
        description="Copy results of this machine's store to data/results; pages show them, whoever builds them.",
    )
    publish.add_argument(
        "measures", nargs="+", choices=sorted(MEASURES), metavar="MEASURE", help=", ".join(MEASURES)
    )
    publish.set_defaults(command=_publish)

    status = commands.add_parser("status", help="what was run, when, at which scale, and what is out of date")
    status.set_defaults(command=_status)
    return top


def _book(options):
    if options.fresh:
        os.environ["HSPEC_FRESH"] = "1"  # read by the store in the chapters' kernels
    report = partial(print, flush=True)
    index = make_book(
        Repository.find(), options.profile, only=options.only, force=options.force, report=report
    )
    print(f"The book is ready. Open {index.as_uri()}")


def _run(options):
    repository = Repository.find()
    source = _notebook(repository, options.notebook)
    base = repository.profile(options.profile).get(source.stem, {}) if options.profile else {}
    parameters = base | dict(options.parameters)
    output = options.output or default_output(repository, source, parameters)
    run_notebook(repository, source, parameters, output, progress=sys.stderr.isatty())
    print(f"The executed notebook is {output}")


def _notebook(repository, name):
    """The notebook of a chapter's name, or at a path."""
    if name.endswith(".ipynb"):
        return Path(name)
    if name not in repository.chapters():
        raise BookError(f"There is no chapter {name!r}. Chapters: {', '.join(repository.chapters())}.")
    return repository.source(name)


def _measure(options):
    net = PUBLISHED_NETS[options.net]
    unknown = sorted(set(options.experiments) - set(net.experiments))
    if unknown:
        raise BookError(
            f"{options.net} has no experiment {', '.join(unknown)}: it has {', '.join(net.experiments)}"
        )
    for name in options.experiments or net.experiments:
        record = load_or_run(net.experiments[name], progress=sys.stderr.isatty())
        print(f"{options.net} {name}: {record.meta['seconds']:.0f} s on {record.meta['device']}", flush=True)
    for row in compared(net):
        print(f"{row.quantity}: printed {row.published:.4g}, measured {row.measured:.4g}")


def _publish(options):
    for measure in options.measures:
        for folder in Store().publish(measure):
            size = sum(file.stat().st_size for file in folder.iterdir())
            print(f"{measure}/{folder.name}: {size / 1000:.0f} kB")


def _status(options):
    print(status_text(Repository.find()))
