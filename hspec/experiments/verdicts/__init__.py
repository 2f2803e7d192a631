"""From records to verdicts: one function a claim, which states the number, the criterion and the outcome."""

from hspec.experiments.verdicts.bulk import verdict_bulk_and_outliers
from hspec.experiments.verdicts.class_structure import verdict_class_structure
from hspec.experiments.verdicts.hierarchy import verdict_bulks, verdict_clusters, verdict_growth
from hspec.experiments.verdicts.instrument import verdict_instrument
from hspec.experiments.verdicts.ownership import verdict_ownership
from hspec.experiments.verdicts.power_law import verdict_power_law
from hspec.experiments.verdicts.tail import verdict_upper_tail

__all__ = [
    "verdict_bulk_and_outliers",
    "verdict_bulks",
    "verdict_class_structure",
    "verdict_clusters",
    "verdict_growth",
    "verdict_instrument",
    "verdict_ownership",
    "verdict_power_law",
    "verdict_upper_tail",
]
