"""What can be measured. Each measure is a function ``measure(bench, *, options) -> {name: array}``.

Raise a measure's version when its meaning or its numbers change: its old records are then no longer found.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hspec.experiments.measures.class_structure import class_structure, exact_knock_out
from hspec.experiments.measures.geometry import class_geometry
from hspec.experiments.measures.instrument import instrument
from hspec.experiments.measures.levels import level_spectra
from hspec.experiments.measures.loss_curves import loss_curves
from hspec.experiments.measures.ownership import ownership
from hspec.experiments.measures.power_law import known_law, log_spectrum
from hspec.experiments.measures.spectra import bulk_and_outliers
from hspec.experiments.measures.synthetic import synthetic
from hspec.experiments.measures.training_spectrum import training_spectrum
from hspec.experiments.measures.upper_tail import upper_tail


@dataclass(frozen=True)
class Measure:
    function: Callable
    version: int


MEASURES = {
    "instrument": Measure(instrument, version=1),
    "bulk_and_outliers": Measure(bulk_and_outliers, version=1),
    "training_spectrum": Measure(training_spectrum, version=1),
    "loss_curves": Measure(loss_curves, version=1),
    "upper_tail": Measure(upper_tail, version=1),
    "level_spectra": Measure(level_spectra, version=1),
    "class_geometry": Measure(class_geometry, version=1),
    "ownership": Measure(ownership, version=1),
    "log_spectrum": Measure(log_spectrum, version=1),
    "known_law": Measure(known_law, version=1),
    "synthetic": Measure(synthetic, version=1),
    "class_structure": Measure(class_structure, version=1),
    "exact_knock_out": Measure(exact_knock_out, version=1),
}
