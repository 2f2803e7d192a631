"""The scoreboard: what the results that come with the book say of every claim,
the papers' nets first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hspec.book.evidence import judged
from hspec.book.judged import Judged
from hspec.book.scales import where_scales_differ
from hspec.experiments import CLAIMS, Record, Store
from hspec.experiments.claims import OUTCOMES, factor_of
from hspec.experiments.scale import in_units, trained_for
from hspec.figures.tables import typeset
from hspec.words import counted


@dataclass(frozen=True)
class Origin:
    """Where the book decides a claim, and the number that the paper prints for it, if it does."""

    chapter: str
    figure: str  # of the chapter, drawn at every scale
    published: str = "–"
    of_stored: str = ""  # the figure of the stored nets, where they have their own

    def figure_of(self, result: Judged | None) -> str:
        """The figure of nets of this one's scale."""
        return self.figure if result is None or result.toy else self.of_stored or self.figure


ORIGINS = {
    "P18-1": Origin(
        "bulk_and_outliers",
        "largest-eigenvalues",
        "about C = 10 outliers; 100 on CIFAR-100",
        of_stored="largest-eigenvalues-papers",
    ),
    "P18-2": Origin("outlier_ownership", "eigenspace-overlap", of_stored="three-spectra-published"),
    "P18-3": Origin(
        "power_law",
        "law-fits",
        "slopes −2.7, and −2.2 on the log-spectrum (test H, VGG11, MNIST, 1,351 per class)",
        of_stored="law-fits-published",
    ),
    "P18-4": Origin("upper_tail", "tail-map", of_stored="tail-map-published"),
    "P18-5": Origin("class_means", "knock-outs", of_stored="knock-outs-published"),
    "P18-6": Origin("hierarchy", "hierarchy-silhouettes", of_stored="hierarchy-maps-densenet"),
    "P18-7": Origin("hierarchy", "hierarchy-levels"),
    "P18-8": Origin(
        "hierarchy_growth",
        "growth-maps",
        "P18a: both part A1 from B2; P20, figure 6: little change",
        of_stored="growth-maps-published",
    ),
    "P19-1": Origin(
        "averaging",
        "averaging-scree",
        "λ_i(G1) over λ_i(G), i ≤ 10: 0.83 … 0.99 (ResNet18)",
        of_stored="averaging-papers",
    ),
    "P19-2": Origin("second_moment", "second-moment-top"),
    "P19-3": Origin(
        "logit_then_class",
        "logit-class-silhouettes",
        "by class from about epoch 10 (VGG16) and 18 (ResNet50), on ImageNet",
    ),
    "P20-1": Origin("class_structure_everywhere", "before-and-after", "spectra, by eye"),
    "P20-2": Origin(
        "class_structure_everywhere",
        "with-depth",
        "spectra, by eye",
        of_stored="with-depth-published",
    ),
    "P20-3": Origin("misclassification", "ratio-and-error", "an analytic statement, no experiment"),
    "P20-4": Origin(
        "kronecker",
        "layer-misses",
        "spectra, by eye; at shallow layers no better",
        of_stored="layer-misses-published",
    ),
    "GKX-1": Origin(
        "instrument",
        "instrument",
        "two curves that lie on each other",
        of_stored="instrument-paper",
    ),
    "GKX-2": Origin(
        "early_training", "early-stills", "gone at step 515", of_stored="early-published"
    ),
    "GKX-3": Origin("early_training", "early-changes", of_stored="early-changes-published"),
    "GKX-4": Origin("learning_rate_drop", "drop-seeds"),
    "GKX-5": Origin(
        "end_of_training",
        "end-negative",
        "λ_min ≈ −0.0006 at λ_max of order 1",
        of_stored="end-trained",
    ),
    "GKX-6": Origin("batch_norm", "norm-ratios", of_stored="norm-published"),
    "GKX-7": Origin("population_batch_norm", "population-ratios"),
}


def scoreboard_page(store: Store) -> str:
    """The Markdown of the page: one line a claim."""
    results = judged(store)
    waiting = sum(not found for found in results.values())
    head = ["claim", "full width", "narrower", "the number", "published"]
    rows = [_row(claim, results[claim]) for claim in CLAIMS]
    return "\n".join(
        [
            "# Scoreboard",
            "",
            INTRODUCTION.format(waiting=f"; {waiting} are not judged yet" if waiting else ""),
            "",
            f"| {' | '.join(head)} |",
            "|" + "---|" * len(head),
            *rows,
            "",
            where_scales_differ(results, store),
            "",
            *_every_net(results),
        ]
    )


def _every_net(results: dict[str, list[Judged]]) -> list[str]:
    """A section with a row for each claim and net, also those that the lines above leave out."""
    rows = [
        f"| {claim} | {result.chip} | {_named(result)}{_trained(result.record)} |"
        for claim, found in results.items()
        for result in found
    ]
    if not rows:
        return []
    head = ["| claim | verdict | net |", "|---|---|---|"]
    return [
        "## Every net by itself",
        "",
        ":::{dropdown} One row a claim and net",
        *head,
        *rows,
        ":::",
    ]


INTRODUCTION = """\
What the results that come with this book say of every claim, one line each{waiting}. A claim is
judged by one or several numbers; it *holds* (✓) where all of them say so, *fails* (✗) where one
does not, and is open (?) where one cannot tell. "2 of 3" counts those that hold; the number shown
is the one that decides (of several that fail the farthest from its threshold, of several that hold
the nearest), of the net that the line names: of the papers' nets that fit their images the one that
says least for the claim, by its verdict, then by the shares of its numbers that fail and that hold,
then by how far; of narrower ones the largest. *Figure* leads to one of the chapter's stored nets,
whose caption names them; the net that decides need not be among them. Of the papers' other nets the
line says how many of them say what, and the list at the end which. The criteria are this book's
own, and the chapter says them beside each number. *Full width* is a net of the papers on their
data, or data drawn as in the paper where the claim is about no net; `--profile paper` behind a
command runs its chapter so. *Toy* is a narrow net on scanned digits, the scale of the chapters' own
runs: the answer where nothing larger was measured. This page is made from the stored results,
whatever the scale at which the other pages were run."""


def _row(claim: str, found: list[Judged]) -> str:
    origin = ORIGINS[claim]
    of_papers = [r for r in found if r.of_the_papers]
    papers = next(iter(of_papers), None)
    smaller = next((r for r in found if not r.of_the_papers), None)
    first = papers or smaller
    stated = typeset(CLAIMS[claim].rstrip("."))
    cells = [
        f"**{claim}** [{stated}](../notebooks/{origin.chapter}.ipynb)<br>"
        f"{{ref}}`figure <fig-{origin.figure_of(first)}>` · `hspec run {origin.chapter}`",
        _cell(papers, of_papers[1:]),
        _cell(smaller),
        "not decided yet" if first is None else typeset(_number(first)),
        typeset(origin.published),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cell(result: Judged | None, others: Sequence[Judged] = ()) -> str:
    """What a net says, and how many others say what."""
    if result is None:
        return "–"
    marks = [f"{mark} {n}" for mark, n in Counter(r.chip[0] for r in others).items()]
    also = f"; {counted(len(others), 'other net')}: {', '.join(marks)}" if others else ""
    return f"{result.chip}<br><small>{_named(result)}{also}</small>"


def _named(result: Judged) -> str:
    return f"{'toy: ' * result.toy}{result.net}"


def _trained(record: Record) -> str:
    return f", {in_units(*trained_for([record]))}" if record.setting else ""


def _number(result: Judged) -> str:
    """The row that decided: where all hold, the nearest to its threshold; of those that fail, the
    farthest; of open ones the first.
    """
    rows = [(record, v) for record, v in result.rows if v.outcome == result.outcome]
    worst = {OUTCOMES[0]: -1, OUTCOMES[1]: 1}.get(result.outcome, 0)
    record, row = max(rows, key=lambda of: worst and worst * factor_of(of[1].margin))
    return f"{result.named(record, row)}: {row.value}; holds if {row.criterion}"


def strip(store: Store) -> list[tuple[str, str, str]]:
    """(claim, chapter, chip) of every claim that has a chapter,
    for the landing page and the README.
    """
    return [
        (claim, ORIGINS[claim].chapter, f"{found[0].chip}{_scale(found[0])}" if found else "–")
        for claim, found in judged(store).items()
    ]


def _scale(result: Judged) -> str:
    if result.of_the_papers:
        return ""
    return " toy" if result.toy else " narrower"
