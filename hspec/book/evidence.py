"""Every claim with the nets that the results which come with the book judge it by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hspec.book.at_laptop_scale import laptop_verdicts
from hspec.book.judged import Judged
from hspec.chapters.averaging.measure import averaging
from hspec.chapters.averaging.verdict import verdict_averaging
from hspec.chapters.batch_norm.verdict import at_last_common_step, verdict_outliers
from hspec.chapters.bulk_and_outliers.measure import bulk_and_outliers
from hspec.chapters.bulk_and_outliers.verdict import (
    verdict_bulk_and_outliers,
    verdict_training_alone,
)
from hspec.chapters.class_means.measure import class_structure
from hspec.chapters.class_means.verdict import verdict_class_structure
from hspec.chapters.class_structure_everywhere.measure import layer_structure
from hspec.chapters.class_structure_everywhere.verdict import verdict_layers
from hspec.chapters.early_training.verdict import verdict_stored
from hspec.chapters.end_of_training.verdict import verdict_end
from hspec.chapters.hierarchy.measure import class_geometry
from hspec.chapters.hierarchy.verdict import verdict_bulks, verdict_clusters
from hspec.chapters.hierarchy_growth.verdict import verdict_growth
from hspec.chapters.instrument.measure import instrument
from hspec.chapters.instrument.verdict import verdict_instrument
from hspec.chapters.kronecker.measure import layer_curvature
from hspec.chapters.kronecker.verdict import verdict_kronecker
from hspec.chapters.logit_then_class.measure import delta_geometry
from hspec.chapters.logit_then_class.verdict import verdict_order
from hspec.chapters.misclassification.measure import logistic_fisher
from hspec.chapters.misclassification.verdict import verdict_misclassification
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.chapters.outlier_ownership.verdict import verdict_ownership
from hspec.chapters.power_law.measure import log_spectrum
from hspec.chapters.power_law.verdict import verdict_power_law
from hspec.chapters.second_moment.measure import second_moment
from hspec.chapters.second_moment.verdict import verdict_second_moment
from hspec.chapters.upper_tail.measure import upper_tail
from hspec.chapters.upper_tail.verdict import verdict_upper_tail
from hspec.experiments import CLAIMS, Record, Store, Verdict
from hspec.experiments.claims import OUTCOMES, factor_of
from hspec.experiments.films import published_films
from hspec.experiments.grid import present, published_grid
from hspec.experiments.level_spectra import level_spectra
from hspec.experiments.scale import of_test_images, of_the_papers
from hspec.experiments.training_spectrum import training_spectrum
from hspec.keys import digest
from hspec.papers.outliers import both_splits

TAIL = 1e-3  # of the bulk: the upper tail, as the chapter's notebook takes it


def judged(store: Store) -> dict[str, list[Judged]]:
    """For every claim what the published records say: the papers' nets first, of them the one that
    says least for the claim; then narrower ones, the largest first. Where there are none, what
    those at laptop scale say.
    """
    found, toys = by_claim(_all_verdicts(store)), by_claim(laptop_verdicts(store))
    return {claim: results or toys[claim] for claim, results in found.items()}


def by_claim(judged: Iterable[tuple[Record, list[Verdict]]]) -> dict[str, list[Judged]]:
    """The records with their verdicts, by claim and net; the net that decides a claim first."""
    found: dict[str, dict[str, list]] = {claim: {} for claim in CLAIMS}
    for record, verdicts in judged:
        if _of_others(record):
            continue
        for claim in dict.fromkeys(verdict.claim for verdict in verdicts):
            of_claim = tuple(verdict for verdict in verdicts if verdict.claim == claim)
            # its training and its test sample are judged together
            found[claim].setdefault(net_of(record), []).append((record, of_claim))
    return {
        claim: sorted(map(_of_one_net, nets.values()), key=_by_scale, reverse=True)
        for claim, nets in found.items()
    }


def _of_one_net(samples: list[tuple[Record, tuple[Verdict, ...]]]) -> Judged:
    return Judged(tuple(sorted(samples, key=lambda sample: of_test_images(sample[0]))))


def _of_others(record: Record) -> bool:
    """Whether the net is neither one of the papers' nor narrower than one, as of public weights of
    other depths: its chapter tells of it.
    """
    of = record.setting
    return of is not None and of.dataset != "digits" and of.width == 1 and not of_the_papers(record)


def net_of(record: Record) -> str:
    """The same of all trainings of one net that differ in their seeds only."""
    if record.setting is None:
        return digest(record.meta["setting"])
    of = {k: v for k, v in record.meta["setting"].items() if k not in ("init_seed", "data_seed")}
    return digest(of | {"recipe": of["recipe"] | {"seed": None}})


def _by_scale(result: Judged) -> tuple:
    """A claim about the papers' nets is decided by the one on which it does worst, of those that
    fit their training images; of narrower nets the largest comes first, and of equal ones the one
    that says least.
    """
    least = _says_least(result)
    if result.of_the_papers:
        return True, result.fits, *least, *result.record.evidence, result.net
    return False, *result.record.evidence, *least, result.net


def _says_least(result: Judged) -> tuple[float, ...]:
    """The larger, the less the net says for the claim: by its verdict, by the shares of its numbers
    that fail and that hold, by how far the worst that fails is from its threshold, and by how near
    to its own the nearest is that holds.
    """
    factors = {
        outcome: [factor_of(v.margin) for v in result.verdicts if v.outcome == outcome]
        for outcome in OUTCOMES
    }
    holding, failing = (factors[outcome] for outcome in OUTCOMES[:2])
    number = len(result.verdicts)
    return (
        {OUTCOMES[0]: 0, OUTCOMES[1]: 2}.get(result.outcome, 1),
        len(failing) / number,
        -len(holding) / number,
        max(failing, default=0),
        -min(holding, default=0),
    )


def _all_verdicts(store: Store) -> Iterator[tuple[Record, list[Verdict]]]:
    for measure, verdict in ONE_RECORD.items():
        for record in store.published_records(measure):
            yield record, verdict(record)
    for records in _by_net(store.published_records(layer_structure)):
        yield records[0], verdict_layers(records)
    for record, tested in both_splits(store):
        yield (
            record,
            verdict_bulk_and_outliers([record, tested])
            if tested
            else verdict_training_alone(record),
        )
    for measure, verdict in ONE_GRID.items():
        grid, records = published_grid(store, measure)
        if grid is not None:
            yield present(records)[-1], verdict(grid, records)
    for record in store.published_records(level_spectra):
        if record.setting.checkpoints != "ladder":  # of no grid: a net by itself
            yield record, verdict_bulks(record)
    yield from _of_films(store)


def _by_net(records: list[Record]) -> list[list[Record]]:
    """The records of one net together, in the order of their seeds."""
    nets: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.setting.init_seed):
        nets.setdefault(net_of(record), []).append(record)
    return list(nets.values())


ONE_RECORD: dict[Callable, Callable[[Record], list[Verdict]]] = {
    instrument: verdict_instrument,
    bulk_and_outliers: lambda record: verdict_bulk_and_outliers([record]),
    ownership: verdict_ownership,
    log_spectrum: lambda record: verdict_power_law(record, []),
    class_structure: verdict_class_structure,
    class_geometry: verdict_clusters,
    logistic_fisher: verdict_misclassification,
    averaging: lambda record: verdict_averaging([record]),
    second_moment: verdict_second_moment,
    layer_curvature: verdict_kronecker,
}
ONE_GRID: dict[Callable, Callable] = {
    delta_geometry: verdict_order,
    upper_tail: lambda grid, records: verdict_upper_tail(grid, records, TAIL),
    level_spectra: lambda grid, records: (
        verdict_growth(grid, records) + verdict_bulks(present(records)[-1])
    ),
}


def _of_films(store: Store) -> Iterator[tuple[Record, list[Verdict]]]:
    with_norm = published_films(norm="batch", batch_norm="batch", store=store)
    without = published_films(norm="none", batch_norm="eval", store=store)
    for film in with_norm[:1]:
        yield film[-1], verdict_stored(film)
    if pair := at_last_common_step(with_norm, without):
        yield pair[0][0], verdict_outliers(*pair)
    for record in store.published_records(training_spectrum):
        if record.setting.weights is not None and record.options["batch_norm"] == "batch":
            yield record, verdict_end([record])  # a net that came fully trained
