"""`hspec measure`: one of the papers' nets, its numbers beside the printed ones."""

import argparse
import sys

from hspec.commands.joined import joined
from hspec.errors import CommandError
from hspec.experiments import Store, load_or_run
from hspec.experiments.provenance import default_device
from hspec.papers.nets import PUBLISHED_NETS, compared


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure one of the papers' nets; what is stored already is not measured "
        "again, what was interrupted goes on. Under torchrun (torchrun --nproc-per-node 2 -m hspec "
        "measure …) "
        "processes share the images."
    )
    parser.add_argument(
        "net", choices=PUBLISHED_NETS, metavar="NET", help=", ".join(PUBLISHED_NETS)
    )
    parser.add_argument(
        "experiments",
        nargs="*",
        metavar="EXPERIMENT",
        help="some of the net's experiments; all by default",
    )


def run(options: argparse.Namespace) -> None:
    net = PUBLISHED_NETS[options.net]
    unknown = sorted(set(options.experiments) - set(net.experiments))
    if unknown:
        raise CommandError(
            f"{options.net} has no experiment {', '.join(unknown)}: it has "
            f"{', '.join(net.experiments)}"
        )
    with joined(default_device().type) as ranks:
        store, progress = Store(group=ranks.group), sys.stderr.isatty() and ranks.rank == 0
        for name in options.experiments or net.experiments:
            record = load_or_run(net.experiments[name], store, progress=progress)
            seconds, device = record.meta["seconds"], record.meta["device"]
            print(f"{options.net} {name}: {seconds:.0f} s on {device}", flush=True)
        for row in compared(net):
            print(f"{row.quantity}: printed {row.published:.4g}, measured {row.measured:.4g}")
