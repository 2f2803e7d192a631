"""The front door and the scoreboard say what the stored results say, and nothing else."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hspec.book import front
from hspec.book.at_laptop_scale import laptop_verdicts
from hspec.book.evidence import by_claim, judged
from hspec.book.front import findings, landing, with_results
from hspec.book.judged import Judged
from hspec.book.scales import REASONS, differing, where_scales_differ
from hspec.book.scoreboard import ORIGINS, scoreboard_page, strip
from hspec.chapters.instrument.measure import instrument
from hspec.chapters.instrument.verdict import single_probe_distances
from hspec.chapters.outlier_ownership.verdict import verdict_ownership
from hspec.experiments import CLAIMS, Record, Setting, Store, Verdict
from hspec.experiments.claims import MARKS, OUTCOMES
from hspec.experiments.training_spectrum import training_spectrum
from hspec.figures.tables import typeset
from hspec.keys import canonical
from hspec.papers.outliers import both_splits

ROOT = Path(__file__).parents[2]
STORE = Store(published=ROOT / "data" / "results")


@pytest.fixture(scope="module")
def results():
    """What every stored net says of every claim: some seconds' work."""
    return judged(STORE)


@pytest.fixture(scope="module")
def page():
    return scoreboard_page(STORE)


def test_every_claim_has_its_line_and_its_chapter(page):
    for claim, text in CLAIMS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| **{claim}**")]
        assert typeset(text.rstrip(".")) in row
        chapter = ROOT / "notebooks" / f"{ORIGINS[claim].chapter}.ipynb"
        figures = filter(None, (ORIGINS[claim].figure, ORIGINS[claim].of_stored))
        for figure in figures:
            assert f'"name": "fig-{figure}"' in chapter.read_text(encoding="utf-8")
    assert [claim for claim, *_ in strip(STORE)] == list(CLAIMS)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (("a", None), ("a", None), False),
        (("a", None), ("b", None), True),
        (("a", "0f"), ("b", "0f"), False),
        (("a", "0f"), ("a", "f0"), True),
    ],
)
def test_two_numbers_are_of_two_runs_where_their_weights_or_else_their_revisions_differ(
    monkeypatch, one, other, told
):
    def of(record, revision, weights):
        kept = {"revision": revision, "weights": {"7": weights} if weights else {}}
        return replace(record, meta=record.meta | kept)

    train, test = next(pair for pair in both_splits(STORE) if pair[1] is not None)
    pair = (of(train, *one), of(test, *other))
    monkeypatch.setattr(front, "both_splits", lambda store: [pair])
    (sentence,) = [s for s in findings(STORE) if "the largest gap is" in s]
    assert ("measured in another run" in sentence) == told


def test_several_nets_are_several_nets(page):
    found = re.findall(r"; ([\d,]+) other (nets?):", page)
    assert found
    assert all((number == "1") == (noun == "net") for number, noun in found)


def test_what_no_result_decides_is_said_to_be_undecided(tmp_path):
    empty = Store(tmp_path, tmp_path)
    page = scoreboard_page(empty)
    assert page.count("not decided yet") >= len(CLAIMS)
    assert f"one line each; {len(CLAIMS)} are not judged yet." in page.replace("\n", " ")
    assert not any(mark in line for line in page.splitlines() if line[:3] == "| *" for mark in "✓✗")
    assert findings(empty) == []
    assert landing(empty).count('class="chip waiting"') == len(CLAIMS)


@pytest.mark.parametrize(
    ("outcomes", "chip"),
    [
        (["holds", "holds"], "✓ 2 of 2"),
        (["holds", "fails", "inconclusive at this scale"], "✗ 1 of 3"),
        (["holds", "inconclusive at this scale"], "? 1 of 2"),
        (["fails"], "✗"),
    ],
)
def test_a_claim_holds_where_all_its_numbers_do(outcomes, chip):
    rows = tuple(Verdict("P18-1", "a", "1", ("exact",), "more", outcome) for outcome in outcomes)
    beside = Verdict("P18-1", "a control", "1", ("exact",), "more", "fails", judges=False)
    assert Judged(((None, rows), (None, (beside,)))).chip == chip


def made(number, *rows, split="train", **setting):
    """A record of a net of the papers, and rows of P18-5: outcome and margin."""
    of = Setting(**{"dataset": "MNIST", "model": "vgg11", "width": 1.0} | setting)
    facts = {"num_parameters": number, "num_examples": 100, "error_rate": 0.0}
    record = Record(
        {name: np.asarray(value) for name, value in facts.items()},
        {"setting": canonical(of), "options": {"split": split}},
    )
    verdicts = [
        Verdict("P18-5", f"row {i}", f"{split} {i}", ("exact",), "more", *row)
        for i, row in enumerate(rows)
    ]
    return record, verdicts


HOLDS, FAILS, OPEN = OUTCOMES


@pytest.mark.parametrize(
    ("least", "other"),
    [
        ([(HOLDS, ""), (FAILS, "by a factor 2")], [(HOLDS, ""), (OPEN, "")]),
        (
            [(HOLDS, ""), (FAILS, "by a factor 2"), (FAILS, "by a factor 2")],
            [(HOLDS, ""), (FAILS, "by a factor 9"), (OPEN, "")],
        ),
        ([(FAILS, "by a factor 9"), (OPEN, "")], [(FAILS, "by a factor 9"), (HOLDS, "")]),
        ([(HOLDS, ""), (FAILS, "by a factor 3.8")], [(HOLDS, ""), (FAILS, "by a factor 1.67")]),
        ([(FAILS, "by more than a factor 1000")], [(FAILS, "by a factor 999")]),
        ([(FAILS, "p = 0.001")], [(FAILS, "p = 0.01")]),
        ([(OPEN, ""), (HOLDS, "by a factor 2")], [(OPEN, ""), (HOLDS, "by a factor 3")]),
        ([(HOLDS, "by a factor 2")], [(HOLDS, "by a factor 3")]),
    ],
)
def test_of_the_papers_nets_the_one_that_says_least_decides(least, other):
    """Also where it is the smaller one, which was stored later or earlier."""
    small, large = made(7, *least, model="resnet18"), made(9, *other, model="vgg11")
    for order in ((small, large), (large, small)):
        first, second = by_claim(order)["P18-5"]
        assert [first.record, second.record] == [small[0], large[0]]


def test_the_number_the_net_and_the_images_are_of_one_record(monkeypatch):
    """Of a net with two samples, whichever was stored first."""
    train = made(9, (HOLDS, ""), (OPEN, "near"))
    test = made(9, (HOLDS, ""), (FAILS, "by a factor 2"), split="test")
    narrow = made(5, (HOLDS, ""), (HOLDS, ""), width=0.5)
    for order in ((train, test), (test, train)):
        found = by_claim([*order, narrow])
        net, _ = found["P18-5"]
        assert net.net.endswith("N = 100 and N = 100 test images")
        monkeypatch.setattr("hspec.book.scoreboard.judged", lambda store, found=found: found)
        assert "row 1 (test images): test 1; holds if more" in scoreboard_page(STORE)
        rows = where_scales_differ(found, STORE).split("\n")
        told = [row for row in rows if row.startswith("| P18-5 | row")]
        assert told == ["| P18-5 | row 1 (training images) | ? train 1 | ✓ train 1 |"]


def test_the_papers_nets_come_first(results):
    for found in results.values():
        order = [result.of_the_papers for result in found]
        assert order == sorted(order, reverse=True)
        assert all(result.chip[0] in MARKS.values() for result in found)
        marks = [result.chip[0] for result in found if result.of_the_papers and result.fits]
        assert marks == sorted(marks, key="✗?✓".index)  # the one that says least decides


def test_a_line_leads_to_the_figure_of_its_own_net(results, page):
    """A toy's stands in the chapter's live figure, a stored net's in that of stored ones."""
    lines = page.splitlines()
    for claim, found in results.items():
        (line,) = [line for line in lines if line.startswith(f"| **{claim}**")]
        own = ORIGINS[claim].figure if found[0].toy else ORIGINS[claim].of_stored
        assert f"<fig-{own or ORIGINS[claim].figure}>" in line


def test_the_line_shows_the_number_of_the_record_that_it_names(results, page):
    (line,) = [line for line in page.splitlines() if line.startswith("| **P18-2**")]
    first = results["P18-2"][0]
    record, images = first.record, first.net.partition("N = ")[2]
    assert "training" in line and images.endswith("misclassified") and "test images" in images
    assert verdict_ownership(record)[2].value.partition(";")[0] in line


def test_a_claim_is_decided_by_what_judges_it(results, page):
    (line,) = [line for line in page.splitlines() if line.startswith("| **GKX-1**")]
    assert "plain Gauss weights" in line and "promise of ours" not in line
    assert results["GKX-1"][0].chip == "✓ 2 of 2"


def test_chips_say_at_which_scale(results):
    chips = {claim: chip for claim, _, chip in strip(STORE)}
    for claim, (first, *_) in results.items():
        narrower = not first.of_the_papers
        assert chips[claim].endswith(" toy") == first.toy
        assert chips[claim].endswith(" narrower") == (narrower and not first.toy)


def test_nets_of_no_paper_are_told_in_their_chapters_only(results):
    """SqueezeNet and ResNet-20 came trained, at full width: no paper has them."""
    named = {result.net.partition(",")[0] for found in results.values() for result in found}
    assert {"VGG11", "ResNet-32"} <= named
    assert not named & {"SqueezeNet 1.1", "ResNet-20"}
    models = {r.setting.model for r in STORE.published_records(training_spectrum)}
    assert "resnet20" in models  # is stored, and was judged


def test_the_numbers_are_those_of_the_records():
    record = STORE.largest_published(instrument)
    ours, _ = single_probe_distances(record)
    digits, exponent = re.search(
        r"within \$([\d.]+) \\cdot 10\^\{(-\d+)\}\$", findings(STORE)[0]
    ).groups()
    assert float(f"{digits}e{exponent}") == pytest.approx(ours.mean(), rel=0.05)
    assert f"{record.num_parameters:,} parameters" in findings(STORE)[0]


def test_the_readme_says_what_is_stored_now():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == with_results(readme, STORE), "write it again: python -m hspec.book.front"


def test_trainings_that_differ_in_seeds_are_one_net(results):
    """As on the chapter's page, where three seeds are judged together."""
    (result,) = [r for r in results["P20-2"] if r.record.setting.model == "mlp:64x8"]
    assert all("3 seeds" in verdict.over for verdict in result.verdicts)


def test_what_only_toys_decide_is_said_to_be_so(tmp_path, results, page):
    only = {claim for claim, found in results.items() if found and found[0].toy}
    rows = {line.split("**")[1]: line for line in page.splitlines() if "| **" in line}
    for claim, _, chip in strip(STORE):
        assert (claim in only) == chip.endswith(" toy")
        assert claim not in only or "<small>toy: " in rows[claim]
    toys = [verdict.claim for _, rows in laptop_verdicts(STORE) for verdict in rows]
    assert toys == ["GKX-4"] * 2 + ["GKX-7"] * 4
    assert not list(laptop_verdicts(Store(tmp_path, tmp_path)))


def test_where_scales_differ_both_numbers_and_a_reason_are_said(results):
    found = {claim: pair for claim, of in results.items() if (pair := differing(of))}
    assert found.keys() <= REASONS.keys(), "say what was tried: hspec/book/scales.py"
    page = where_scales_differ(results, STORE)
    for claim, (papers, narrower) in found.items():
        assert (
            f"| {claim} | all its numbers | {papers.chip}<br>{papers.net} | {narrower.chip}" in page
        )
        assert len(page.partition(f"**{claim}.** ")[2].partition("\n\n")[0]) > 100
    assert where_scales_differ({claim: of[:1] for claim, of in results.items()}, STORE) == ""
