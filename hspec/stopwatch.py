"""How long work took that may have been interrupted and gone on with."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from hspec.files import write_whole

EVERY = 10.0  # seconds between two writings: a killed process loses no more of them


class Stopwatch:
    """Counts the seconds of `with` blocks: of this one, and of earlier ones with the same file.

    While a block runs, and at its end, the sum is written to the file; at first only where its
    folder holds something that can be gone on with, after :data:`EVERY` seconds in any case.

    file   beside the checkpoints of the work; None counts this block alone

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "checkpoint").touch()
        >>> for _ in range(2):
        ...     with Stopwatch(folder / "seconds") as watch:
        ...         time.sleep(0.1)
        >>> watch.seconds > 0.2
        True
    """

    def __init__(self, file: Path | None):
        self._file = file
        self._earlier = float(file.read_text()) if file is not None and file.exists() else 0.0
        self._stopped = Event()
        self._thread = Thread(target=self._keep_writing, daemon=True)

    @property
    def seconds(self) -> float:
        """So far, or up to the end of the block."""
        end = time.perf_counter() if self._end is None else self._end
        return self._earlier + end - self._start

    def __enter__(self) -> Stopwatch:
        self._start, self._end = time.perf_counter(), None
        if self._file is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = time.perf_counter()
        self._stopped.set()
        if self._file is not None:
            self._thread.join()
            if self._file.parent.exists() and any(self._file.parent.iterdir()):
                self._write()

    def _keep_writing(self) -> None:
        while not self._stopped.wait(EVERY):
            self._write()

    def _write(self) -> None:
        text = f"{self.seconds:.2f}\n".encode()
        with suppress(OSError):  # a disk that takes nothing refuses the checkpoints too, aloud
            write_whole(self._file, lambda file: file.write(text))
