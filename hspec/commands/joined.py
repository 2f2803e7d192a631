"""Commands under torchrun: one command, several processes, one voice."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from hspec.distributed import Alone, launched, ranks_of
from hspec.errors import CommandError


@contextmanager
def joined(device: str) -> Iterator[Alone]:
    """The processes that torchrun started together, or this one alone; only the first of them
    speaks.

    What goes wrong on one is raised on all, and the first one says it; the others end with the same
    status.

    Args:
        device: where products will be made, such as "cuda".
    """
    with launched(device) as group:
        ranks = ranks_of(group)
        if ranks.rank == 0:
            yield ranks
            return
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            try:
                yield ranks
            except CommandError:
                raise SystemExit(1) from None
