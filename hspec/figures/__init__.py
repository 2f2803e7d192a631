"""Draws records and spectra: what several chapters share;
computes nothing that a claim rests on.
"""

from hspec.extras import need

need("hspec.figures", "IPython", "pandas", "seaborn")


from hspec.figures.style import COLOURS, set_style
from hspec.figures.tables import download, said, scale_note, table, verdict_table
from hspec.figures.telling import best_first, in_this_run, shown

__all__ = [
    "COLOURS",
    "best_first",
    "download",
    "in_this_run",
    "said",
    "scale_note",
    "set_style",
    "shown",
    "table",
    "verdict_table",
]
