"""Draws records and spectral measures; computes nothing that a claim rests on."""

from hspec.figures import instrument
from hspec.figures.spectra import bulk_and_outliers, largest_eigenvalues, outlier_frame
from hspec.figures.style import COLOURS, set_style
from hspec.figures.tables import download, scale_note, table, verdict_table

__all__ = [
    "COLOURS",
    "bulk_and_outliers",
    "download",
    "instrument",
    "largest_eigenvalues",
    "outlier_frame",
    "scale_note",
    "set_style",
    "table",
    "verdict_table",
]
