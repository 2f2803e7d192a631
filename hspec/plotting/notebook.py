"""What a notebook keeps of a figure: SVG, PDF, the plotted numbers, and the panels stacked."""

from __future__ import annotations

from matplotlib.figure import Figure

from hspec.plotting.numbers import plotted_numbers
from hspec.plotting.stacked import stacked_svg

# beside the pictures, by the name under which an output has it
KEPT = {"text/csv": plotted_numbers, "image/x-stacked-svg": stacked_svg}


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
        formatter = kind(parent=display, format_type=name, print_method="_no_method_")
        formatter.for_type(Figure, drawn)
        display.formatters[name] = formatter
