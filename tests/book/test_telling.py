"""What outputs say of a run stands under the title and under the figures of its page."""

import nbformat
import pytest
from matplotlib.figure import Figure

from hspec.book.errors import BookError
from hspec.book.telling import tell, told
from hspec.plotting.notebook import numbers_in_words
from hspec.words import TOLD

v4 = nbformat.v4
FIGURE = {"figure": {"caption": "A line.", "name": "fig-one"}}


def output(notes, **data):
    metadata = {TOLD: notes} if notes else {}
    return v4.new_output("execute_result", data, metadata=metadata, execution_count=1)


def page(*outputs):
    title = v4.new_markdown_cell("# Is it?\n\nA question.\n\n> **P18-1.** It is.\n\nMore.")
    cells = [v4.new_code_cell("f()", metadata={"mystnb": FIGURE}, outputs=[out]) for out in outputs]
    return v4.new_notebook(cells=[title, *cells])


def test_badge_and_findings_come_first():
    notes = {
        "heading": "In this run",
        "findings": "* It is 3.",
        "badges": [{"text": "toy: 3 < 4", "papers": False}],
    }
    notebook = page()
    notebook.cells.append(v4.new_code_cell("last", outputs=[output(notes, **{"text/plain": "x"})]))
    tell(notebook)
    lines = notebook.cells[0].source.split("\n")
    assert ":::{admonition} In this run" in lines
    assert lines[0] == "# Is it?" and lines[2] == '<p class="scale toy">toy: 3 &lt; 4</p>'
    claim, found, more = (
        lines.index(line) for line in ("> **P18-1.** It is.", "* It is 3.", "More.")
    )
    assert claim < found < more


def test_a_figure_has_the_caption_and_text_of_its_run():
    notes = {"caption": "N = 3.", "alt": "1 at 2."}
    notebook = page(output(notes, **{"image/svg+xml": "<svg/>"}))
    tell(notebook)
    settings = notebook.cells[1].metadata["mystnb"]
    assert settings["figure"]["caption"] == "A line. *N = 3.*"
    assert settings["image"]["alt"] == "1 at 2."


def test_a_plain_figure_is_told_by_its_numbers():
    """Of a notebook that stores nothing: the text is read off what is drawn."""
    figure = Figure()
    figure.subplots().plot([0, 1], [2, 5], label="growth")
    numbers, notes = numbers_in_words(figure)
    drawn = {"image/svg+xml": "<svg/>", "text/csv": numbers}
    notebook = page(v4.new_output("display_data", drawn, metadata={"text/csv": notes}))
    tell(notebook)
    settings = notebook.cells[1].metadata["mystnb"]
    assert settings["figure"]["caption"] == "A line."
    assert "growth: 2 at 0" in settings["image"]["alt"]


def test_a_figure_that_tells_nothing_is_refused():
    with pytest.raises(BookError, match="fig-one has no generated caption"):
        tell(page(output(None, **{"image/svg+xml": "<svg/>"})))


def test_a_terminal_is_told_without_marks():
    notes = {
        "heading": "In this run",
        "findings": "* ✓ **P18-1.** $\\lambda_{1}$ is $3 \\cdot 10^{-15}$. *By far.*",
        "badges": [],
    }
    notebook = page()
    notebook.cells.append(v4.new_code_cell("last", outputs=[output(notes, **{"text/plain": "x"})]))
    assert told(notebook) == "In this run:\n• ✓ P18-1. λ_1 is 3·10^-15. By far."
    assert told(page()) == ""
