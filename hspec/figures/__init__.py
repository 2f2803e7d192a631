"""Draws records and spectral measures; computes nothing that a claim rests on."""

from .spectra import bulk_and_outliers, largest_eigenvalues
from .style import COLOURS, set_style
from .tables import download, scale_note, table, verdict_table

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
