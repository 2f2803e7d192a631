"""Log-spectra, and the laws fitted to them."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from hspec.chapters.power_law.verdict import (
    SIGNS,
    branch_fits,
    half_exponents,
    verdict_power_law,
)
from hspec.experiments import Record
from hspec.experiments.claims import MARKS
from hspec.experiments.fits import RADII, Branch, Fit, branch, floors
from hspec.experiments.scale import net_name
from hspec.figures.kernels import note_kernel
from hspec.figures.style import COLOURS, SERIES, panels
from hspec.figures.tables import net_columns, tabulated
from hspec.linalg import SpectralMeasure
from hspec.statistics import mean_and_interval

GRID_POINTS = 600
LOG_WIDTH = 0.1  # decades: the kernel of a log-spectrum
BEFORE = 3.0  # the axis begins so far below the highest floor; the other two may lie outside
CLOSE = 100.0  # a window of fewer than two decades has labels between the powers of ten, too
LEAST = 1e-2  # eigenvalues per decade: nothing below is drawn
BRANCHES = {"positive": ("H", "λ > 0", "-"), "negative": ("B2", "λ < 0", "--")}
LAW_COLOURS = {"power law": SERIES[1], "semicircle": SERIES[0]}
FLOOR_STYLES = {"noise": ":", "ε": "-.", "resolution": "--"}


def log_spectra(records: list[Record], width: float = LOG_WIDTH) -> Figure:
    """Density per decade of λ > 0 and of λ < 0, one panel a record, with the laws fitted to the
    positive branch.

    Vertical lines are the floors below which nothing can be known; nothing is drawn there.
    width  of the Gaussian kernel, in decades
    """
    figure, axes = panels(1, len(records), width=11 / max(2, len(records)), height=3.8)
    for axis, record in zip(axes, records, strict=True):
        measure = record.spectrum("h_")
        for name, sign in SIGNS.items():
            _draw_branch(axis, measure, name, sign, width)
        bottom, top = axis.get_ylim()
        _draw_laws(axis, record, measure)
        axis.set_ylim(bottom, top)
        _draw_floors(axis, measure)
        axis.set_xlim(left=lowest(measure) / BEFORE)
        axis.set_title(title(record))
        axis.set_xlabel("|λ|")
    axes[0].set_ylabel("spectral density per decade")
    named: dict[str, Artist] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True)) | named
    columns = len(named) if len(records) > 1 else 3  # below a single panel there is less room
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=columns)
    return figure


def _draw_branch(axis: Axes, measure: SpectralMeasure, name: str, sign: int, width: float) -> None:
    note_kernel(axis, width, "decades")
    highest = np.abs(measure.support).max()
    x = np.linspace(np.log10(lowest(measure)), np.log10(highest) + 2 * width, GRID_POINTS)
    colour, label, style = BRANCHES[name]
    density = measure.log_density(x, sign, width)
    seen = density * measure.dimension > LEAST
    axis.loglog(10 ** x[seen], density[seen], style, color=COLOURS[colour], label=label)


def _draw_laws(axis: Axes, record: Record, measure: SpectralMeasure) -> None:
    of = branch(measure, SIGNS["positive"])
    for law, one in branch_fits(record)["positive"].items():
        density = of.mass * np.gradient(one.cdf, np.log10(of.size))
        seen = of.size >= lowest(measure)
        style = {"color": LAW_COLOURS[law], "label": f"{law}, fitted"}
        axis.loglog(of.size[seen], density[seen], ":", **style)


def lowest(measure: SpectralMeasure) -> float:
    """Where all curves begin: the highest of the floors, of the branch where it is higher."""
    return max(_floors(measure).values())


def _floors(measure: SpectralMeasure) -> dict[str, float]:
    """The floors that both branches keep: of each kind the higher one."""
    both = [floors(measure, sign) for sign in SIGNS.values()]
    return {name: max(of[name] for of in both) for name in FLOOR_STYLES}


def _draw_floors(axis: Axes, measure: SpectralMeasure) -> None:
    """Those that lie on the axis: the highest, and what is little below it."""
    for name, size in _floors(measure).items():
        if size > lowest(measure) / BEFORE:
            line = {"color": COLOURS["neutral"], "linestyle": FLOOR_STYLES[name], "linewidth": 1}
            axis.axvline(size, **line, label=f"floor: {name}")


def title(record: Record) -> str:
    """The data and net of a record, or the law of a control."""
    setting = record.setting
    if setting is None:
        return f"control: {record.options['law']}"
    return f"H: {net_name(record)}, {setting.dataset}"


def law_fits(records: list[Record]) -> Figure:
    """Share of the window's eigenvalues above |λ|, with both laws fitted: a row a branch,
    a column a record.
    """
    figure, axes = panels(len(SIGNS), len(records), width=11 / max(2, len(records)), height=2.9)
    for column, record in enumerate(records):
        measure, fits = record.spectrum("h_"), branch_fits(record)
        for axis, (name, sign) in zip(axes[column :: len(records)], SIGNS.items(), strict=True):
            _draw_fits(axis, branch(measure, sign), fits[name])
            axis.set_title(f"{title(record)}, {BRANCHES[name][1]}")
            axis.set_xlabel("|λ|")
    for axis in axes[:: len(records)]:
        axis.set_ylabel("share above |λ|")
    return figure


def _draw_fits(axis: Axes, of: Branch, fits: dict[str, Fit]) -> None:
    mean, half = mean_and_interval(1 - of.cdf)
    axis.semilogx(of.size, mean, color=COLOURS["exact"], linewidth=2)
    low, high = np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)
    axis.fill_between(of.size, low, high, color=COLOURS["exact"], alpha=0.15, linewidth=0)
    for law, one in fits.items():
        label = f"{law}: {one.distance:.3f}"
        axis.semilogx(of.size, 1 - one.cdf, "--", color=LAW_COLOURS[law], label=label)
    labelled = (1.0, 3.0) if of.size[-1] < CLOSE * of.size[0] else (1.0,)
    axis.xaxis.set_major_locator(LogLocator(subs=labelled))
    axis.xaxis.set_minor_formatter(NullFormatter())  # else they run into one another
    axis.set_ylim(-0.02, 1.35)  # shares, and above them room for the legend
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.legend(title="distance", loc="upper right", fontsize=8, title_fontsize=8)


def law_fit_table(records: list[Record]) -> pd.DataFrame:
    """One row a record, branch and law: window, parameter with its 95 % interval over probes,
    distance.
    """
    formats = {
        "window": "{:#.2g} … {:#.2g}",
        "share of all eigenvalues": ".2g",
        "its a, or R": "#.3g",
        "95 % over probes": "{:#.3g} … {:#.3g}",
        "KS distance": ".3f",
    }
    return tabulated((row for record in records for row in _fit_rows(record)), formats)


def _fit_rows(record: Record) -> Iterator[dict[str, object]]:
    measure = record.spectrum("h_")
    for name, fits in branch_fits(record).items():
        of = branch(measure, SIGNS[name])
        for law, one in fits.items():
            yield {
                "spectrum": title(record),
                "branch": BRANCHES[name][1],
                "window": (of.size[0], of.size[-1]),
                "share of all eigenvalues": of.mass,
                "law": law,
                "its a, or R": one.parameter,
                "95 % over probes": _interval(one, of.size[-1] * RADII[0]),
                "KS distance": one.distance,
            }


def _interval(of: Fit, least: float) -> tuple[float, float] | str:
    """Over probes; no interval for one probe, nor where all stop at the least radius there is."""
    mean, half = mean_and_interval(of.parameters)
    if of.law == "semicircle" and np.allclose(of.parameters, least):
        return "at its bound, the window's end"
    return (mean - half, mean + half) if np.isfinite(half) else "one probe"


def half_table(records: list[Record]) -> pd.DataFrame:
    """The exponent of the power law in the lower and in the upper half of each window,
    on a logarithmic scale.
    """
    rows = ((record, name, *half_exponents(record, name)) for record in records for name in SIGNS)
    return tabulated(
        (
            {
                "spectrum": title(record),
                "branch": BRANCHES[name][1],
                "a, lower half": lower,
                "a, upper half": upper,
                "difference": difference,
            }
            for record, name, lower, upper, difference in rows
        ),
        {"difference": ".2f"},
    )


def every_net(records: list[Record], controls: list[Record]) -> pd.DataFrame:
    """A row a net, the best evidence first: distances and exponents of both branches, and the
    exponents of the halves of their windows, with verdicts.
    """
    ordered = sorted(records, key=operator.attrgetter("evidence"), reverse=True)
    return pd.DataFrame(_row(record, controls) for record in ordered)


def _row(record: Record, controls: list[Record]) -> dict[str, str]:
    told = [f"{MARKS[v.outcome]} {v.value}" for v in verdict_power_law(record, controls)]
    columns = [
        f"{BRANCHES[name][1]}: {what}" for name in SIGNS for what in ("distances; a", "a by halves")
    ]
    return net_columns(record) | dict(zip(columns, told, strict=True))
