"""What a command shows is kept when it is timed, and folded below it on its page."""

import json
from types import SimpleNamespace

import nbformat
import pytest

from hspec.book import expected
from hspec.book.expected import EXPECTED, keep_expected, picture_file, with_expected
from hspec.book.figure_files import STACKED
from hspec.book.repository import Repository
from hspec.book.seconds import BLOCK, commands_of, read_seconds
from hspec.words import TOLD

V4 = nbformat.v4
COMMAND = "hspec run one -p a 1"
ENTRY = {"date": "2026-11-27", "revision": "abc", "machine": "1 core of a loom"}


def svg(mark):
    return f'<svg xmlns="http://www.w3.org/2000/svg"><desc>{mark}</desc></svg>'


def figure(mark, keys=(), stacked=""):
    notes = {"caption": f"{mark}.", "alt": f"{mark}\n1 at 2.", "seconds": dict.fromkeys(keys, 1.0)}
    data = {"image/svg+xml": svg(mark)} | ({"image/x-stacked-svg": stacked} if stacked else {})
    out = V4.new_output("display_data", data, metadata={TOLD: notes})
    return V4.new_code_cell(
        "f()", outputs=[out], metadata={"mystnb": {"figure": {"name": f"fig-{mark}"}}}
    )


def executed(*cells):
    notes = {
        "findings": "* stored\n* own",
        "findings of its own nets": "* own",
        "own": ["mine"],
        "badges": [],
    }
    last = V4.new_output("display_data", {"text/plain": "x"}, metadata={TOLD: notes})
    return V4.new_notebook(cells=[*cells, V4.new_code_cell("told", outputs=[last])])


def test_the_first_figure_of_the_runs_own_records_is_kept(tmp_path):
    run = executed(figure("stored", ["theirs"]), figure("own", ["mine", "theirs"]), figure("late"))
    kept = keep_expected(run, COMMAND, tmp_path)
    assert kept == {"alt": "own\n1 at 2.", "caption": "own.", "findings": "* own"}
    picture = picture_file(tmp_path, COMMAND)
    assert "<desc>own</desc>" in picture.read_text() and not picture.with_suffix(STACKED).exists()


def test_the_figure_that_answers_comes_first(tmp_path):
    last = figure("last")
    last.metadata["tags"] = ["answers"]
    assert keep_expected(executed(figure("own"), last), COMMAND, tmp_path)["caption"] == "last."


def test_its_panels_are_kept_stacked_too(tmp_path):
    keep_expected(executed(figure("own", stacked=svg("narrow"))), COMMAND, tmp_path)
    assert "narrow" in picture_file(tmp_path, COMMAND).with_suffix(STACKED).read_text()


def test_a_picture_too_large_for_a_page_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(expected, "LARGEST", 200)
    run = executed(figure("a" * 300), figure("small"))
    assert keep_expected(run, COMMAND, tmp_path)["caption"] == "small."
    assert keep_expected(executed(figure("a" * 300)), COMMAND, tmp_path) == {}


def test_it_is_folded_below_the_commands_block(tmp_path):
    page = f"```bash\nhspec run two\n{COMMAND}\n```\n\nMore.\n\n```bash\n{COMMAND}\n```\n"
    assert with_expected(page, {COMMAND: ENTRY | {"seconds": 3}}, tmp_path) == page
    entry = ENTRY | {"alt": "one\nand two", "caption": "N = 3", "findings": "* It is 3."}
    told = with_expected(page, {COMMAND: entry}, tmp_path)
    assert commands_of(told) == commands_of(page)
    assert told.index("What the second shows\n") < told.index("More.")
    assert told.count(":::{dropdown} What it shows\n") == 1
    picture = picture_file(tmp_path, COMMAND).relative_to(tmp_path)
    assert told.count(f"```{{image}} /{picture}\n:alt: one and two\n```\n\n*N = 3*\n\n* It is") == 2
    assert "Run on 2026-11-27 at revision `abc`, on 1 core of a loom.\n:::\n" in told


def test_chapters_get_it_and_other_pages_do_not(extension, tmp_path):
    entry = ENTRY | {"alt": "a", "caption": "", "findings": ""}
    (tmp_path / "seconds.json").write_text(json.dumps({COMMAND: entry}))
    text = f"```bash\n{COMMAND}\n```\n"
    notebook = {"cells": [{"cell_type": kind, "source": text} for kind in ("markdown", "code")]}
    app, given = SimpleNamespace(srcdir=tmp_path), [json.dumps(notebook)]
    extension._fold_what_is_expected(app, "notebooks/one", given)
    told, code = json.loads(given[0])["cells"]
    assert "What it shows" in told["source"] and code == notebook["cells"][1]
    extension._fold_what_is_expected(app, "intro", given := [text])
    assert given == [text]


def to_try(repository, chapter):
    """The questions and the commands of a chapter's section, as far as its first block of them."""
    cells = json.loads(repository.source(chapter).read_text(encoding="utf-8"))["cells"]
    text = "".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    _, _, section = text.partition("## Three to try\n\n")
    block = BLOCK.search(section)
    return section.splitlines()[:3], commands_of(block[0] + "\n")


CHAPTERS = list(Repository.find().chapters())


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_chapter_has_three_to_try_and_says_what_they_show(chapter):
    """Or that one wants more time than it was given, and then the others."""
    repository = Repository.find()
    questions, commands = to_try(repository, chapter)
    assert [line[:3] for line in questions] == ["1. ", "2. ", "3. "]
    assert all("?" in line for line in questions)
    assert len(commands) == 3
    known = read_seconds(repository.book)
    shown = [command for command in commands if known[command].keys() >= EXPECTED]
    assert all(known[command].get("ended") for command in set(commands) - set(shown))
    assert len(shown) >= 2, "python -m hspec.book.timing"


def test_pictures_are_of_known_commands():
    repository = Repository.find()
    known = read_seconds(repository.book)
    shown = {picture_file(repository.book, c).name for c, e in known.items() if "caption" in e}
    kept = (repository.book / "expected").glob("*.svg")
    assert {file.name for file in kept if not file.name.endswith(STACKED)} == shown


def test_what_a_command_shows_is_of_its_own_nets():
    """Stored nets may be measured again; what is folded below a command is not."""
    for command, entry in read_seconds(Repository.find().book).items():
        assert "stored" not in entry.get("findings", ""), command
