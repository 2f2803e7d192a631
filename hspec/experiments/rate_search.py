"""The papers' search for a learning rate: a training run for each rate of a grid, or of a part.

Every run is an experiment, so that a search can be stopped, gone on with, shared and widened at any
time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hspec.experiments.experiment import Experiment, find_record
from hspec.experiments.loss_curves import loss_curves
from hspec.experiments.records import Record
from hspec.experiments.setting import Setting
from hspec.experiments.store import Store
from hspec.training.published_rates import GRIDS


def searched_rates(grid: str, every: int = 1) -> tuple[float, ...]:
    """Each ``every``-th rate of one of the papers' grids, from the largest on.

    Raises ValueError for an unknown grid, or where ``every`` is not positive.

    Example:
        >>> [round(rate, 4) for rate in searched_rates("P20", 33)]
        [0.25, 0.0184, 0.0014, 0.0001]
    """
    if grid not in GRIDS or every < 1:
        raise ValueError(
            f"rates: every {every} of {grid!r}; grids are {', '.join(map(repr, GRIDS))}"
        )
    return GRIDS[grid][::every]


def rate_search(base: Setting, rates: Sequence[float]) -> dict[float, Experiment]:
    """The losses of ``base`` trained at each rate; everything else as it is.

    Raises ValueError for no rate.

    Source: P20, appendix (100 rates, 25 for the MLP).
    """
    if not rates:
        raise ValueError("a search needs a rate")
    settings = {
        rate: replace(base, recipe=replace(base.recipe, learning_rate=rate)) for rate in rates
    }
    return {rate: Experiment(loss_curves, setting) for rate, setting in settings.items()}


@dataclass(frozen=True)
class Choice:
    """The rate of least test error at the last epoch, and how far the search has come."""

    rate: float
    test_error: float
    trained: int
    of: int
    diverged: int

    @property
    def complete(self) -> bool:
        """Whether every rate has been tried."""
        return self.trained == self.of


def stored_runs(
    search: Mapping[float, Experiment], store: Store | None = None
) -> dict[float, Record | None]:
    """What the store has of a search; None for a rate that is still to be tried.
    Trains nothing."""
    store = store or Store()
    return {rate: find_record(experiment, store) for rate, experiment in search.items()}


def chosen_rate(records: Mapping[float, Record | None]) -> Choice | None:
    """The choice among the rates tried so far; None where no run has come to its end.

    Runs that diverged are out. Of rates of equal test error the one of least test loss is taken,
    which is ours: the papers do not say.
    """
    tried = {rate: record for rate, record in records.items() if record is not None}
    ended = {rate: record for rate, record in tried.items() if not bool(record["diverged"])}
    scores = {
        rate: (float(of["test_error"][-1]), float(of["test_loss"][-1]))
        for rate, of in ended.items()
    }
    scores = {rate: score for rate, score in scores.items() if np.isfinite(score).all()}
    if not scores:
        return None
    best = min(scores, key=scores.__getitem__)
    return Choice(best, scores[best][0], len(tried), len(records), len(tried) - len(scores))
