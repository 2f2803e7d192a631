"""Names, keys, the store and the measures: where the mathematics and the learning wing meet."""

from hspec.experiments.bench import Bench
from hspec.experiments.claims import CLAIMS, Verdict
from hspec.experiments.experiment import Experiment, load_or_run, load_or_run_all, spectra_experiments
from hspec.experiments.grid import Cell, Grid, grid
from hspec.experiments.records import Record
from hspec.experiments.setting import Setting
from hspec.experiments.store import Store
from hspec.training import Recipe

__all__ = [
    "CLAIMS",
    "Bench",
    "Cell",
    "Experiment",
    "Grid",
    "Recipe",
    "Record",
    "Setting",
    "Store",
    "Verdict",
    "grid",
    "load_or_run",
    "load_or_run_all",
    "spectra_experiments",
]
