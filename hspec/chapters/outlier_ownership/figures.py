"""Hess beside its two parts: one axis, one colour a matrix,
with what is certain and what is sampled as bands.
"""

from __future__ import annotations

import operator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.chapters.outlier_ownership.verdict import verdict_ownership
from hspec.experiments import Record
from hspec.experiments.claims import MARKS
from hspec.experiments.uncertainty import averaged, marked
from hspec.figures.densities import MARGIN, density_band, density_floor
from hspec.figures.style import COLOURS, LINE_STYLES, LINE_WIDTHS, SEQUENTIAL, panels, rank_axis
from hspec.figures.tables import net_columns, tabulated
from hspec.linalg import KERNEL_WIDTHS, SpectralMeasure
from hspec.statistics import interval, ratio_and_error

GRID_POINTS = 4096
ZOOM = 3.0  # an axis that ends at so many times λ_C has the first outliers and all of the bulk
CLOSE_UP = 1.5  # and one of the bulk has the last outlier


def whole_spectra(record: Record) -> dict[str, SpectralMeasure]:
    """Hess, G and H: the first two with their deflated top C put back as spikes."""
    classes = record.num_classes
    return {
        "Hess": record.spectrum("hess_").with_spikes(record["hess_top"][:classes]),
        "G": record.spectrum("g_").with_spikes(record["g_top"][:classes]),
        "H": record.spectrum("h_"),
    }


def three_spectra(record: Record, preset: str = "P20") -> Figure:
    """Densities of Hess, G and H on one axis: all of it, and the bulk close up. Bands: 95 %, over
    probes.

    preset  the published kernel width, a key of :data:`hspec.linalg.KERNEL_WIDTHS`, of the deflated
    Hessian's range
    """
    spectra = whole_spectra(record)
    width = KERNEL_WIDTHS[preset](record.spectrum("hess_"), record.options["num_steps"])
    low = min(measure.support[0] for measure in spectra.values())
    ends = record["hess_top"][0], CLOSE_UP * record["hess_top"][record.num_classes - 1]
    figure, axes = panels(1, 2, width=4.8, height=3.4, sharey=True)
    for axis, high, title in zip(
        axes, ends, ("the whole spectrum", "the bulk, close up"), strict=True
    ):
        margin = MARGIN * (high - low)
        grid = np.linspace(low - margin, high + margin, GRID_POINTS)
        for name, measure in spectra.items():
            density_band(axis, measure, grid, width, name)
        density_floor(axis, record.num_parameters, width)
        axis.set_xlim(grid[0], grid[-1])
        axis.set_title(title)
        axis.set_xlabel("eigenvalue λ")
    axes[0].set_ylabel("spectral density")
    axes[1].legend()
    return figure


def eigenvalue_counts(record: Record) -> Figure:
    """How many eigenvalues lie above t: p (1 − Φ(t)),
    with the rigorous band and the band over probes.
    """
    figure, (axis,) = panels(1, 1, width=7.0, height=3.8)
    classes, top = record.num_classes, float(record["hess_top"][0])
    t = np.geomspace(top * 1e-5, top * 1.2, 1000)
    for name, measure in whole_spectra(record).items():
        p, colour = measure.dimension, COLOURS[name]
        look = {"color": colour, "label": name, "linewidth": LINE_WIDTHS.get(name, 1.6)}
        axis.loglog(t, p * (1 - measure.cdf(t)), LINE_STYLES[name], **look)
        for (lower, upper), alpha in _bands(measure, t):
            axis.fill_between(
                t,
                p * (1 - upper),
                p * (1 - lower),
                color=colour,
                alpha=alpha,
                linewidth=0,
                step="mid",
            )
    axis.axhline(classes, color=COLOURS["neutral"], linewidth=1, linestyle="--")
    axis.annotate(
        f"C = {classes}", (t[0], classes), xytext=(2, 3), textcoords="offset points", fontsize=9
    )
    axis.set_ylim(0.5, 2 * record.num_parameters)
    axis.set_xlabel("t")
    axis.set_ylabel("eigenvalues above t")
    axis.legend()
    return figure


def _bands(measure: SpectralMeasure, t) -> list:
    """((lower, upper), opacity): the rigorous band of the probes' mean,
    and the band over probes where there is one.
    """
    rigorous = tuple(bound.mean(0) for bound in measure.cdf_bounds(t))
    bands = [(rigorous, 0.12)]
    return bands + ([(measure.confidence_band(t), 0.25)] if measure.num_probes > 1 else [])


def eigenspace_overlap(record: Record) -> Figure:
    """Left: the top eigenvalues of Hess and G. Right:
    squared inner products of their eigenvectors.
    """
    figure, (left, right) = panels(1, 2, width=4.6, height=3.5)
    rank = np.arange(1, len(record["hess_top"]) + 1)
    for name, look in (("Hess", {"ms": 4}), ("G", {"ms": 9, "mfc": "none"})):  # G around Hess
        top = record[f"{name.lower()}_top"]
        left.semilogy(rank, top, "o", color=COLOURS[name], label=name, **look)
    left.axhline(
        record["h_ends"][0], color=COLOURS["H"], linestyle="-.", label=r"$\lambda_{\max}$(H)"
    )
    left.axvline(record.num_classes + 0.5, color=COLOURS["neutral"], linewidth=1, linestyle="--")
    rank_axis(left)
    left.set_ylabel(r"eigenvalue $\lambda_k$")
    left.legend()
    classes = len(record["overlaps"])
    extent = (0.5, classes + 0.5, classes + 0.5, 0.5)
    image = right.imshow(record["overlaps"], vmin=0, vmax=1, cmap=SEQUENTIAL, extent=extent)
    right.grid(False)
    right.set_xlabel("eigenvector of G")
    right.set_ylabel("eigenvector of Hess")
    figure.colorbar(image, ax=right, label="squared inner product")
    return figure


def knocked_out(record: Record, preset: str = "P20") -> Figure:
    """Hess, Hess without G's top C, and H: what is left of the upper end once G's part of
    it is gone.
    """
    hess, h, knocked = (
        whole_spectra(record)["Hess"],
        record.spectrum("h_"),
        record.spectrum("knocked_"),
    )
    width = KERNEL_WIDTHS[preset](knocked, record.options["num_steps"])
    figure, (axis,) = panels(1, 1, width=7.0, height=3.4)
    high = ZOOM * float(record["hess_top"][record.num_classes - 1])
    grid = np.linspace(1.1 * min(hess.support[0], h.support[0]), high, GRID_POINTS)
    density_band(axis, hess, grid, width, "Hess")
    density_band(
        axis, knocked, grid, width, "exact", label="Hess, G's top C projected out", style="--"
    )
    density_band(axis, h, grid, width, "H")
    density_floor(axis, record.num_parameters, width)
    axis.set_xlabel("eigenvalue λ")
    axis.set_ylabel("spectral density")
    axis.legend()
    return figure


def energy_table(record: Record) -> pd.DataFrame:
    """Where the energy Σ λ² of the Hessian's bulk sits: beyond λ_max(H),
    where only G can have put it, and within; each with its interval over probes.
    """
    bulk, h = record.spectrum("hess_"), record.spectrum("h_")
    reach = float(record["h_ends"][0])
    whole, beyond, of_h = _moment(bulk, 2, -np.inf), _moment(bulk, 2, reach), _moment(h, 2, -np.inf)
    values = {
        "energy of the bulk, ‖Hess − top C‖_F²": averaged("probe", whole, ".3g"),
        "eigenvalues of the bulk above λ_max(H)": averaged("probe", _moment(bulk, 0, reach), ".0f"),
        "their share of the bulk's energy": _ratio(beyond, whole),
        "energy of H, ‖H‖_F²": averaged("probe", of_h, ".3g"),
        "‖H‖_F² over the energy of the bulk up to λ_max(H)": _ratio(of_h, whole - beyond),
    }
    return pd.DataFrame({"energy": values.keys(), "value, 95 % over probes": values.values()})


def every_net(records: list[Record]) -> pd.DataFrame:
    """A row a net, the best evidence first: the claim's four numbers, each with its verdict."""
    ordered = sorted(records, key=operator.attrgetter("evidence"), reverse=True)
    return pd.DataFrame(_row(record) for record in ordered)


def _row(record: Record) -> dict[str, object]:
    told = [f"{MARKS[v.outcome]} {v.value.partition(';')[0]}" for v in verdict_ownership(record)]
    names = (
        "overlap of the top C",
        "λ_max(H) / λ_C(Hess)",
        "left after the knock-out, over λ_C",
        "H's share of the bulk's energy",
    )
    return net_columns(record) | dict(zip(names, told, strict=True))


def _moment(measure: SpectralMeasure, k: int, above: float) -> np.ndarray:
    """Σ λ^k over the eigenvalues above a bound, of each probe."""
    powers = np.where(measure.nodes > above, measure.nodes**k, 0.0)
    return measure.dimension * np.nansum(measure.weights * powers, axis=1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> str:
    """Of two moments by the same probes, with its interval."""
    ratio, error = ratio_and_error(part, whole)
    return marked("probe", ratio, *interval(ratio, error, len(part)))


def ownership_table(record: Record) -> pd.DataFrame:
    """The top eigenvalues of Hess and G side by side, with residuals,
    and the cosine of each principal angle.
    """
    count = len(record["hess_top"])
    cosines = [*record["cosines"], *[None] * (count - len(record["cosines"]))]
    columns = {
        "rank": np.arange(1, count + 1),
        "Hess": record["hess_top"],
        "residual of Hess": record["hess_residuals"],
        "G": record["g_top"],
        "residual of G": record["g_residuals"],
        "principal cosine": pd.Series(cosines, dtype=object),
    }
    formats = {"Hess": ".4g", "residual of Hess": ".1e", "G": ".4g", "residual of G": ".1e"}
    return tabulated(columns, formats | {"principal cosine": ".5f"})
