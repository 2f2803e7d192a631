"""Plots of the measurements, as SVG."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.results import FOLDER, Results
from benchmarks.targets import GAUSS_NEWTON, HESSIAN, mean_and_sem
from hspec.book.figure_files import STACKED
from hspec.figures.style import COLOURS, panels, stacked_svg

MARKERS = "os^vDP*X"
LAW = {"color": COLOURS["neutral"], "linestyle": "--", "linewidth": 1.0}
MEBI = 2**20
ROW = 3  # panels
# By the name of its figure a page finds what a narrow screen shows.
PAGE = Path(__file__).parents[1] / "book" / "benchmarks"
# The files are committed: small, and the same bytes for the same figures.
FILES = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hspec",
    "font.sans-serif": ["DejaVu Sans", "sans-serif"],
}


def draw_all(results: Results) -> None:
    """Every plot for which there are measurements."""
    for name, draw, tasks in (
        ("products", _products, ["products"]),
        ("quadrature", _quadrature, ["quadrature"]),
        ("accuracy", _accuracy, ["accuracy"]),
        ("growth", _growth, ["growth", "memory"]),
    ):
        records = [results.read(task) for task in tasks]
        if all(records):
            with mpl.rc_context(FILES):
                figure = draw(*records)
                figure.savefig(results.folder / f"{name}.svg", metadata={"Date": None})
                if results.folder == FOLDER / "cpu":
                    stacked = PAGE / f"fig-benchmark-{name}{STACKED}"
                    stacked.write_text(stacked_svg(figure) or "", encoding="utf-8")


def _products(records: dict):
    """Dots: time of a product over time of a gradient, by peer; bars mark the targets."""
    figure, axes = _a_panel_a_net(records, height=3.0)
    names = sorted(next(iter(records.values()))["result"]["per_gradient"], key=_by_matrix)
    for axis, (net, record) in zip(axes, records.items(), strict=True):
        ratios = record["result"]["per_gradient"]
        for row, name in enumerate(names):
            low, high = ratios[name]["quartiles"]
            colour = COLOURS["Hess"] if name.startswith("Hess") else COLOURS["G"]
            axis.plot([low, high], [row, row], color=colour, linewidth=2.5, alpha=0.4)
            axis.plot(
                ratios[name]["median"],
                row,
                "o" if "hspec" in name else "s",
                color=colour,
                markersize=5,
            )
        for target, matrix in ((HESSIAN[net], "Hess"), (GAUSS_NEWTON[net], "G")):
            rows = [row for row, name in enumerate(names) if name.startswith(f"{matrix}: ")]
            axis.vlines(
                target, min(rows) - 0.4, max(rows) + 0.4, color=COLOURS["exact"], linewidth=1.2
            )
        axis.set_title(f"{net}: {record['result']['title']}", loc="left", fontsize=9)
        axis.set(xscale="log", xlabel="product / gradient")
        _plain_ticks(axis.xaxis, [0.5, 1, 1.5, 2, 3, 4, 8])
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    return figure


def _a_panel_a_net(records: dict, height: float):
    """In rows of three, so that their letters can be read in the width of a page."""
    figure, axes = panels(-(-len(records) // ROW), ROW, width=2.9, height=height, sharey=True)
    for axis in axes[len(records) :]:
        axis.remove()
    return figure, axes[: len(records)]


def _by_matrix(name: str) -> int:
    return 0 if name.startswith("Hess: ") else 1 if name.startswith("G: ") else 2


def _quadrature(records: dict):
    """Bars: time of the whole quadrature over hspec's."""
    figure, axes = _a_panel_a_net(records, height=2.2)
    for axis, (net, record) in zip(axes, records.items(), strict=True):
        result = record["result"]
        names = list(result["over_hspec"])
        values = [result["over_hspec"][name]["median"] for name in names]
        colours = [
            COLOURS["Hess"] if result["reorthogonalizes"][name] else COLOURS["B1"] for name in names
        ]
        axis.barh(names, values, color=colours)
        axis.axvline(1, color=COLOURS["exact"], linewidth=1.2)
        for row, value in enumerate(values):
            axis.text(value, row, f" {value:.1f}", va="center", fontsize=8)
        axis.set_title(f"{net}: {result['title']}", loc="left", fontsize=9)
        axis.set(xlabel="time / hspec's", xlim=(0, 1.2 * max(values)))
    axes[0].invert_yaxis()
    return figure


def _accuracy(records: dict):
    """Error against products spent, with standard errors over seeds, one panel a distance."""
    (record,) = records.values()
    figure, axes = panels(1, 2, width=4.6, height=3.4)
    for axis, (name, label) in zip(
        axes,
        (("wasserstein", "W1 / range"), ("kolmogorov_smirnov", "KS outside the atom")),
        strict=True,
    ):
        for number, (estimator, by_steps) in enumerate(record["result"]["errors"].items()):
            probes = 5 if estimator.endswith("five probes") else 1
            products = [probes * int(m) for m in by_steps]
            means, sems = zip(
                *(mean_and_sem([e[name] for e in errors]) for errors in by_steps.values()),
                strict=True,
            )
            style = {"marker": MARKERS[number], "markersize": 4, "capsize": 2, "linewidth": 1.2}
            colour = list(COLOURS.values())[number]
            axis.errorbar(products, means, sems, label=estimator, color=colour, **style)
        axis.set(xscale="log", yscale="log", xlabel="Hessian products", ylabel=label)
        _plain_ticks(axis.xaxis, [30, 60, 90, 128, 300, 640])
        _plain_ticks(axis.yaxis)
    figure.legend(*axes[1].get_legend_handles_labels(), fontsize=7, loc="outside right center")
    return figure


def _growth(growth: dict, memory: dict):
    """Time and memory beside their laws (dashed: through the last point or both ends, or
    from the bandwidth).
    """
    figure, axes = panels(2, 3, width=3.4, height=2.9)
    examples, parameters = (growth[key]["result"] for key in ("examples", "parameters"))
    _against_law(axes[0], examples["num_examples"], {"Hess product, net b": examples["seconds"]})
    axes[0].set(title="time, examples", xlabel="N", ylabel="seconds")
    millions = [round(p / 1e6, 2) for p in parameters["num_parameters"]]
    _against_law(axes[1], millions, {"Hess product, net b": parameters["seconds"]})
    axes[1].set(title="time, parameters", xlabel="p in millions", ylabel="seconds")
    _lanczos_time(axes[2], growth["steps"]["result"])
    graphs, basis = memory["graphs"]["result"], memory["basis"]["result"]
    series = {
        "graphs kept": _mebibytes(graphs["kept"]),
        "as accounted": _mebibytes(graphs["accounted"]),
        "graphs rebuilt": _mebibytes(graphs["rebuilt"]),
    }
    _against_law(axes[3], graphs["num_examples"], series, affine="as accounted")
    axes[3].set(title="memory, examples (net c)", xlabel="N", ylabel="MiB")
    m = np.array(basis["num_steps"])
    axes[4].plot(m, _mebibytes(basis["grown"]), "o-", color=COLOURS["Hess"], label="Lanczos, net b")
    axes[4].plot(m, 4 * m * basis["num_parameters"] / MEBI, **LAW, label="4 m p bytes")
    axes[4].set(title="memory, steps", xlabel="m", ylabel="MiB", xscale="log", yscale="log")
    axes[5].remove()
    for axis in axes[:5]:
        axis.legend(fontsize=7)
        _plain_ticks(axis.yaxis)
        _plain_ticks(axis.xaxis, list(axis.lines[0].get_xdata()))
    return figure


def _against_law(axis: Axes, x, series: dict, affine: str | None = None) -> None:
    """Series in log-log axes, and a linear law: through the last point of the first,
    or both ends of the one named.
    """
    x = np.array(x, dtype=float)
    for number, (label, values) in enumerate(series.items()):
        axis.plot(
            x,
            values,
            MARKERS[number] + "-",
            color=list(COLOURS.values())[number],
            markersize=4,
            label=label,
        )
    values = series[affine or next(iter(series))]
    x0, y0 = (x[0], values[0]) if affine else (0.0, 0.0)
    axis.plot(
        x,
        np.interp(x, [x0, x[-1]], [y0, values[-1]]),
        **LAW,
        label="constant + linear" if affine else "linear",
    )
    axis.set(xscale="log", yscale="log")


def _lanczos_time(axis: Axes, steps: dict) -> None:
    m = np.array(steps["num_steps"])
    for number, (kind, seconds) in enumerate(steps["seconds"].items()):
        colour = list(COLOURS.values())[number]
        axis.plot(
            m,
            seconds,
            MARKERS[number] + "-",
            color=colour,
            markersize=4,
            label=f"reorthogonalise: {kind}",
        )
    law = 4 * m**2 * steps["num_parameters"] / steps["bytes_per_second"]
    axis.plot(m, law, **LAW, label="4 m² p bytes / bandwidth")
    axis.set(
        title=f"time, steps (p = {steps['num_parameters'] / 1e6:g} million)",
        xlabel="m",
        ylabel="seconds",
    )
    axis.set(xscale="log", yscale="log")


def _mebibytes(values) -> list[float]:
    return [
        value / MEBI if value else np.nan for value in values
    ]  # growth below a page is not seen


def _plain_ticks(axis: Axis, values=None) -> None:
    """Labels like 0.5 and 20 on a logarithmic axis, at `values` or at 1,
    2 and 5 of each decade."""
    axis.set_major_locator(FixedLocator(values) if values else LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
