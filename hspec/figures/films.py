"""Films of a spectrum over training, as one picture:
a heat map with the ends as lines and the loss above.
"""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hspec.experiments import Record
from hspec.experiments.scale import net_name
from hspec.experiments.training_spectrum import Frame
from hspec.figures.film_axes import (
    SMOOTHING,
    STATISTICS,
    bending,
    bent,
    column,
    column_edges,
    eigenvalue_ticks,
    plain_log,
    step_axis,
    straight,
)
from hspec.figures.kernels import note_kernel
from hspec.figures.style import COLOURS, SEQUENTIAL, panels
from hspec.words import signed

FAINTEST = 0.1  # eigenvalues per unit of the axis: the lower end of the colour scale
ROWS = 400  # of a heat map
LINEAR_UNIT = (
    100  # a heat map's axis is linear within 1/LINEAR_UNIT of the median λ_1, logarithmic beyond
)
HALO = [effects.Stroke(linewidth=2.6, foreground="white"), effects.Normal()]  # seen on the map
OUTLINE = [effects.Stroke(linewidth=3.2, foreground="white"), effects.Normal()]


def film(
    frames: list[Record],
    curves: Record | None = None,
    *,
    drops: Iterable[int] = (),
    rank: int | None = None,
) -> Figure:
    """The spectrum over training at a glance: the loss above, below it the density as colours and
    the ends as lines.

    Colours: the expected number of eigenvalues per unit of the axis, which is linear near zero and
        logarithmic beyond.
    curves  a record of loss_curves; drops  steps at which the learning rate falls;
    rank    the eigenvalue drawn beside λ_1; None takes C + 1, the first one beyond as many as there
    are classes
    """
    figure, (above, below) = panels(
        2, 1, width=8.2, height=3.1, sharex=True, gridspec_kw={"height_ratios": [1, 2.2]}
    )
    steps = np.array([r.step for r in frames])
    draw_losses(above, frames, curves)
    unit = float(np.nanmedian([r.top[0] for r in frames])) / LINEAR_UNIT
    heat_map(figure, below, frames, steps, unit)
    draw_ends(below, frames, steps, rank or frames[0].num_classes + 1)
    for axis in (above, below):
        for number, drop in enumerate(drops):
            label = "learning rate drops" if number == 0 and axis is above else None
            line = {"color": COLOURS["exact"], "linestyle": ":", "linewidth": 1.2}
            axis.axvline(drop, **line, label=label, path_effects=HALO)
    step_axis(below, steps)
    above.legend(loc="lower left", ncols=3)  # where a loss that falls is not
    above.set_title(describe(frames))
    return figure


def draw_losses(axis: Axes, frames: list[Record], curves: Record | None) -> None:
    """The mini-batch loss as a line, the loss at each frame as dots."""
    steps = [r.step for r in frames]
    if curves is not None:
        seen = curves["step"] <= steps[-1]
        line = {"color": COLOURS["neutral"], "linewidth": 1, "label": "mini-batches"}
        axis.plot(curves["step"][seen], curves["step_loss"][seen], **line)
    axis.plot(steps, [r.loss for r in frames], "o", color=COLOURS["Hess"], label="at the frames")
    plain_log(axis)
    axis.set_ylabel("loss")


def heat_map(
    figure: Figure, axis: Axes, frames: list[Frame], steps: np.ndarray, unit: float
) -> None:
    """log10 of eigenvalues per unit of the axis u = sign(λ) log10(1 + |λ|/unit),
    one column a frame.
    """
    low = min(r.hess.support[0] for r in frames)
    high = max(r.hess.support[1] for r in frames)
    note_kernel(axis, SMOOTHING, "of the signed-log axis")
    margin = 3 * SMOOTHING
    grid = np.linspace(bent(low, unit) - margin, bent(high, unit) + margin, ROWS)
    columns = [column(r.hess, grid, unit) for r in frames]
    axis.set_yscale(**bending(unit))
    image = axis.pcolormesh(
        column_edges(steps),
        straight(np.append(grid, 2 * grid[-1] - grid[-2]), unit),
        np.maximum(np.array(columns).T, FAINTEST),
        cmap=SEQUENTIAL,
        norm=LogNorm(vmin=FAINTEST),
        rasterized=True,
    )
    figure.colorbar(image, ax=axis, label="eigenvalues per unit", pad=0.01)
    ticks = eigenvalue_ticks(low, high, unit)
    axis.set_yticks(ticks, [signed(f"{t:g}") for t in ticks])
    axis.set_ylabel("eigenvalue λ (signed log)")
    axis.grid(False)


def draw_ends(axis: Axes, frames: list[Frame], steps: np.ndarray, rank: int) -> None:
    """λ_1, λ_rank and λ_min as outlined lines on a heat map's axis;
    gaps where they have not converged.
    """
    lines = [([r.top[0] for r in frames], COLOURS["G"], "-", r"$\lambda_1$")]
    if any(np.isfinite(r.top[rank - 1 : rank]).any() for r in frames):
        lines.append(
            (
                [r.top[rank - 1] if rank <= len(r.top) else np.nan for r in frames],
                COLOURS["G"],
                "--",
                rf"$\lambda_{{{rank}}}$",
            )
        )
    lines.append(([r.bottom for r in frames], COLOURS["B1"], "-", r"$\lambda_{\min}$"))
    for values, colour, style, label in lines:
        axis.plot(
            steps,
            np.array(values),
            style,
            marker="o",
            markersize=3,
            color=colour,
            label=label,
            path_effects=OUTLINE,
        )
    axis.legend(loc="lower right", ncols=3, frameon=True, framealpha=0.85)


def published(films: list[list[Frame]]) -> Figure | None:
    """The first of the stored films; None where there is none."""
    if not films:
        return None
    drops = films[0][0].setting.recipe.drops
    steps = [d for d in drops if isinstance(d, int)]
    return film(films[0], drops=steps)


def describe(frames: list[Frame]) -> str:
    """One line on the net and the images of a film."""
    record, setting = frames[0], frames[0].setting
    images = f"Hessian of {record.num_examples:,} images"
    return f"{net_name(record)} ({record.num_parameters:,} parameters), {setting.dataset}, {images}"


def by_norm(films: list[list[Frame]]) -> dict[str, list[Frame]]:
    """One film with batch normalisation and one without,
    under names short enough for a legend."""
    names = {"batch": "with batch norm", "none": "without"}
    return {names[frames[0].setting.norm]: frames for frames in films}


def by_mode(*films: list[Frame]) -> dict[str, list[Frame]]:
    """Films of one training by the statistics that their Hessians use; the first one,
    where two use the same.
    """
    named: dict[str, list[Frame]] = {}
    for frames in films:
        if frames:
            named.setdefault(STATISTICS[frames[0].options["batch_norm"]], frames)
    return named


def by_seed(groups: dict[str, list[Frame]]) -> dict[str, list[Frame]]:
    """Each frame under the name of its group and its seed: "with, seed 0"; "seed 0" in a group
    without a name.
    """
    return {
        ", ".join(filter(None, (name, f"seed {frame.setting.init_seed}"))): [frame]
        for name, frames in groups.items()
        for frame in frames
    }
