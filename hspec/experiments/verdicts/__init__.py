"""From records to verdicts: one function a claim, which states the number, the criterion and the outcome."""

from hspec.experiments.verdicts.bulk import verdict_bulk_and_outliers
from hspec.experiments.verdicts.instrument import verdict_instrument

__all__ = ["verdict_bulk_and_outliers", "verdict_instrument"]
