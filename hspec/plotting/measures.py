"""One picture of any spectral measure: density on a linear or a signed logarithmic axis,
or counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from hspec.linalg import KERNEL_WIDTHS, SpectralMeasure
from hspec.linalg.smoothing import EPSILON
from hspec.plotting.densities import probe_densities, probe_log_densities
from hspec.plotting.style import COLOURS, LINE_STYLES, panels
from hspec.statistics import mean_and_interval

GRID_POINTS = 1024
MARGIN = 0.05  # of the range, on both sides: P20's margin
DECADES = 0.1  # kernel width on a logarithmic axis
TINY = np.finfo(float).tiny  # stands for zero on a logarithmic ordinate
OTHERS = ("A1", "A2", "B1", "B2", "neutral")  # colours of measures that have none by name


def plot(
    measures: SpectralMeasure | Mapping[str, SpectralMeasure],
    *,
    scale: str = "linear",
    width: float | None = None,
    level: float = 0.95,
    label: str | None = None,
    colour: str | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw one or several spectral measures, each with its band over probes.

    Args:
        measures: a measure, or {name: measure}. Hess, G, H, A1, … have the book's colours.
        scale: what is drawn.
            "linear": φ_σ(λ), the share of eigenvalues per unit of λ.
            "log": the share per decade of |λ|, on a signed logarithmic axis; what lies within ε‖A‖
            of zero (ε = 1e-5) is not drawn, but its share is written in the legend.
            "counts": how many eigenvalues lie above t, and (thinner) how many below −t.
        width: the Gaussian kernel's σ: in the eigenvalues' units for "linear" (default: P20's, from
            the range and the number of steps), in decades for "log" (default 0.1). Counts are not
            smoothed.
        level: of the band, Student-t over probes. An exact spectrum has none; a single probe's is
            only the rigorous one of `SpectralMeasure.cdf_bounds`, which counts show.
        label, colour: of a single measure.
        axes: where to draw; a new figure in the book's style where there is none.

    Returns:
        The axes; `axes.figure.savefig("spectrum.svg")` keeps them.

    Raises:
        ValueError: an unknown scale; no measures; a label or a colour for several.
        TypeError: for what is no measure.

    Example:
        >>> measure = SpectralMeasure.from_eigenvalues([0.0, 0.1, 0.2, 3.0])
        >>> axes = plot({"Hess": measure}, scale="counts")
        >>> axes.get_ylabel()
        'eigenvalues beyond t'

    Source: GKX19 and P20, D.2 (densities); P20, C.7 (logarithmic).
    """
    draw = DRAWN.get(scale)
    if draw is None:
        raise ValueError(f"scale={scale!r} is unknown: choose one of {', '.join(map(repr, DRAWN))}")
    named = _named(measures, label, colour)
    if axes is None:
        _, (axes,) = panels(1, 1, width=6.4, height=3.6)
    others = iter(OTHERS * len(named))
    floors = []
    for name, measure in named.items():
        shade = colour or COLOURS.get(name) or COLOURS[next(others)]
        floors.append(draw(axes, measure, name, shade, width, level))
    _ordinate(axes, min(floors))
    if any(named):
        axes.legend()
    return axes


def _named(measures, label, colour) -> Mapping[str, SpectralMeasure]:
    if isinstance(measures, SpectralMeasure):
        return {label or "": measures}
    if not isinstance(measures, Mapping) or not all(
        isinstance(m, SpectralMeasure) for m in measures.values()
    ):
        raise TypeError(
            "plot draws a SpectralMeasure, or a dictionary of them; got "
            f"{type(measures).__name__}. "
            "Known eigenvalues become one by SpectralMeasure.from_eigenvalues(values)"
        )
    if not measures:
        raise ValueError("there are no measures to draw")
    if label is not None or colour is not None:
        raise ValueError(
            "label and colour belong to a single measure: in a dictionary its keys are the labels"
        )
    return measures


def _linear(
    axes: Axes, measure: SpectralMeasure, name: str, colour: str, width, level: float
) -> float:
    sigma = width or _default_width(measure)
    low, high = measure.support
    margin = max(MARGIN * (high - low), 4 * sigma)
    grid = np.linspace(low - margin, high + margin, GRID_POINTS)
    spikes = (
        np.repeat(_outliers(measure), 9)
        + np.tile(np.linspace(-4, 4, 9), len(_outliers(measure))) * sigma
    )
    grid = np.union1d(grid, spikes)  # no spike falls between two points
    _line(axes, grid, probe_densities(measure, grid, sigma), name, colour, level, name)
    one = 1 / (measure.dimension * sigma * np.sqrt(2 * np.pi))  # the peak of a single eigenvalue
    axes.set(xlabel="eigenvalue λ", ylabel="spectral density")
    return one / 100


def _logarithmic(
    axes: Axes, measure: SpectralMeasure, name: str, colour: str, width, level: float
) -> float:
    largest = max(np.abs(measure.support))
    floor = EPSILON * largest if largest else EPSILON
    below = float(measure.cdf(floor) - measure.cdf(np.nextafter(-floor, -np.inf)))
    text = f"{name or 'all'} ({below:.0%} below {floor:.0e})"
    x = np.linspace(
        np.log10(floor), np.log10(largest or 1.0) + 4 * (width or DECADES), GRID_POINTS // 2
    )
    for sign in (1, -1):
        rows = probe_log_densities(measure, x, sign, width or DECADES)
        if rows.any():
            _line(axes, sign * 10**x, rows, name, colour, level, text)
            text = ""  # one entry in the legend for both branches
    if text:  # all of it is at zero
        axes.plot([], [], color=colour, label=text)
    axes.set_xscale("symlog", linthresh=floor, linscale=0.3)
    top = int(np.floor(np.log10(largest or 1.0)))
    ticks = 10.0 ** np.arange(
        top, np.log10(floor) + 1, -3
    )  # every third decade, none beside the zero: more would touch in a narrow panel
    axes.set_xticks([*-ticks, 0, *ticks])
    axes.minorticks_off()
    axes.set(xlabel="eigenvalue λ", ylabel="share of eigenvalues per decade")
    return 1 / (100 * measure.dimension)


def _counts(
    axes: Axes, measure: SpectralMeasure, name: str, colour: str, width, level: float
) -> float:
    p, largest = measure.dimension, max(np.abs(measure.support)) or 1.0
    t = np.geomspace(EPSILON * largest, 1.2 * largest, GRID_POINTS)
    above = np.maximum(p * (1 - measure.cdf(t)), TINY)
    axes.loglog(t, above, LINE_STYLES.get(name, "-"), color=colour, label=name or None)
    _bands_of_counts(axes, measure, t, colour, level)
    below = np.maximum(p * measure.cdf(np.nextafter(-t, -np.inf)), TINY)
    if below[0] > TINY:
        axes.loglog(t, below, LINE_STYLES.get(name, "-"), color=colour, linewidth=0.8)
    axes.set(xlabel="t", ylabel="eigenvalues beyond t")
    return 0.5


# scale: how a measure is drawn; each returns the lowest ordinate that says something
DRAWN = {"linear": _linear, "log": _logarithmic, "counts": _counts}


def _line(axes: Axes, x, rows: np.ndarray, name: str, colour: str, level: float, text: str) -> None:
    """The mean of rows (n_v, len(x)) and its band."""
    mean, half = mean_and_interval(rows, level)
    axes.plot(x, mean, LINE_STYLES.get(name, "-"), color=colour, label=text or None)
    if np.isfinite(half).all() and half.any():
        low = np.maximum(mean - half, TINY)
        axes.fill_between(x, low, mean + half, color=colour, alpha=0.2, linewidth=0)


def _bands_of_counts(axes: Axes, measure: SpectralMeasure, t, colour: str, level: float) -> None:
    """The rigorous band of the probes' mean, and within it the band over probes."""
    if measure.exact[measure.weights > 0].all():
        return
    bands = [(tuple(bound.mean(0) for bound in measure.cdf_bounds(t)), 0.12)]
    if measure.num_probes > 1:
        bands.append((measure.confidence_band(t, level), 0.25))
    for (lower, upper), alpha in bands:
        low, high = (measure.dimension * (1 - bound) for bound in (upper, lower))
        axes.fill_between(t, low, high, color=colour, alpha=alpha, linewidth=0, step="mid")


def _default_width(measure: SpectralMeasure) -> float:
    low, high = measure.support
    if high <= low:  # a multiple of the identity
        return abs(high) / 100 or 1.0
    return KERNEL_WIDTHS["P20"](measure, max(2, min(measure.num_steps, 128)))


def _outliers(measure: SpectralMeasure) -> np.ndarray:
    """Nodes known to be eigenvalues, where they are few."""
    known = np.unique(measure.nodes[measure.exact])
    return known if len(known) <= GRID_POINTS // 8 else known[:0]


def _ordinate(axes: Axes, floor: float) -> None:
    """From the floor to above the lines."""
    highest = max((float(max(line.get_ydata(), default=0.0)) for line in axes.lines), default=0.0)
    axes.set_yscale("log")
    axes.set_ylim(floor, 3 * max(highest, floor))
