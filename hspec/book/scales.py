"""Where a net of the papers and a narrower one say different things of a claim: both, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hspec.book.judged import Judged
from hspec.chapters.averaging.measure import averaging
from hspec.chapters.averaging.verdict import across_scales as why_averages
from hspec.chapters.bulk_and_outliers.verdict import across_scales as why_gaps
from hspec.chapters.class_means.measure import class_structure
from hspec.chapters.class_means.verdict import across_scales as why_means
from hspec.chapters.class_structure_everywhere.measure import layer_structure
from hspec.chapters.class_structure_everywhere.verdict import across_scales as why_layers
from hspec.chapters.class_structure_everywhere.verdict import of_training
from hspec.chapters.hierarchy.measure import class_geometry
from hspec.chapters.hierarchy.verdict import across_scales as why_clusters
from hspec.chapters.kronecker.measure import layer_curvature
from hspec.chapters.kronecker.verdict import across_scales as why_products
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.chapters.outlier_ownership.verdict import across_scales as why_owners
from hspec.chapters.power_law.measure import log_spectrum
from hspec.chapters.power_law.verdict import across_scales as why_laws
from hspec.experiments import Record, Store, Verdict
from hspec.experiments.claims import MARKS
from hspec.experiments.measure import Measure
from hspec.experiments.one_thing import one_thing_apart
from hspec.experiments.scale import of_test_images, over_training
from hspec.figures.tables import typeset
from hspec.papers.outliers import with_top

# What is known of the reason, from all records of a measure that come with the book.
REASONS: dict[str, tuple[Measure, Callable[[Sequence[Record]], str]]] = {
    "P18-1": (ownership, lambda records: why_gaps([with_top(r) for r in over_training(records)])),
    "P18-2": (ownership, why_owners),
    "P18-3": (log_spectrum, why_laws),
    "P18-5": (class_structure, why_means),
    "P18-6": (class_geometry, why_clusters),
    "P19-1": (averaging, why_averages),
    "P20-1": (layer_structure, lambda records: of_training(one_thing_apart(records, "updates"))),
    "P20-2": (layer_structure, why_layers),
    "P20-4": (layer_curvature, why_products),
}
NOT_FOUND = "The reason is not found, and nothing was tried."
HEADING = """\
## Where scales differ

What a net of the papers and a narrower one say of the same claim where it is not the same, number
beside number; and the reason, as far as it was found."""


def where_scales_differ(results: Mapping[str, list[Judged]], store: Store) -> str:
    """The section of the scoreboard; "" where every claim has one answer."""
    pairs = {claim: pair for claim, found in results.items() if (pair := differing(found))}
    if not pairs:
        return ""
    head = ["claim", "measured", "full width", "narrower"]
    rows = [row for claim, pair in pairs.items() for row in _rows(claim, *pair)]
    table = [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *rows]
    reasons = [f"**{claim}.** {reason(claim, store) or NOT_FOUND}" for claim in pairs]
    return "\n\n".join([HEADING, "\n".join(table), *reasons]) + "\n"


def differing(found: Sequence[Judged]) -> tuple[Judged, Judged] | None:
    """The papers' net that decides and the largest other one, where their answers differ."""
    papers = next((result for result in found if result.of_the_papers), None)
    narrower = next((result for result in found if not result.of_the_papers), None)
    if papers is None or narrower is None or papers.outcome == narrower.outcome:
        return None
    return papers, narrower


def reason(claim: str, store: Store) -> str:
    """What the records that come with the book say of the reason; "" where nobody has asked."""
    if claim not in REASONS:
        return ""
    measure, why = REASONS[claim]
    return why(store.records_of_the_book(measure))


def _rows(claim: str, papers: Judged, narrower: Judged) -> list[str]:
    """The numbers of both nets that were decided differently; the nets above them."""
    nets = [
        claim,
        "all its numbers",
        f"{papers.chip}<br>{papers.net}",
        f"{narrower.chip}<br>{narrower.net}",
    ]
    theirs = {(of_test_images(record), v.quantity): v for record, v in narrower.rows}
    rows = [nets]
    for record, row in papers.rows:  # beside the same number over images of the same kind
        other = theirs.get((of_test_images(record), row.quantity))
        if other is not None and other.outcome != row.outcome:
            rows.append([claim, typeset(papers.named(record, row)), _cell(row), _cell(other)])
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in rows]


def _cell(verdict: Verdict) -> str:
    return f"{MARKS[verdict.outcome]} {typeset(verdict.value)}"
