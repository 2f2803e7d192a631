"""The status page lists the papers' nets and says what was measured again, where."""

import json

from hspec.book.pages import chapter_states, status_page, verified_text
from hspec.book.repository import Repository
from hspec.experiments.store import REPOSITORY
from hspec.papers.nets import PUBLISHED_NETS


def test_every_cell_of_the_papers_nets_is_listed_with_its_command(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("HSPEC_STORE", str(tmp_path / "store"))
    page = status_page(toy)
    for key, net in PUBLISHED_NETS.items():
        for name in net.experiments:
            assert f"`hspec measure {key} {name}`" in page
    assert "not measured yet" in page
    assert "Not yet on the machine" in page


def test_what_comes_with_the_book_at_paper_scale_is_not_asked_for(monkeypatch):
    """The instrument's record is that of its paper profile; the upper tail's grid is narrower."""
    ran = {"key": "", "parameters": {}}
    monkeypatch.setattr("hspec.book.pages.staged_record", lambda *_: ran)
    states = {state.chapter: state for state in chapter_states(Repository(REPOSITORY))}
    assert states["instrument"].at_paper_scale
    assert not states["upper_tail"].at_paper_scale


def test_what_was_measured_again_is_said_with_machine_and_tolerance(tmp_path):
    report = {
        "date": "2026-01-02",
        "machine": "2 cores of an abacus, 3 GiB of memory",
        "tolerance": 0.01,
        "records": {
            "aaaabbbbcccc": ["repeated", "repeated to the last bit", 5],
            "d": ["skipped", "no", 0],
        },
    }
    (tmp_path / "verified.json").write_text(json.dumps(report))
    text = verified_text(tmp_path / "verified.json")
    assert (
        "1 repeated, 1 skipped: on 2026-01-02, 2 cores of an abacus, 3 GiB of memory, within 1%"
        in text
    )
    assert "| `aaaabbbb` | repeated to the last bit | 5 s |" in text
