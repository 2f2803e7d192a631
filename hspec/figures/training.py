"""What happens to a spectrum during training: stills, its ends, its change, its negative part."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from hspec.experiments import Record
from hspec.experiments.film_quantities import negative_share, sampling_noise
from hspec.experiments.measures.spectra import stored_measure
from hspec.experiments.verdicts.training import depth, epoch_changes
from hspec.figures.film_axes import LOOKS, falling_loss_axis, plain_log
from hspec.figures.spectra import density_floor, density_line
from hspec.figures.style import COLOURS, panels
from hspec.linalg import KERNEL_WIDTHS


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
