"""Names, keys, the store and the measures: where the mathematics and the learning wing meet."""

from .bench import Bench
from .claims import CLAIMS, Verdict
from .experiment import Experiment, load_or_run, load_or_run_all
from .setting import Setting
from .store import Record, Store

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
]
