"""Commands under torchrun: one command, several processes, one voice."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from hashlib import sha256
from pathlib import Path

import torch

from hspec.distributed import Alone, launched, ranks_of
from hspec.errors import CommandError

PACKAGE = Path(__file__).resolve().parents[1]


@contextmanager
def joined(device: str) -> Iterator[Alone]:
    """The processes that torchrun started together, or this one alone; only the first of them
    speaks.

    What goes wrong on one is raised on all, and the first one says it; the others end with the same
    status.

    Args:
        device: where products will be made, such as "cuda".

    Raises:
        CommandError: Python, PyTorch or hspec is another elsewhere.
    """
    with launched(device) as group:
        ranks = ranks_of(group)
        if ranks.rank == 0:
            refuse_unequal(ranks)
            yield ranks
            return
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            try:
                refuse_unequal(ranks)
                yield ranks
            except CommandError:
                raise SystemExit(1) from None


def refuse_unequal(ranks: Alone) -> None:
    """Raise CommandError where Python, PyTorch or the code of hspec is another than rank 0's."""
    if ranks.size == 1:
        return
    found = ranks.gather(_versions())
    for rank, there in enumerate(found):
        apart = [
            f"{name} {there[name]}, not {v}" for name, v in found[0].items() if there[name] != v
        ]
        if apart:
            raise CommandError(
                f"rank {rank} has {'; '.join(apart)} as rank 0: install the same for all ranks"
            )


def _versions() -> dict[str, str]:
    code = sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        code.update(file.read_bytes())
    python, hspec = platform.python_version(), code.hexdigest()[:12]
    return {"Python": python, "PyTorch": torch.__version__, "code of hspec": hspec}
