"""Names, keys, tasks and the store: where the mathematics and the learning wing meet."""

from hspec.extras import need

need("hspec.experiments", "filelock", "sklearn")

from hspec.experiments.claims import CLAIMS, Verdict
from hspec.experiments.experiment import Experiment, load_or_run, load_or_run_all
from hspec.experiments.grid import Cell, Grid, grid
from hspec.experiments.measure import Measure, measure
from hspec.experiments.records import Record
from hspec.experiments.setting import Setting
from hspec.experiments.store import Store
from hspec.experiments.task import Task
from hspec.training import Recipe

__all__ = [
    "CLAIMS",
    "Cell",
    "Experiment",
    "Grid",
    "Measure",
    "Recipe",
    "Record",
    "Setting",
    "Store",
    "Task",
    "Verdict",
    "grid",
    "load_or_run",
    "load_or_run_all",
    "measure",
]
