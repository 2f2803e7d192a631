"""The progress bar of everything that takes long."""

import sys

from tqdm import tqdm

# Seconds between refreshes: on a terminal, and where each one stays, as in notebooks and logs.
TERMINAL, KEPT = 0.1, 2.0


def progress_bar(description: str, total: int | None, *, done: int = 0, shown: bool = True) -> tqdm:
    """A bar on stderr that starts at `done` of `total` and is cleared at the end;
    none where all is done already.
    """
    return tqdm(
        desc=description,
        total=total,
        initial=done,
        leave=False,
        disable=not shown or done == total,
        mininterval=TERMINAL if sys.stderr.isatty() else KEPT,
    )
