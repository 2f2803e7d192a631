"""Names, keys, the store and the measures: where the mathematics and the learning wing meet."""

from hspec.experiments.bench import Bench
from hspec.experiments.claims import CLAIMS, Verdict
from hspec.experiments.experiment import Experiment, load_or_run, load_or_run_all, spectra_experiments
from hspec.experiments.setting import Setting
from hspec.experiments.store import Record, Store

__all__ = [
    "CLAIMS",
    "Bench",
    "Experiment",
    "Record",
    "Setting",
    "Store",
    "Verdict",
    "load_or_run",
    "load_or_run_all",
    "spectra_experiments",
]
