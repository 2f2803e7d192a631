"""Draws records and spectral measures; computes nothing that a claim rests on."""

from hspec.figures import instrument
from hspec.figures.class_structure import (
    collinearity_table,
    exact_knock_outs,
    knock_outs,
    outliers_and_means,
    part_table,
    survivor_table,
    yardstick_table,
)
from hspec.figures.ownership import (
    eigenspace_overlap,
    eigenvalue_counts,
    energy_table,
    knocked_out,
    ownership_table,
    three_spectra,
)
from hspec.figures.power_law import half_table, law_fit_table, law_fits, log_spectra
from hspec.figures.published import published_table, stored_nets
from hspec.figures.spectra import bulk_and_outliers, largest_eigenvalues, outlier_frame
from hspec.figures.style import COLOURS, set_style
from hspec.figures.tables import download, scale_note, table, verdict_table

__all__ = [
    "COLOURS",
    "bulk_and_outliers",
    "collinearity_table",
    "download",
    "eigenspace_overlap",
    "eigenvalue_counts",
    "energy_table",
    "exact_knock_outs",
    "half_table",
    "instrument",
    "knock_outs",
    "knocked_out",
    "largest_eigenvalues",
    "law_fit_table",
    "law_fits",
    "log_spectra",
    "outlier_frame",
    "outliers_and_means",
    "ownership_table",
    "part_table",
    "published_table",
    "scale_note",
    "set_style",
    "stored_nets",
    "survivor_table",
    "table",
    "three_spectra",
    "verdict_table",
    "yardstick_table",
]
