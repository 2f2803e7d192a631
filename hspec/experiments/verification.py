"""Stored records measured again: does this machine give what they say?

The same code on the same kind of processor repeats a record to the last bit. Another processor, or
another version of PyTorch, rounds differently, and training carries that on, step by step, into
*another net* of the same kind: its loss is another one, and with it every number. So a record is
*repeated* where every bit agrees, *reproduced* where what it says agrees within a hundredth, of
*another net* where the loss does not or the weights are others, and *differs* where something else
does not agree. Older records do not say of which weights they are; there the loss alone tells.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hspec.data import MissingData
from hspec.experiments.experiment import Experiment, load_or_run
from hspec.experiments.measure import Measure
from hspec.experiments.records import Record
from hspec.experiments.store import Store
from hspec.keys import completed
from hspec.linalg import wasserstein

TOLERANCE = 0.01  # of a spectrum's range (Wasserstein-1), of an array's largest entry

# What is a different number in every run, or the place of another array's entries: it has no value
# of its own to be compared.
INCIDENTAL = ("residuals", "edges", "exact_cdf", "ghosts", "product_error", "map", "permuted")
# Seconds of training a parameter and a shown example, on one thread: VGG11's. Convolutions on
# larger images take more.
TRAINING = 5e-10
OUTCOMES = ("repeated", "reproduced", "another net", "differs", "skipped")


@dataclass(frozen=True)
class Verification:
    """A record, and what came of measuring it again.

    Args:
        record: The stored one.
        outcome: One of :data:`OUTCOMES`.
        worst: The array that is farthest off, what the losses are, or why it was skipped.
        deviation: How far, as a share of its range or of its largest entry; NaN where skipped.
        seconds: How long it took here.
    """

    record: Record
    outcome: str
    worst: str = ""
    deviation: float = np.nan
    seconds: float = 0.0


def deviations(stored: Record, again: Record) -> dict[str, float]:
    """How far the second record is from the first, array by array.

    Returns:
        For a quadrature, the Wasserstein-1 distance over the range of the spectrum, under the name
        of its prefix; for any other array, the largest difference over the largest entry; infinite
        where one of them is missing or has another shape.
    """
    prefixes = [n.removesuffix("dimension") for n in stored.arrays if n.endswith("dimension")]
    quadratures = [p for p in prefixes if f"{p}nodes" in stored and f"{p}plain_weights" in stored]
    found = {f"{p}spectrum": _distance(stored, again, p) for p in quadratures}
    for name, value in stored.arrays.items():
        if not name.endswith(INCIDENTAL) and not any(name.startswith(p) for p in quadratures if p):
            found[name] = _difference(value, again.arrays.get(name))
    return found


def _distance(stored: Record, again: Record, prefix: str) -> float:
    if f"{prefix}nodes" not in again:
        return np.inf
    a, b = (record.spectrum(prefix) for record in (stored, again))
    return wasserstein(a, b) / (a.support[1] - a.support[0])


def _difference(a: np.ndarray, b: np.ndarray | None) -> float:
    if b is None or a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return np.inf
    if a.dtype.kind not in "fiu":
        return 0.0 if np.array_equal(a, b) else np.inf
    if np.array_equal(a, b, equal_nan=True):
        return 0.0
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return np.inf
    return float(np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(a)))


def verify(record: Record, measures: Mapping[str, Measure], store: Store) -> Verification:
    """Measure a stored record again, in ``store``, which must not answer from what is stored."""
    meta, measure = record.meta, measures[record.meta["measure"]]
    if meta["version"] != measure.version:
        return Verification(record, "skipped", f"it is of version {meta['version']} of the measure")
    setting = record.setting
    try:
        today = setting and replace(setting)  # held against today's names and rules
    except (ValueError, TypeError) as error:
        return Verification(record, "skipped", str(error))
    if today != setting:
        return Verification(record, "skipped", f"{setting.model} is another net today")
    started = time.monotonic()
    try:
        options = completed(measure.function, meta["options"])
        again = load_or_run(Experiment(measure, setting, options), store, progress=False)
    except MissingData:
        return Verification(record, "skipped", f"{setting.dataset} is not on this machine")
    found = deviations(record, again)
    worst = max(found, key=found.__getitem__)
    seconds = time.monotonic() - started
    if meta["checksum"] == again.meta["checksum"]:
        return Verification(record, "repeated", worst, 0.0, seconds)
    if found.get("loss", 0.0) > TOLERANCE:
        losses = f"loss {again.loss:.3g}, stored {record.loss:.3g}"
        return Verification(record, "another net", losses, found["loss"], seconds)
    if found[worst] <= TOLERANCE:
        return Verification(record, "reproduced", worst, found[worst], seconds)
    if record.same_weights(again) is False:
        said = f"other weights, {worst} by {found[worst]:.1e}"
        return Verification(record, "another net", said, found[worst], seconds)
    return Verification(record, "differs", worst, found[worst], seconds)


def seconds_anew(record: Record) -> float:
    """What measuring takes from nothing: the record's own seconds, and at least so much for the
    training.

    Where the net had been trained before, for another record, its own seconds do not have that.
    """
    of = record.setting
    if of is None:
        return record.meta["seconds"]
    recipe, images = of.recipe, (of.per_class or 0) * int(record.arrays.get("num_classes", 1))
    shown = recipe.epochs * images if recipe.steps is None else recipe.steps * recipe.batch_size
    return record.meta["seconds"] + TRAINING * shown * int(record.arrays.get("num_parameters", 0))


def verify_all(
    records: Iterable[Record], measures: Mapping[str, Measure], minutes: float
) -> Iterator[Verification]:
    """Measure records again, the quickest first, until the minutes are spent.

    A record is not begun where it would overrun them, to judge by its own seconds and by how long
    the others took here.
    """
    spent, foreseen = 0.0, 0.0
    with tempfile.TemporaryDirectory(prefix="hspec-verify-") as folder:
        store = Store(folder, fresh=True)
        for record in sorted(records, key=seconds_anew):
            seconds = seconds_anew(record)
            pace = spent / foreseen if foreseen else 1.0
            if spent + pace * seconds > 60 * minutes:
                yield Verification(record, "skipped", f"it takes {pace * seconds:.0f} s")
                continue
            result = verify(record, measures, store)
            if result.outcome != "skipped":
                spent, foreseen = spent + result.seconds, foreseen + seconds
            yield result
