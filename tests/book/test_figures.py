"""A figure's files are named by it, and it has a tone for the light and one for the dark
page."""

import base64
import io
import re

import nbformat
import numpy as np
import pytest

from hspec.book.figure_files import keep_figures, with_links
from hspec.book.two_tone import PAGE, READABLE, contrast, in_the_dark, two_toned
from hspec.plotting import COLOURS, panels

V4 = nbformat.v4


def executed(*bundles, name="fig-one"):
    outputs = [V4.new_output("display_data", data=bundle) for bundle in bundles]
    cell = V4.new_code_cell(
        "draw()", outputs=outputs, metadata={"mystnb": {"figure": {"name": name}}}
    )
    return V4.new_notebook(cells=[cell, V4.new_markdown_cell("After.")])


def bundle(mark):
    return {
        "image/svg+xml": f"<svg>{mark}</svg>",
        "application/pdf": base64.b64encode(f"%PDF {mark}".encode()).decode(),
        "text/csv": f"x\n{mark}\n",
        "text/plain": "<Figure>",
    }


def test_every_picture_has_files_of_its_name_and_links_below_it(tmp_path):
    notebook = executed(bundle(1), bundle(2))
    kept = keep_figures(notebook, tmp_path / "chapter")
    assert (tmp_path / "chapter" / "fig-one.csv").read_text() == "x\n1\n"
    assert (tmp_path / "chapter" / "fig-one-2.pdf").read_bytes() == b"%PDF 2"
    page = with_links(notebook, kept, beside=tmp_path)
    assert [cell.cell_type for cell in page.cells] == ["code", "markdown", "markdown"]
    for file in kept["fig-one"]:
        assert f"<chapter/{file.name}>" in page.cells[1].source
    assert [set(output.data) for output in page.cells[0].outputs] == 2 * [
        {"image/svg+xml", "text/plain"}
    ]


def test_a_cell_that_drew_nothing_gets_no_links(tmp_path):
    notebook = executed({"text/plain": "None"})
    assert len(with_links(notebook, keep_figures(notebook, tmp_path), tmp_path).cells) == 2


@pytest.mark.parametrize("colour", [*COLOURS.values(), "#00224e", "#000000", "#444444"])
def test_every_ink_can_be_read_in_the_dark(colour):
    least = 1.5 if colour == COLOURS["pale"].lower() or colour == COLOURS["pale"] else READABLE
    assert contrast(in_the_dark(colour.lower()), PAGE) >= least


def test_contrast_is_that_of_the_guidelines():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_one_file_has_both_tones_no_ground_and_the_same_curve():
    figure, (axes,) = panels()
    t = np.linspace(0, 6, 4000)
    axes.plot(t, np.sin(t), color=COLOURS["B2"])
    axes.fill_between(t, np.sin(t) - 0.1, np.sin(t) + 0.1, color=COLOURS["G"])
    axes.pcolormesh([0, 1], [0, 1], [[1.0]], cmap="Greys")
    text = io.StringIO()
    figure.savefig(text, format="svg")
    toned = two_toned(text.getvalue())
    purple = COLOURS["B2"].lower()
    assert f"var(--{purple[1:]}, {purple})" in toned
    assert f"svg:target{{--ink:{in_the_dark('#000000')}" in toned
    assert toned.count("#ffffff") == 1  # the one cell of the map
    assert len(toned) < len(text.getvalue()) / 2
    points = [
        np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path), float) for path in paths(toned, purple)
    ]
    before = [
        np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", p), float)
        for p in paths(text.getvalue(), purple)
    ]
    (x, y), (a, b) = points[0].T, before[0].T
    np.testing.assert_allclose(np.interp(a, x, y), b, atol=0.15)


def paths(svg, colour):
    return [
        found
        for found in re.findall(r'<path d="([^"]+)"[^>]*stroke: [^"]*' + colour, svg)
        if "L" in found
    ]


def test_markers_get_their_style_once():
    figure, (axes,) = panels(1, 1, width=4.0)
    axes.plot(range(50), "o", color=COLOURS["G"])
    file = io.StringIO()
    figure.savefig(file, format="svg")
    drawn, toned = file.getvalue(), two_toned(file.getvalue())
    markers = re.findall(r"<use [^>]*>", toned)
    styled = re.findall(r'<g[^>]* style="fill: var[^>]*>\s*<use', toned)
    assert len(markers) == drawn.count("<use ") > 50 and len(styled) == 1
    assert len(re.findall(r"<use [^>]*style", toned)) < 20 < drawn.count("<use ")
