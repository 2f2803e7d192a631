"""Draws records and spectral measures; computes nothing that a claim rests on."""

from hspec.figures import instrument
from hspec.figures.ownership import (
    eigenspace_overlap,
    eigenvalue_counts,
    knocked_out,
    ownership_table,
    three_spectra,
)
from hspec.figures.power_law import half_table, law_fit_table, law_fits, log_spectra
from hspec.figures.spectra import bulk_and_outliers, largest_eigenvalues, outlier_frame
from hspec.figures.style import COLOURS, set_style
from hspec.figures.tables import download, scale_note, table, verdict_table

__all__ = [
    "COLOURS",
    "bulk_and_outliers",
    "download",
    "eigenspace_overlap",
    "eigenvalue_counts",
    "half_table",
    "instrument",
    "knocked_out",
    "largest_eigenvalues",
    "law_fit_table",
    "law_fits",
    "log_spectra",
    "outlier_frame",
    "ownership_table",
    "scale_note",
    "set_style",
    "table",
    "three_spectra",
    "verdict_table",
]
