"""Pictures of spectra in the book's style, with matplotlib alone: of any measure,
on any axes."""

from hspec.plotting.densities import probe_densities, probe_log_densities
from hspec.plotting.measures import plot
from hspec.plotting.style import COLOURS, panels

__all__ = ["COLOURS", "panels", "plot", "probe_densities", "probe_log_densities"]
