"""The front door: what was found, in five sentences and a strip of verdicts, from the stored
results.

`python -m hspec.book.front` writes them into the README again; the landing page has them from here.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

from hspec.book.scoreboard import strip
from hspec.book.seconds import BLOCK, read_seconds, with_seconds
from hspec.chapters.bulk_and_outliers.measure import bulk_and_outliers
from hspec.chapters.bulk_and_outliers.verdict import outlier_count
from hspec.chapters.class_means.measure import class_structure
from hspec.chapters.class_means.verdict import a1_share, survivors
from hspec.chapters.instrument.measure import instrument
from hspec.chapters.instrument.verdict import single_probe_distances
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.chapters.outlier_ownership.verdict import edge
from hspec.experiments import CLAIMS, Record, Store
from hspec.experiments.claims import typeset
from hspec.experiments.film_quantities import depth
from hspec.experiments.films import published_films
from hspec.experiments.scale import net_name
from hspec.papers.outliers import both_splits
from hspec.words import counted

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- results: python -m hspec.book.front -->", "<!-- end of results -->"
KNOWN = 0.05  # of a ratio of two eigenvalues: with a larger residual it is not told
LEGEND = (
    "✓ holds, ✗ fails, ? open, – not decided yet; 2 of 4: two of the four numbers that judge it "
    "hold, in the papers' net that says least for it; narrower: in a narrower net on their data; "
    "toy: in a narrow net on digits"
)
CLASSES = {"✓": "holds", "✗": "fails", "?": "open", "–": "waiting"}


def findings(store: Store) -> list[str]:
    """A sentence each on what the largest stored result of a kind shows;
    none where none is stored.
    """
    return [sentence for tell in SENTENCES if (sentence := tell(store))]


def _net(record: Record) -> str:
    """ "a VGG11 at 1/8 of the width (447,194 parameters)"."""
    return f"a {net_name(record)} ({record.num_parameters:,} parameters)"


def _instrument(store: Store) -> str:
    if (record := store.largest_published(instrument)) is None:
        return ""
    ours, plain = (distances.mean() for distances in single_probe_distances(record))
    return (
        f"One probe of {record.options['num_steps']} products places the whole spectrum of a net "
        "with "
        f"{record.num_parameters:,} parameters within {typeset(ours)} of its range (Wasserstein-1, "
        "against all "
        f"eigenvalues by a dense solve); the papers' plain rule within {typeset(plain)}."
    )


def _outliers(store: Store) -> str:
    """Of the papers' largest net of which both kinds of images were measured, or of a narrower."""
    both = next(([r, t] for r, t in both_splits(store) if t is not None), None)
    found = both or store.published_records(bulk_and_outliers)
    if not found:
        return ""
    largest = max(found, key=lambda record: record.num_parameters)
    test = "test images"
    if both and _of_two_runs(*both):
        test += ", measured in another run,"
    gaps = ", ".join(
        f"on {images} after number {count}, where λ falls by a factor of {ratio:.2f}"
        for split, images in (("train", "its training images"), ("test", test))
        for record in found
        if record.setting == largest.setting and record.options["split"] == split
        for count, ratio in [outlier_count(record["top"], record.num_classes)]
    )
    return (
        f"Among the top eigenvalues of {_net(largest)} on {largest.setting.dataset} "
        f"({largest.num_classes} classes) the largest gap is {gaps}."
    )


def _of_two_runs(one: Record, other: Record) -> bool:
    """Whether the net was trained anew between the two; by the code's revision where no record
    says of which weights it is.
    """
    same = one.same_weights(other)
    return one.meta.get("revision") != other.meta.get("revision") if same is None else not same


def _owners(store: Store) -> str:
    if (record := store.largest_published(ownership)) is None:
        return ""
    overlap = (record["cosines"] ** 2).mean()
    height = record["h_ends"][0] / edge(record)
    return (
        f"In {_net(record)} on {record.setting.dataset} the top {len(record['cosines'])} "
        f"eigenvectors of the Gauss-Newton part G share {overlap:.1%} of the span "
        f"of the Hessian's, and the largest eigenvalue of the other part, H, is {height:.2f} of "
        "the last of them."
    )


def _means(store: Store) -> str:
    if (record := store.largest_published(class_structure)) is None:
        return ""
    left, _ = survivors(record)
    return (
        f"In {_net(record)} on {record.setting.dataset} the class means make "
        f"{a1_share(record):.0%} of the sum of G's top {record.num_classes} eigenvalues; with the "
        f"means taken out, {counted(left, 'eigenvalue')} still "
        f"{'exceeds' if left == 1 else 'exceed'} G's {record.num_classes}th, where G "
        f"has {record.num_classes - 1}."
    )


def _film(store: Store) -> str:
    films = published_films(norm="batch", batch_norm="batch", store=store)
    if not films:
        return ""
    first, last = films[0][0], films[0][-1]
    (start, slack), (end, rest) = depth(first), depth(last)
    if not max(slack / start, rest / end) <= KNOWN:  # also where λ_max has not converged
        return ""
    return (
        f"In {_net(first)} with batch normalisation, $-\\lambda_{{\\min}}/\\lambda_{{\\max}}$ is "
        f"{start:.3g} at step {first.step} and {end:.2g} at step {last.step}."
    )


SENTENCES: tuple[Callable[[Store], str], ...] = (_instrument, _outliers, _owners, _means, _film)


def landing(store: Store) -> str:
    """The Markdown that the landing page includes."""
    chips = " ".join(
        f'<a class="chip {CLASSES[chip[0]]}" href="notebooks/{chapter}.html" '
        f'title="{escape(CLAIMS[claim])}">{claim} {chip}</a>'
        for claim, chapter, chip in strip(store)
    )
    told = "\n".join(f"* {sentence}" for sentence in findings(store))
    return f'{told}\n\n<p class="strip">{chips}</p>\n\n<p class="legend">{LEGEND}</p>\n'


def readme_block(store: Store) -> str:
    """The part of the README between its marks."""
    told = "\n".join(f"* {sentence}" for sentence in findings(store))
    chips = " · ".join(f"{claim} {chip}" for claim, _, chip in strip(store))
    return f"{told}\n\nAll claims ({LEGEND}): {chips}\n"


def with_results(readme: str, store: Store) -> str:
    """The README's text with the part between its marks made anew, and the seconds above its
    commands.
    """
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    seconds = read_seconds(README.parent / "book")
    told = BLOCK.sub(lambda block: f"```bash\n{with_seconds(block[1], seconds)}```", after)
    return f"{before}{BEGIN}\n{readme_block(store)}{END}{told}"


if __name__ == "__main__":
    README.write_text(with_results(README.read_text(encoding="utf-8"), Store()), encoding="utf-8")
