"""The papers' own nets, beside the papers' own numbers.

A published net is a setting at full width, what is measured of it, and the numbers that were
printed for it. :func:`compared` sets them side by side; what a store does not have yet is NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hspec.experiments.records import Record
from hspec.experiments.store import Store
from hspec.papers.films import FILMS
from hspec.papers.net import PublishedNet
from hspec.papers.public_weights import PUBLIC_WEIGHTS
from hspec.papers.small_samples import POWER_LAW, SMALL_SAMPLES
from hspec.papers.updates import STRETCHED

# In the order in which they are measured.
PUBLISHED_NETS: dict[str, PublishedNet] = {
    **SMALL_SAMPLES,
    **STRETCHED,
    **PUBLIC_WEIGHTS,
    **FILMS,
    "vgg11-mnist-1351": POWER_LAW,
}


def stored_of(kind: str, experiment: str, store: Store | None = None) -> list[Record]:
    """What is stored of one experiment of all nets whose names begin with ``kind``,
    in the order of :data:`PUBLISHED_NETS`.
    """
    nets = [net for name, net in PUBLISHED_NETS.items() if name.startswith(kind)]
    found = (net.records(store).get(experiment) for net in nets)
    return [record for record in found if record is not None]


class Comparison(NamedTuple):
    """A published number beside the measured one (NaN: not measured yet),
    and measured / published.
    """

    quantity: str
    published: float
    measured: float
    ratio: float


def compared(net: PublishedNet, store: Store | None = None) -> list[Comparison]:
    """Every published number of the net beside the stored one."""
    records = net.records(store)
    rows = []
    for number in net.numbers:
        record = records[number.experiment]
        measured = np.nan if record is None else float(number.measured(record))
        rows.append(Comparison(number.quantity, number.value, measured, measured / number.value))
    return rows
