"""What a rerun ends in: the verdicts in words, figures and numbers beside the notebook."""

import nbformat
import pandas as pd

from hspec.book.results import keep_results, verdicts_in_words
from hspec.book.telling import told
from hspec.experiments import Verdict
from hspec.figures import download, verdict_table

V4 = nbformat.v4


def executed(*shown):
    """A notebook whose cells show these, as a kernel would store them."""
    outputs = []
    for each in shown:
        markdown = each._repr_markdown_() if hasattr(each, "_repr_markdown_") else None
        if markdown is None:
            outputs.append(V4.new_output("display_data", {"text/html": each.data}))
        else:
            data, metadata = markdown
            of = {"text/markdown": metadata}
            outputs.append(V4.new_output("display_data", {"text/markdown": data}, metadata=of))
    return V4.new_notebook(cells=[V4.new_code_cell("", outputs=outputs)])


def test_verdicts_are_told_in_the_width_of_the_terminal():
    rows = [
        Verdict("P18-1", "the number of them", "-3 {-4 … -2}", ("exact",), "≥ 2", "fails", "by 5"),
        Verdict("P18-1", "a long quantity " * 9, "2.5", ("exact",), "≥ 2", "holds"),
    ]
    text = verdicts_in_words(executed(verdict_table(rows)), 60)
    assert max(map(len, text.splitlines())) <= 60
    assert "✗ fails  P18-1  −3 {−4 … −2}\n" in text
    assert "holds if ≥ 2; by 5\n✓ holds  P18-1  2.5" in text
    assert verdicts_in_words(V4.new_notebook(cells=[V4.new_markdown_cell("*x*")])) == ""


def test_numbers_and_figures_lie_beside_the_notebook(tmp_path):
    notebook = executed(download(pd.DataFrame({"a": [1, 2]}), "numbers.csv"))
    figure = {"mystnb": {"figure": {"name": "fig-a"}}}
    drawn = {"image/svg+xml": "<svg/>", "text/csv": "x\n1\n", "image/x-stacked-svg": "<svg/>"}
    picture = V4.new_output("display_data", drawn)
    notebook.cells.append(V4.new_code_cell("", outputs=[picture], metadata=figure))
    files = keep_results(notebook, tmp_path / "run")
    names = ["fig-a.csv", "fig-a.svg", "numbers.csv"]
    assert sorted(file.name for file in files) == names
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == names
    assert (tmp_path / "run" / "numbers.csv").read_text() == "a\n1\n2\n"


def test_findings_in_words_keep_the_braces_of_an_interval():
    findings = "* ✓ **P18-1.** $\\lambda_{1}$ is 0.7 {0.5 … 0.9}."
    notes = {"heading": "Found", "findings": findings, "badges": []}
    cell = V4.new_code_cell(
        "", outputs=[V4.new_output("display_data", {}, metadata={"hspec": notes})]
    )
    assert told(V4.new_notebook(cells=[cell])) == "Found:\n• ✓ P18-1. λ_1 is 0.7 {0.5 … 0.9}."
