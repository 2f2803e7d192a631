"""Temporary folders beside what is being made; what killed processes left is removed by the next one."""

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MACHINE = re.sub(r"\W", "_", platform.node())


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder in `parent`, gone afterwards. Its name says whose it is: machine and process.

    Before it is made, the folders are removed that processes of this machine left when they were killed.
    Raises OSError where `parent` cannot be made or written to.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{prefix}{MACHINE}-*-*"):
        if not _is_running(int(left.name.removeprefix(f"{prefix}{MACHINE}-").split("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{MACHINE}-{os.getpid()}-", dir=parent) as folder:
        yield Path(folder)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, and does nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
