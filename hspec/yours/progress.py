"""How far a measurement is, told to whoever wants to know."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

try:
    from tqdm.auto import tqdm
except ImportError:  # bars are no part of the library: without tqdm there are none
    tqdm = None

Report = Callable[[str, int, int], None]  # (stage, done, total; 0 where nobody knows it beforehand)


@contextlib.contextmanager
def reporting(progress: bool | Report) -> Iterator[Report]:
    """What stages report to: the caller's own function, a bar a stage (True), or nobody.

    Raises:
        TypeError: `progress` is neither.
    """
    if callable(progress):
        yield progress
    elif not isinstance(progress, bool):
        raise TypeError(
            f"progress is True, False or a function (stage, done, total); got {progress!r}"
        )
    elif progress and tqdm is not None:
        bars = _Bars()
        try:
            yield bars
        finally:
            bars.close()
    else:
        yield lambda stage, done, total: None


class _Bars:
    """One bar at a time, for the stage that is under way."""

    def __init__(self) -> None:
        self.bar, self.stage = None, ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self.stage:
            self.close()
            self.bar, self.stage = tqdm(desc=stage, total=total or None, unit="product"), stage
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
