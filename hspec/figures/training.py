"""What happens to a spectrum during training: stills, and its two ends."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from hspec.experiments.film_quantities import moment
from hspec.experiments.training_spectrum import Frame, known
from hspec.figures.densities import density_floor, density_line
from hspec.figures.film_axes import LOOKS, STATISTICS, plain_log
from hspec.figures.style import COLOURS, panels
from hspec.linalg import KERNEL_WIDTHS


def stills(frames: list[Frame], *, columns: int = 3, preset: str = "P20") -> Figure:
    """The density at single steps, or in several modes at one, one panel each with its own axis;
    negative eigenvalues on a grey ground.
    """
    rows = -(-len(frames) // columns)
    figure, axes = panels(rows, min(columns, len(frames)), width=3.2, height=2.5)
    for axis in axes[len(frames) :]:
        axis.remove()
    several = len({record.options["batch_norm"] for record in frames}) > 1
    for axis, record in zip(axes, frames, strict=False):
        measure, mode = record.hess, STATISTICS[record.options["batch_norm"]]
        width = KERNEL_WIDTHS[preset](measure, measure.num_steps)
        density_line(axis, measure, width, COLOURS["Hess"], "Hess")
        density_floor(axis, measure.dimension, width)
        left = min(axis.get_xlim()[0], -1e-12)
        axis.axvspan(left, 0, color="#EEEEEE", zorder=0)
        axis.set_xlim(left=left)
        when = mode if several else moment(record)
        axis.set_title(f"{when}: loss {record.loss:.3g}", fontsize=9)
        axis.set_xlabel("eigenvalue λ")
    for axis in axes[::columns]:
        axis.set_ylabel("spectral density")
    return figure


def ends(films: dict[str, list[Frame]], *, drops: Iterable[int] = ()) -> Figure:
    """λ_1 (left) and λ_min (right) of several films over the steps; bars are the residuals.

    Gaps where they have not converged.
    """
    figure, axes = panels(1, 2, width=4.8, height=3.3)
    for axis, name, symbol in zip(
        axes, ("top", "bottom"), (r"$\lambda_1$", r"$\lambda_{\min}$"), strict=True
    ):
        for (label, frames), (colour, marker) in zip(films.items(), LOOKS, strict=False):
            steps = [r.step for r in frames]
            values = [float(known(r[name], r[f"{name}_residuals"])[0]) for r in frames]
            bars = [float(r[f"{name}_residuals"][0]) for r in frames]
            axis.errorbar(
                steps, values, bars, color=colour, marker=marker, markersize=4, label=label
            )
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
