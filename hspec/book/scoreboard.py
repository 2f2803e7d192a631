"""The scoreboard: what the results that come with the book say of every claim,
the papers' nets first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hspec.book.judged import Judged
from hspec.book.scales import where_scales_differ
from hspec.chapters.averaging.measure import averaging
from hspec.chapters.averaging.verdict import verdict_averaging
from hspec.chapters.batch_norm.verdict import at_last_common_step, verdict_outliers
from hspec.chapters.bulk_and_outliers.measure import bulk_and_outliers
from hspec.chapters.bulk_and_outliers.verdict import verdict_bulk_and_outliers
from hspec.chapters.class_means.measure import class_structure
from hspec.chapters.class_means.verdict import verdict_class_structure
from hspec.chapters.class_structure_everywhere.measure import layer_structure
from hspec.chapters.class_structure_everywhere.verdict import verdict_layers
from hspec.chapters.early_training.verdict import (
    PAPER_STEP,
    verdict_negative_start,
    verdict_settling,
)
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
from hspec.experiments.films import published_films
from hspec.experiments.grid import present, published_grid
from hspec.experiments.level_spectra import level_spectra
from hspec.experiments.training_spectrum import training_spectrum
from hspec.figures.tables import typeset
from hspec.keys import digest


@dataclass(frozen=True)
class Origin:
    """Where the book decides a claim, and the number that the paper prints for it, if it does."""

    chapter: str
    figure: str  # of the chapter, drawn at every scale
    published: str = "–"


ORIGINS = {
    "P18-1": Origin(
        "bulk_and_outliers", "largest-eigenvalues", "about C = 10 outliers; 100 on CIFAR-100"
    ),
    "P18-2": Origin("outlier_ownership", "eigenspace-overlap"),
    "P18-3": Origin(
        "power_law",
        "law-fits",
        "slopes −2.7, and −2.2 on the log-spectrum (test H, VGG11, MNIST, 1,351 per class)",
    ),
    "P18-4": Origin("upper_tail", "tail-map"),
    "P18-5": Origin("class_means", "knock-outs"),
    "P18-6": Origin("hierarchy", "hierarchy-silhouettes"),
    "P18-7": Origin("hierarchy", "hierarchy-levels"),
    "P18-8": Origin(
        "hierarchy_growth",
        "growth-maps",
        "P18a: both part A1 from B2; P20, figure 6: little change",
    ),
    "P19-1": Origin(
        "averaging", "averaging-scree", "λ_i(G1) over λ_i(G), i ≤ 10: 0.83 … 0.99 (ResNet18)"
    ),
    "P19-2": Origin("second_moment", "second-moment-top"),
    "P19-3": Origin(
        "logit_then_class",
        "logit-class-silhouettes",
        "by class from about epoch 10 (VGG16) and 18 (ResNet50), on ImageNet",
    ),
    "P20-1": Origin("class_structure_everywhere", "before-and-after", "spectra, by eye"),
    "P20-2": Origin("class_structure_everywhere", "with-depth", "spectra, by eye"),
    "P20-3": Origin("misclassification", "ratio-and-error", "an analytic statement, no experiment"),
    "P20-4": Origin("kronecker", "layer-misses", "spectra, by eye; at shallow layers no better"),
    "GKX-1": Origin("instrument", "instrument", "two curves that lie on each other"),
    "GKX-2": Origin("early_training", "early-stills", "gone at step 515"),
    "GKX-3": Origin("early_training", "early-changes"),
    "GKX-4": Origin("learning_rate_drop", "drop-seeds"),
    "GKX-5": Origin("end_of_training", "end-negative", "λ_min ≈ −0.0006 at λ_max of order 1"),
    "GKX-6": Origin("batch_norm", "norm-ratios"),
    "GKX-7": Origin("population_batch_norm", "population-ratios"),
}
TAIL = 1e-3  # of the bulk: the upper tail, as the chapter's notebook takes it


def judged(store: Store) -> dict[str, list[Judged]]:
    """For every claim what the published records say,
    the papers' nets and the largest ones first.
    """
    found: dict[str, dict[str, Judged]] = {claim: {} for claim in CLAIMS}
    for record, verdicts in _all_verdicts(store):
        net = net_of(record)  # its training and its test sample are judged together
        for verdict in verdicts:
            earlier = found[verdict.claim].get(net, Judged(record, ()))
            found[verdict.claim][net] = Judged(earlier.record, (*earlier.verdicts, verdict))
    return {claim: sorted(results.values(), key=_by_scale) for claim, results in found.items()}


def net_of(record: Record) -> str:
    """The same of all trainings of one net that differ in their seeds only."""
    if record.setting is None:
        return digest(record.meta["setting"])
    of = {k: v for k, v in record.meta["setting"].items() if k not in ("init_seed", "data_seed")}
    return digest(of | {"recipe": of["recipe"] | {"seed": None}})


def _by_scale(result: Judged) -> tuple[bool, int, int]:
    return (
        not result.of_the_papers,
        -result.record.num_parameters,
        -result.record.num_examples,
    )


def _all_verdicts(store: Store) -> Iterator[tuple[Record, list[Verdict]]]:
    for measure, verdict in ONE_RECORD.items():
        for record in store.published_records(measure):
            yield record, verdict(record)
    for records in _by_net(store.published_records(layer_structure)):
        yield records[0], verdict_layers(records)
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
        yield film[-1], verdict_negative_start(film, min(PAPER_STEP, film[-1].step))
        epoch = film[0].setting.recipe.steps_per_epoch(
            film[0].setting.per_class * film[0].num_classes
        )
        ends = set(range(0, film[-1].step + 1, epoch))
        if len(ends) > 2 and ends <= {frame.step for frame in film}:
            yield film[-1], verdict_settling(film, epoch)
    if pair := at_last_common_step(with_norm, without):
        yield pair[0][0], verdict_outliers(*pair)
    for record in store.published_records(training_spectrum):
        if record.setting.weights is not None and record.options["batch_norm"] == "batch":
            yield record, verdict_end([record])  # a net that came fully trained


def scoreboard_page(store: Store) -> str:
    """The Markdown of the page: one line a claim."""
    results = judged(store)
    decided = sum(bool(found) for found in results.values())
    head = ["claim", "full width", "narrower", "the number", "published"]
    rows = [_row(claim, results[claim]) for claim in CLAIMS]
    return "\n".join(
        [
            "# Scoreboard",
            "",
            INTRODUCTION.format(decided=decided, claims=len(CLAIMS)),
            "",
            f"| {' | '.join(head)} |",
            "|" + "---|" * len(head),
            *rows,
            "",
            where_scales_differ(results, store),
        ]
    )


INTRODUCTION = """\
What the results that come with this book say of every claim, one line each; {decided} of the
{claims} claims are decided by stored results so far, the others by a run of their chapter. A claim
is decided by one or several numbers; it *holds* (✓) where all of them say so, *fails* (✗) where one
does not, and is open (?) where one cannot tell. "2 of 3" counts those that hold. The criteria are
this book's own, and the chapter says them beside each number. *Full width* is a net of the papers
on their data; `--profile paper` behind a command runs its chapter so. This page is made from the
stored results, whatever the scale at which the other pages were run."""


def _row(claim: str, found: list[Judged]) -> str:
    origin = ORIGINS[claim]
    papers = next((r for r in found if r.of_the_papers), None)
    smaller = next((r for r in found if not r.of_the_papers), None)
    first = papers or smaller
    stated = typeset(CLAIMS[claim].rstrip("."))
    cells = [
        f"**{claim}** [{stated}](../notebooks/{origin.chapter}.ipynb)<br>"
        f"{{ref}}`figure <fig-{origin.figure}>` · `hspec run {origin.chapter}`",
        *("–" if r is None else f"{r.chip}<br><small>{r.net}</small>" for r in (papers, smaller)),
        "not decided yet" if first is None else typeset(_number(first)),
        typeset(origin.published),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(result: Judged) -> str:
    """The row that decided: the first that has the claim's own outcome."""
    row = next(v for v in result.verdicts if v.outcome == result.outcome)
    return f"{row.quantity}: {row.value}; holds if {row.criterion}"


def strip(store: Store) -> list[tuple[str, str, str]]:
    """(claim, chapter, chip) of every claim that has a chapter,
    for the landing page and the README.
    """
    return [
        (claim, ORIGINS[claim].chapter, found[0].chip if found else "–")
        for claim, found in judged(store).items()
    ]
