"""`hspec spectrum`: the spectrum of one's own net, from the shell."""

import argparse
import inspect
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from torch import nn

from hspec.commands.joined import joined
from hspec.curvature import Risk, shard
from hspec.distributed import Alone
from hspec.errors import CommandError
from hspec.yours import plan, spectrum_of
from hspec.yours.named import made, named, network, sample
from hspec.yours.saving import PAGE, holds_another_page
from hspec.yours.settings import MATRICES, Settings

LOSSES: dict[str, Callable[[], nn.Module]] = {
    "cross-entropy": nn.CrossEntropyLoss,
    "mse": nn.MSELoss,
    "bce": nn.BCEWithLogitsLoss,
    "nll": nn.NLLLoss,
}
REFUSALS = (ValueError, TypeError, MemoryError, FloatingPointError)  # the library's, in a sentence
DEFAULTS = Settings()


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "The spectrum of the Hessian of your own net, and of its parts G and H: eigenvalues with "
        "residuals, "
        "densities with bands, on a page that opens offline. Interrupted, the same command goes "
        "on. Under "
        "torchrun (torchrun --nproc-per-node 2 -m hspec spectrum …) processes share the batches."
    )
    parser.epilog = (
        "example: hspec spectrum mynet:make_model --data mynet:make_batches --weights net.pt"
    )
    name = "PACKAGE.MODULE:NAME"
    parser.add_argument(
        "model", metavar=name, help="a torch.nn.Module, or a function that makes it"
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar=name,
        help="batches (a list, a DataLoader), or a function that makes them",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="a state_dict: .pt or .safetensors"
    )
    parser.add_argument(
        "--loss",
        default="cross-entropy",
        metavar="LOSS",
        help=f"{', '.join(LOSSES)}, or a loss, a function that makes one, or a function of "
        f"(outputs, targets), as {name}",
    )
    parser.add_argument(
        "--reduction", choices=("mean", "sum"), help="of a function that gives one number"
    )
    parser.add_argument(
        "--forward", metavar=name, help="a function (module, batch) -> (outputs, targets)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where results go (default: spectrum-NAME)"
    )
    parser.add_argument("--plan", action="store_true", help="only forecast time and memory")
    parser.add_argument("--batches", type=int, metavar="N", help="take the first N batches only")
    parser.add_argument("--device", default="cpu", help="such as cuda (default: cpu)")
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), help="to compute in (default: the net's)"
    )
    parser.add_argument("--batch-norm", choices=("eval", "batch", "population"), default="eval")
    parser.add_argument(
        "--parameters", nargs="+", metavar="NAME", help="names, prefixes or globs of θ's"
    )
    parser.add_argument("--matrices", nargs="+", choices=tuple(MATRICES), default=list(MATRICES))
    for name, kind, text in (
        ("top", int, "largest eigenvalues"),
        ("steps", int, "Lanczos steps a probe"),
        ("probes", int, "random probes"),
        ("tol", float, "residuals of the top eigenvalues, relative to the smallest of them"),
        ("seed", int, "of all that is random"),
    ):
        default = getattr(DEFAULTS, name)
        parser.add_argument(
            f"--{name}", type=kind, default=default, help=f"{text} (default: {default})"
        )


def run(options: argparse.Namespace) -> None:
    with joined(options.device) as ranks:
        _run(options, ranks)


def _run(options: argparse.Namespace, ranks: Alone) -> None:
    folder = _folder(options.out or Path(f"spectrum-{options.model.rpartition(':')[2]}"))
    settings = {
        name: getattr(options, name)
        for name in ("matrices", "top", "steps", "probes", "tol", "seed")
    }
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", RuntimeWarning)
        try:
            Settings(**settings)  # before anything is loaded
            risk = _risk(options, ranks)
            if options.plan:
                print(plan(risk, **settings))
                return
            checkpoint = folder / "checkpoint"
            found = spectrum_of(
                risk,
                checkpoint=checkpoint,
                progress=sys.stderr.isatty() and ranks.rank == 0,
                on_plan=lambda forecast: print(forecast, flush=True),
                **settings,
            )
        except REFUSALS as error:
            raise CommandError(str(error)) from error
        ranks.told(lambda: found.save(folder))
        if ranks.rank == 0:
            shutil.rmtree(checkpoint, ignore_errors=True)  # what it held is in the results now
    print(found.table())
    for note in dict.fromkeys(str(w.message) for w in notes if w.category is RuntimeWarning):
        print(f"Note: {note}")
    print(f"Open {(folder / 'index.html').resolve().as_uri()}")


def _folder(folder: Path) -> Path:
    """Where results can go: found out before anything is computed."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise CommandError(f"results cannot go to {folder}: {there} is a file; choose by --out")
    if not os.access(there, os.W_OK):
        raise CommandError(f"results cannot go to {folder}: {there} is closed; choose by --out")
    if holds_another_page(folder):
        raise CommandError(
            f"{folder} holds {PAGE}, which no spectrum left there: choose another folder by --out"
        )
    return folder


def _risk(options: argparse.Namespace, ranks: Alone) -> Risk:
    with ranks.agreed():
        module = _moved(network(options.model, options.weights), options.device)
        batches = sample(options.data)
        if options.batches is not None:
            if options.batches < 1:
                raise CommandError(f"--batches must be at least 1, not {options.batches}")
            batches = list(islice(batches, options.batches))
        loss = _loss(options.loss)
        forward = named(options.forward) if options.forward else None
    return Risk.from_module(
        module,
        batches if ranks.group is None else shard(batches),
        loss=loss,
        forward=forward,
        group=ranks.group,
        reduction=options.reduction,
        parameters=options.parameters,
        dtype=options.dtype,
        batch_norm=options.batch_norm,
    )


def _moved(module: nn.Module, device: str) -> nn.Module:
    try:
        return module.to(device)
    except (RuntimeError, AssertionError) as error:
        raise CommandError(f"--device {device}: {str(error).splitlines()[0]}") from error


def _loss(name: str) -> nn.Module | Callable:
    if name in LOSSES:
        return LOSSES[name]()
    if ":" not in name:
        raise CommandError(
            f"--loss {name} is unknown: {', '.join(LOSSES)}, or your own as package.module:name"
        )
    return made(name) if _makes_it(named(name)) else named(name)


def _makes_it(found: object) -> bool:
    """Whether it is a class, or a function that can be called with nothing: what (outputs, targets)
    are given to needs two.
    """
    if isinstance(found, type):
        return True
    if not inspect.isfunction(found):
        return False
    parameters = inspect.signature(found).parameters.values()
    return all(p.kind is p.VAR_KEYWORD or p.default is not p.empty for p in parameters)
