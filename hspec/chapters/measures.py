"""Everything that can be measured, by the names that records and keys have."""

from hspec.chapters.averaging.measure import averaging
from hspec.chapters.bulk_and_outliers.measure import bulk_and_outliers
from hspec.chapters.class_means.measure import class_structure, exact_knock_out
from hspec.chapters.class_structure_everywhere.measure import layer_structure
from hspec.chapters.hierarchy.measure import class_geometry
from hspec.chapters.instrument.measure import instrument, synthetic
from hspec.chapters.kronecker.measure import layer_curvature
from hspec.chapters.logit_then_class.measure import delta_geometry
from hspec.chapters.misclassification.measure import logistic_fisher
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.chapters.power_law.measure import known_law, log_spectrum
from hspec.chapters.second_moment.measure import second_moment
from hspec.chapters.upper_tail.measure import upper_tail
from hspec.chapters.your_own_net.measure import text_encoder
from hspec.experiments.level_spectra import level_spectra
from hspec.experiments.loss_curves import loss_curves
from hspec.experiments.measure import Measure
from hspec.experiments.training_spectrum import training_spectrum

MEASURES: dict[str, Measure] = {
    "instrument": instrument,
    "synthetic": synthetic,
    "bulk_and_outliers": bulk_and_outliers,
    "training_spectrum": training_spectrum,
    "loss_curves": loss_curves,
    "upper_tail": upper_tail,
    "level_spectra": level_spectra,
    "class_geometry": class_geometry,
    "ownership": ownership,
    "log_spectrum": log_spectrum,
    "known_law": known_law,
    "class_structure": class_structure,
    "exact_knock_out": exact_knock_out,
    "averaging": averaging,
    "second_moment": second_moment,
    "delta_geometry": delta_geometry,
    "logistic_fisher": logistic_fisher,
    "layer_curvature": layer_curvature,
    "text_encoder": text_encoder,
    "layer_structure": layer_structure,
}
