"""The instrument against the exact spectrum (GKX-1)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hspec.chapters.instrument.verdict import errors, ghost_copies, top_errors
from hspec.experiments import Record
from hspec.experiments.scale import provenance
from hspec.figures.densities import density_floor, density_line
from hspec.figures.style import COLOURS, panels
from hspec.figures.tables import tabulated
from hspec.linalg import KERNEL_WIDTHS, SpectralMeasure

SHOWN_GHOSTS = 12  # largest eigenvalues in the picture of ghosts


def exact_and_estimated(record: Record, preset: str = "P20") -> Figure:
    """The exact density and the quadrature's, smoothed by the same kernel; below,
    one probe's CDF in its band.
    """
    exact = SpectralMeasure.from_eigenvalues(record["eigenvalues"])
    measure = record.spectrum("double_")
    width = KERNEL_WIDTHS[preset](measure, record.options["num_steps"])
    figure, (top, bottom) = panels(2, 1, width=8.4, height=3.0)
    density_line(top, exact, width, COLOURS["pale"], "exact, dense float64 solve", linewidth=4.0)
    probes = f"{measure.num_probes} probe{'s' * (measure.num_probes > 1)}"
    density_line(top, measure, width, COLOURS["Hess"], f"quadrature, {probes}", style="--")
    density_floor(top, measure.dimension, width)
    top.set(xlabel="eigenvalue λ of Hess", ylabel="spectral density")
    top.legend()
    probe_in_band(bottom, record, measure)
    return figure


def probe_in_band(axis: Axes, record: Record, measure: SpectralMeasure, probe: int = 0) -> None:
    """The exact CDF of one probe's weighted measure,
    and the band that contains it whatever the matrix.
    """
    points = record["edges"][probe]
    points = points[np.isfinite(points)]
    linear = 1e-4 * np.abs(points).max()
    grid = np.union1d(
        points, linear * np.sinh(np.linspace(*np.arcsinh(points[[0, -1]] / linear), 600))
    )
    lower, upper = (bound[probe] for bound in measure.cdf_bounds(grid))
    axis.fill_between(
        grid,
        lower,
        upper,
        step="post",
        color=COLOURS["B1"],
        alpha=0.5,
        linewidth=0,
        label="rigorous band",
    )
    exact = record["exact_cdf"][probe][: len(points)]
    axis.plot(
        points,
        exact,
        ".",
        color=COLOURS["exact"],
        markersize=2.5,
        label="exact, at and\nbetween the nodes",  # in one line it would lie over the band
    )
    axis.set_xscale("symlog", linthresh=linear)
    powers = 10.0 ** np.arange(
        np.ceil(np.log10(linear)) + 1, 12
    )  # the next one would print over the zero
    low, high = points[[0, -1]]
    axis.set_xticks([*-powers[powers < -low][::-1], 0, *powers[powers < high]])
    axis.set(xlabel="eigenvalue λ (linear near zero, logarithmic beyond)", ylabel="one probe's CDF")
    axis.legend(loc="lower right")


def ghosts(record: Record) -> Figure:
    """The largest Ritz values of one float32 run, with reorthogonalisation and without,
    over the true eigenvalues.
    """
    figure, (axis,) = panels(1, 1, width=8.4, height=2.6)
    exact = record["eigenvalues"][::-1][:SHOWN_GHOSTS]
    low = 0.95 * exact[-1]
    axis.vlines(exact, -0.5, 2.5, color=COLOURS["neutral"], linewidth=0.8, linestyle=":")
    rows = (
        ("exact", exact, "exact"),
        ("no_ghosts", record["no_ghosts"], "Hess"),
        ("ghosts", record["ghosts"], "G"),
    )
    for height, (_, values, colour) in enumerate(rows):
        shown = np.sort(values[values >= low])
        jitter = stacked(shown, tolerance=1e-3 * exact[0])
        axis.plot(
            shown, height + 0.035 * jitter, "o", color=COLOURS[colour], markersize=3.5, alpha=0.8
        )
    axis.set_yticks(
        range(3), ["exact eigenvalues", "Ritz, reorthogonalised", "Ritz, bare recurrence"]
    )
    axis.set(xlabel="eigenvalue λ", ylim=(-0.5, 2.9))
    axis.grid(visible=False)
    return figure


def about_ghosts(record: Record) -> str:
    """What the caption of `ghosts` says of its runs, which are not the quadrature's: their steps,
    from one start vector.
    """
    options = {**record.options, "num_steps": len(record["ghosts"]), "num_probes": 1}
    return provenance([Record(record.arrays, record.meta | {"options": options})])


def stacked(values: np.ndarray, tolerance: float) -> np.ndarray:
    """How many of the ascending values lie within the tolerance before each:
    copies are drawn on top of each other.
    """
    counts = np.zeros(len(values))
    for i in range(1, len(values)):
        counts[i] = counts[i - 1] + 1 if values[i] - values[i - 1] < tolerance else 0
    return counts


def error_frame(record: Record) -> pd.DataFrame:
    """The errors of the stored quadratures, a row per precision of the products."""
    headings = {  # of the errors, by their names
        "ks": ("KS outside the atom", ".4f"),
        "w1": ("W1 / range", ".1e"),
        "w1_plain": ("W1 / range, plain weights", ".1e"),
        "top": ("relative error of the top ten", ".0e"),
        "bottom": ("of the smallest", ".0e"),
    }
    found = {"float64": errors(record, "double"), "float32": errors(record, "single")}
    return tabulated(
        (
            {
                "products in": label,
                "probes": record.spectrum("double_").num_probes,
                **{heading: of[name] for name, (heading, _) in headings.items()},
            }
            for label, of in found.items()
        ),
        dict(headings.values()),
    )


def ghost_frame(record: Record) -> pd.DataFrame:
    """Copies of the largest eigenvalue among the Ritz values,
    and what a count of outliers would make of them.
    """
    exact = record["eigenvalues"][::-1][:10]
    found = {"bare recurrence": record["ghosts"], "full": record["no_ghosts"]}
    return tabulated(
        (
            {
                "reorthogonalisation": label,
                "copies of λ₁": copies,
                "largest relative error of the “top ten”": np.abs(
                    np.sort(values)[::-1][:10] / exact - 1
                ).max(),
            }
            for (label, values), copies in zip(found.items(), ghost_copies(record), strict=True)
        ),
        {"largest relative error of the “top ten”": ".0e"},
    )


def eigenvalue_frame(record: Record, count: int = 10) -> pd.DataFrame:
    """The largest eigenvalues, and the relative error of each as seen by the first probe."""
    measure = record.spectrum("double_")
    return pd.DataFrame(
        {
            "λ": record["eigenvalues"][::-1][:count],
            "relative error": top_errors(record, measure, count)[0],
        }
    )
