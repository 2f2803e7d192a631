"""Your net, your loss, your figure: from a module and its batches to a spectrum with error bands,
in one call.
"""

from hspec.yours.plan import Plan, plan
from hspec.yours.result import MatrixSpectrum, Spectrum, load_spectrum
from hspec.yours.spectrum import spectrum, spectrum_of
from hspec.yours.tracker import Tracker

__all__ = [
    "MatrixSpectrum",
    "Plan",
    "Spectrum",
    "Tracker",
    "load_spectrum",
    "plan",
    "spectrum",
    "spectrum_of",
]
