"""Films of a spectrum over training: heat map, ends, stills, change from epoch to epoch."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.patheffects as effects
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hspec.experiments import Record
from hspec.experiments.film_quantities import negative_share, sampling_noise
from hspec.experiments.measures.spectra import stored_measure
from hspec.experiments.verdicts.training import depth, epoch_changes
from hspec.figures.spectra import density_floor, density_line
from hspec.figures.style import COLOURS, SEQUENTIAL, panels
from hspec.linalg import KERNEL_WIDTHS, SpectralMeasure

FAINTEST = 0.1  # eigenvalues per unit of the axis: the lower end of the colour scale
SMOOTHING = 0.12  # of a heat map's kernel, in units of its axis
ROWS = 400  # of a heat map
LINEAR_UNIT = 100  # a heat map's axis is linear within 1/LINEAR_UNIT of the median λ_1, logarithmic beyond
OUTLINE = [effects.Stroke(linewidth=3.2, foreground="white"), effects.Normal()]


def film(
    frames: list[Record], curves: Record | None = None, *, drops=(), title: str = "", rank: int | None = None
) -> Figure:
    """The spectrum over training at a glance: the loss above, below it the density as colours and the ends as lines.

    Colours: the expected number of eigenvalues per unit of the axis, which is linear near zero and logarithmic beyond.
    curves  a record of loss_curves; drops  steps at which the learning rate falls;
    rank    the eigenvalue drawn beside λ_1; None takes C + 1, the first one beyond as many as there are classes
    """
    figure, (above, below) = panels(
        2, 1, width=8.2, height=3.1, sharex=True, gridspec_kw={"height_ratios": [1, 2.2]}
    )
    steps = np.array([int(r["step"]) for r in frames])
    draw_losses(above, frames, curves)
    unit = float(np.median([r["top"][0] for r in frames])) / LINEAR_UNIT
    heat_map(figure, below, frames, steps, unit)
    draw_ends(below, frames, steps, rank or int(frames[0]["num_classes"]) + 1)
    for axis in (above, below):
        for number, drop in enumerate(drops):
            label = "learning rate drops" if number == 0 and axis is above else None
            axis.axvline(drop, color=COLOURS["exact"], linestyle=":", linewidth=1.2, label=label)
    step_axis(below, steps)
    above.legend(loc="lower left", ncols=3)
    above.set_title(title)
    return figure


def draw_losses(axis: Axes, frames: list[Record], curves: Record | None) -> None:
    """The mini-batch loss as a line, the loss at each frame as dots."""
    steps = [int(r["step"]) for r in frames]
    if curves is not None:
        seen = curves["step"] <= steps[-1]
        line = {"color": COLOURS["neutral"], "linewidth": 1, "label": "mini-batches"}
        axis.plot(curves["step"][seen], curves["step_loss"][seen], **line)
    axis.plot(steps, [float(r["loss"]) for r in frames], "o", color=COLOURS["Hess"], label="at the frames")
    axis.set_yscale("log")
    axis.set_ylabel("loss")


def heat_map(figure: Figure, axis: Axes, frames: list[Record], steps: np.ndarray, unit: float) -> None:
    """log10 of eigenvalues per unit of the axis u = sign(λ) log10(1 + |λ|/unit), one column a frame."""
    low = min(float(r["bottom"][0]) for r in frames)
    high = max(float(r["top"][0]) for r in frames)
    margin = 3 * SMOOTHING
    grid = np.linspace(bent(low, unit) - margin, bent(high, unit) + margin, ROWS)
    columns = [column(stored_measure(r, "hess_"), grid, unit) for r in frames]
    image = axis.pcolormesh(
        column_edges(steps),
        np.append(grid, 2 * grid[-1] - grid[-2]),
        np.maximum(np.array(columns).T, FAINTEST),
        cmap=SEQUENTIAL,
        norm=LogNorm(vmin=FAINTEST),
        rasterized=True,
    )
    figure.colorbar(image, ax=axis, label="eigenvalues per unit", pad=0.01)
    ticks = eigenvalue_ticks(low, high, unit)
    axis.set_yticks(bent(ticks, unit), [f"{t:g}" for t in ticks])
    axis.set_ylabel("eigenvalue λ (signed log)")
    axis.grid(False)


def bent(value, unit: float):
    """u = sign(λ) log10(1 + |λ|/unit)."""
    return np.sign(value) * np.log10(1 + np.abs(value) / unit)


def straight(u: float, unit: float) -> float:
    """The inverse of :func:`bent`."""
    return float(np.sign(u) * unit * (10 ** abs(u) - 1))


def column(measure: SpectralMeasure, grid: np.ndarray, unit: float) -> np.ndarray:
    """Expected number of eigenvalues per unit of u: the measure is carried to the axis u and smoothed there."""
    carried = SpectralMeasure(
        bent(measure.nodes, unit), measure.weights, measure.plain_weights, measure.dimension
    )
    return measure.dimension * carried.density(grid, SMOOTHING)


def column_edges(steps: np.ndarray) -> np.ndarray:
    """Where one frame's column ends and the next begins: halfway between their steps."""
    middles = [(a + b) / 2 for a, b in pairwise(steps)]
    half = 0.5 * (steps[1] - steps[0]) if len(steps) > 1 else 0.5
    last = 0.5 * (steps[-1] - steps[-2]) if len(steps) > 1 else 0.5
    return np.array([steps[0] - half, *middles, steps[-1] + last])


def eigenvalue_ticks(low: float, high: float, unit: float) -> np.ndarray:
    """0, and the powers of ten beyond the linear part that the axis reaches."""
    first = int(np.ceil(np.log10(unit)))
    positive = [10.0**k for k in range(first, 12) if 10.0**k <= high]
    negative = [-(10.0**k) for k in range(first, 12) if 10.0**k <= -low]
    return np.array([*negative[::-1], 0.0, *positive])


def draw_ends(axis: Axes, frames: list[Record], steps: np.ndarray, rank: int) -> None:
    """λ_1, λ_rank and λ_min as outlined lines on a heat map's axis."""
    unit = float(np.median([r["top"][0] for r in frames])) / LINEAR_UNIT
    lines = [([r["top"][0] for r in frames], COLOURS["G"], "-", r"$\lambda_1$")]
    if all(rank <= len(r["top"]) for r in frames):
        lines.append(([r["top"][rank - 1] for r in frames], COLOURS["G"], "--", rf"$\lambda_{{{rank}}}$"))
    lines.append(([r["bottom"][0] for r in frames], COLOURS["B1"], "-", r"$\lambda_{\min}$"))
    for values, colour, style, label in lines:
        axis.plot(
            steps,
            bent(np.array(values), unit),
            style,
            marker="o",
            markersize=3,
            color=colour,
            label=label,
            path_effects=OUTLINE,
        )
    axis.legend(loc="lower right", ncols=3, frameon=True, framealpha=0.85)


def step_axis(axis: Axes, steps: np.ndarray) -> None:
    """Steps on a logarithmic axis after the first frame where the film begins at the start, else on a linear one."""
    positive = steps[steps > 0]
    if steps[0] == 0 and len(positive):
        axis.set_xscale("symlog", linthresh=int(positive[0]), linscale=0.5)
        ticks = [0, *(10**k for k in range(8) if positive[0] <= 10**k <= steps[-1])]
        axis.set_xticks(ticks, [f"{t:,}" for t in ticks])
    axis.set_xlim(column_edges(steps)[[0, -1]])
    axis.set_xlabel("step")


def stills(frames: list[Record], *, columns: int = 3, preset: str = "P20") -> Figure:
    """The density at single steps, one panel each with its own axis; negative eigenvalues on a grey ground."""
    rows = -(-len(frames) // columns)
    figure, axes = panels(rows, min(columns, len(frames)), width=3.2, height=2.5)
    for axis in axes[len(frames) :]:
        axis.set_visible(False)
    for axis, record in zip(axes, frames, strict=False):
        measure = stored_measure(record, "hess_")
        width = KERNEL_WIDTHS[preset](measure, measure.num_steps)
        density_line(axis, measure, width, COLOURS["Hess"], "Hess")
        density_floor(axis, measure.dimension, width)
        left = min(axis.get_xlim()[0], -1e-12)
        axis.axvspan(left, 0, color="#EEEEEE", zorder=0)
        axis.set_xlim(left=left)
        axis.set_title(f"step {int(record['step']):,}: loss {float(record['loss']):.3g}", fontsize=9)
        axis.set_xlabel("eigenvalue λ")
    for axis in axes[::columns]:
        axis.set_ylabel("spectral density")
    return figure


def changes_by_epoch(frames: list[Record], epoch: int) -> Figure:
    """Normalised Wasserstein-1 distance from each epoch's end to the next one's, with standard errors over probes."""
    changes = np.array(epoch_changes(frames, epoch))
    noise = np.nanmean([sampling_noise(stored_measure(r, "hess_")) for r in frames])
    figure, (axis,) = panels(1, 1, width=6.4, height=3.2)
    numbers = np.arange(1, len(changes) + 1)
    axis.errorbar(
        numbers,
        changes[:, 0],
        np.nan_to_num(changes[:, 1]),
        fmt="o-",
        color=COLOURS["Hess"],
        capsize=3,
        label="spectrum before and after the epoch",
    )
    if np.isfinite(noise):
        axis.axhline(
            noise, color=COLOURS["neutral"], linestyle="--", label="one spectrum, seen by two probes"
        )
    axis.set_xticks(numbers)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("epoch")
    axis.set_ylabel("change of the spectrum, W₁ normalised")
    axis.legend()
    return figure


def ends(films: dict[str, list[Record]], *, drops=()) -> Figure:
    """λ_1 above and λ_min below of several films over the steps; bars are the residuals."""
    figure, axes = panels(1, 2, width=4.8, height=3.3)
    for axis, name, symbol in zip(
        axes, ("top", "bottom"), (r"$\lambda_1$", r"$\lambda_{\min}$"), strict=True
    ):
        for (label, frames), (colour, marker) in zip(films.items(), LOOKS, strict=False):
            steps = [int(r["step"]) for r in frames]
            values = [float(r[name][0]) for r in frames]
            bars = [float(r[f"{name}_residuals"][0]) for r in frames]
            axis.errorbar(steps, values, bars, color=colour, marker=marker, markersize=4, label=label)
        for drop in drops:
            axis.axvline(drop, color=COLOURS["exact"], linestyle=":", linewidth=1.2)
        axis.set_xlabel("step")
        axis.set_ylabel(symbol)
    plain_log(axes[0])
    deepest = max(abs(float(r["bottom"][0])) for frames in films.values() for r in frames)
    axes[1].set_yscale("symlog", linthresh=10.0 ** np.floor(np.log10(deepest) - 2))
    axes[1].set_ylim(-2 * deepest, 0)
    axes[0].legend()
    return figure


def falls(before: list[Record], after: list[Record], control: list[Record]) -> Figure:
    """λ_1 before the drop, after it, and at the same step without it: one line a seed."""
    figure, (axis,) = panels(1, 1, width=5.2, height=3.3)
    groups = np.array([[float(r["top"][0]) for r in records] for records in (before, after, control)])
    axis.plot(
        [0, 1], groups[:2], "o-", color=COLOURS["Hess"], label=["rate dropped"] + [None] * (len(after) - 1)
    )
    axis.plot([0, 1], groups[::2], "s--", color=COLOURS["G"], label=["rate kept"] + [None] * (len(after) - 1))
    axis.set_xticks([0, 1], [f"step {int(before[0]['step']):,}", f"step {int(after[0]['step']):,}"])
    axis.set_xlim(-0.2, 1.2)
    plain_log(axis)
    axis.set_ylabel(r"$\lambda_1$ of Hess")
    axis.legend()
    return figure


def fall_table(before: list[Record], after: list[Record], control: list[Record]) -> pd.DataFrame:
    """The numbers of :func:`falls`: one row a seed."""
    return pd.DataFrame(
        {
            "seed": b.meta["setting"]["init_seed"],
            f"λ_1 at step {int(b['step']):,}": f"{float(b['top'][0]):.4g}",
            f"at step {int(a['step']):,}, rate dropped": f"{float(a['top'][0]):.4g}",
            "there, rate kept": f"{float(c['top'][0]):.4g}",
            "loss there, dropped / kept": f"{float(a['loss']):.3g} / {float(c['loss']):.3g}",
        }
        for b, a, c in zip(before, after, control, strict=True)
    )


def negative_parts(films: dict[str, list[Record]]) -> Figure:
    """|λ_min|/λ_max (left) and the share of the curvature that is negative (right) over the steps."""
    figure, (left, right) = panels(1, 2, width=4.8, height=3.3)
    for (label, frames), (colour, marker) in zip(films.items(), LOOKS, strict=False):
        steps = [int(r["step"]) for r in frames]
        look = {"color": colour, "marker": marker, "markersize": 4, "label": label}
        left.errorbar(steps, *np.transpose([depth(r) for r in frames]), **look)
        shares = np.array([negative_share(stored_measure(r, "hess_")) for r in frames])
        right.errorbar(steps, shares[:, 0], np.nan_to_num(shares[:, 1]), **look)
    for axis in (left, right):
        axis.set_xlabel("step")
    plain_log(left)
    right.set_ylim(bottom=0)
    left.set_ylabel(r"$|\lambda_{\min}| / \lambda_{\max}$")
    right.set_ylabel("negative share of the curvature")
    left.legend()
    return figure


def fading(frames: list[Record]) -> Figure:
    """λ_1 and |λ_min| against the loss of the same frames, both logarithmic: parallel where they fade together."""
    figure, (axis,) = panels(1, 1, width=6.0, height=3.5)
    order = sorted(frames, key=lambda r: float(r["loss"]))
    losses = [float(r["loss"]) for r in order]
    axis.loglog(losses, [float(r["top"][0]) for r in order], "o-", color=COLOURS["G"], label=r"$\lambda_1$")
    sizes = [abs(min(0.0, float(r["bottom"][0]))) for r in order]
    axis.loglog(losses, sizes, "s-", color=COLOURS["B1"], label=r"$|\lambda_{\min}|$")
    falling_loss_axis(axis, frames)
    axis.set_ylabel("eigenvalue")
    axis.legend()
    return figure


def falling_loss_axis(axis: Axes, frames: list[Record]) -> None:
    """The loss as a logarithmic abscissa that falls to the right, so that training runs to the right."""
    losses = [float(r["loss"]) for r in frames]
    axis.set_xscale("log")
    axis.set_xlim(1.3 * max(losses), min(losses) / 1.3)
    axis.set_xlabel("loss (falling to the right)")


def plain_log(axis: Axes) -> None:
    """A logarithmic ordinate with plain numbers, for ranges of about a decade."""
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(few_labels)


def few_labels(value: float, _=None) -> str:
    """Between powers of ten only 2 and 5 are named."""
    digit = f"{value:e}"[0]
    return f"{value:g}" if digit in "25" else ""


def published(films: list[list[Record]]) -> Figure | None:
    """The first of the stored films, under its own title; None where there is none."""
    if not films:
        return None
    drops = films[0][0].meta["setting"]["recipe"]["drops"]
    steps = [d for d in drops if isinstance(d, int)]
    return film(films[0], drops=steps, title=describe(films[0]))


def describe(frames: list[Record]) -> str:
    """One line on the net and the images of a film."""
    setting, record = frames[0].meta["setting"], frames[0]
    net = f"{setting['model']} at width {setting['width']:g}"
    norm = "" if setting["norm"] == "batch" else " without norm"
    images = f"Hessian of {int(record['num_examples']):,} images"
    return f"{net}{norm} ({int(record['num_parameters']):,} parameters), {setting['dataset']}, {images}"


LOOKS = [
    (COLOURS["Hess"], "o"),
    (COLOURS["G"], "s"),
    (COLOURS["H"], "D"),
    (COLOURS["A1"], "^"),
    (COLOURS["B2"], "v"),
]
