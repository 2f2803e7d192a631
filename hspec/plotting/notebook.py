"""What a notebook keeps of a figure: SVG, PDF, the plotted numbers, what they show in words, and
the panels stacked.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from hspec.plotting.descriptions import described
from hspec.plotting.numbers import plotted_numbers
from hspec.plotting.saving import pdf, svg
from hspec.plotting.stacked import stacked_svg
from hspec.words import TOLD


def numbers_in_words(figure: Figure) -> tuple[str, dict[str, dict[str, str]]]:
    """The plotted numbers, and what a page says of them: the alternative text."""
    return plotted_numbers(figure), {TOLD: {"caption": "", "alt": described(figure)}}


# by the name under which an output has it
KEPT = {
    "image/svg+xml": svg,
    "application/pdf": pdf,
    "text/csv": numbers_in_words,
    "image/x-stacked-svg": stacked_svg,
}


def keep_whole_figures() -> None:
    """Show every later figure of this notebook as vectors, and keep its numbers;
    nothing outside a notebook.
    """
    try:
        shell = get_ipython()  # defined by IPython, and only there
    except NameError:
        return
    shell.run_line_magic("config", "InlineBackend.figure_formats = ['svg', 'pdf']")
    shell.run_line_magic("matplotlib", "inline")
    display = shell.display_formatter
    kind = type(
        display.formatters["text/html"]
    )  # a formatter like any other, without importing IPython
    for name, drawn in KEPT.items():
        if name not in display.formatters:
            display.formatters[name] = kind(
                parent=display, format_type=name, print_method="_no_method_"
            )
        display.formatters[name].for_type(Figure, drawn)
