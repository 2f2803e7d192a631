"""The largest eigenvalues of the papers' nets, which come with who owns the outliers."""

from __future__ import annotations

import operator

import numpy as np

from hspec.chapters.outlier_ownership.measure import ownership
from hspec.experiments.records import Record
from hspec.experiments.scale import of_the_papers
from hspec.experiments.store import Store
from hspec.experiments.training_spectrum import KNOWN
from hspec.keys import digest


def outliers_of_the_papers(split: str = "train", store: Store | None = None) -> list[Record]:
    """The stored nets of the papers at full width, the largest first, with the largest of the C + 3
    eigenvalues of Hess over training or test images, up to the first that has not converged, under
    the names that `bulk_and_outliers` has for them.
    """
    found = filter(of_the_papers, (store or Store()).published_records(ownership))
    of_split = (record for record in found if record.options["split"] == split)
    largest_first = sorted(of_split, key=operator.attrgetter("evidence"), reverse=True)
    return [with_top(record) for record in largest_first]


def both_splits(store: Store | None = None) -> list[tuple[Record, Record | None]]:
    """Each of these nets over training images, and over test images where they were measured."""
    tested = {_net(record): record for record in outliers_of_the_papers("test", store)}
    return [(r, tested.get(_net(r))) for r in outliers_of_the_papers("train", store)]


def _net(record: Record) -> str:
    """The same of one net after one epoch."""
    return digest([record.meta["setting"], record.options.get("epoch")])


def with_top(record: Record) -> Record:
    """A record of `ownership` with the eigenvalues under the names of `bulk_and_outliers`."""
    return Record(record.arrays | _converged(record), record.meta)


def _converged(record: Record) -> dict[str, np.ndarray]:
    top, residuals = record["hess_top"], record["hess_residuals"]
    known = np.logical_and.accumulate(residuals <= KNOWN * np.abs(top))
    return {"top": top[known], "top_residuals": residuals[known]}
