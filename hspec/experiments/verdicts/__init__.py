"""From records to verdicts: one function a claim, which states the number, the criterion and the outcome."""

from .bulk import verdict_bulk_and_outliers
from .instrument import verdict_instrument

__all__ = ["verdict_bulk_and_outliers", "verdict_instrument"]
