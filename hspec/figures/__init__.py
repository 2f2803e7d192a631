"""Draws records and spectral measures; computes nothing that a claim rests on."""

from hspec.figures.spectra import bulk_and_outliers, largest_eigenvalues
from hspec.figures.style import COLOURS, set_style
from hspec.figures.tables import download, scale_note, table, verdict_table

__all__ = [
    "COLOURS",
    "bulk_and_outliers",
    "download",
    "largest_eigenvalues",
    "scale_note",
    "set_style",
    "table",
    "verdict_table",
]
