"""jupyter-book as a program: the folder book/ becomes HTML, and every warning an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from hspec.book.errors import BookError
from hspec.book.repository import Repository


def render(repository: Repository, folder: Path, builder: str = "html") -> Path:
    """Build book/ below `folder`; returns the folder of what was built.

    Args:
        repository: The clone.
        folder: Where to build. An empty one: an incremental build would not repeat the warnings of
            a failed one.
        builder: "html", a file a page, or "singlehtml", one file for all.

    Raises:
        BookError: jupyter-book is not installed, or warns; with its warnings.
    """
    program = shutil.which("jupyter-book", path=str(Path(sys.executable).parent))
    if program is None:
        raise BookError(
            "jupyter-book is not installed here. Install the book's extra: pip install -e '.[book]'"
        )
    places = [str(repository.book), "--path-output", str(folder)]
    done = subprocess.run(
        [program, "build", *places, "--builder", builder, "-W", "-n", "--keep-going"],
        cwd=repository.root,
        env=os.environ | {"NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    log = repository.build / "jupyter-book.log"
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode:
        lines = done.stdout.splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-12:]
        raise BookError(
            "The pages do not build:\n  "
            + "\n  ".join(told)
            + "\n  All of it: _build/jupyter-book.log"
        )
    return folder / "_build" / builder
