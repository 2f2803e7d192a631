"""Nets side by side: losses and outliers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from hspec.experiments import Record
from hspec.experiments.film_quantities import rank_ratio, share
from hspec.experiments.training_spectrum import Frame
from hspec.figures.densities import GRID_POINTS
from hspec.figures.film_axes import (
    LOOKS,
    SMOOTHING,
    bending,
    bent,
    column,
    eigenvalue_ticks,
    falling_loss_axis,
    plain_log,
    straight,
)
from hspec.figures.kernels import note_kernel
from hspec.figures.style import COLOURS, panels, rank_axis
from hspec.linalg import SpectralMeasure
from hspec.words import signed

FEWEST = 0.05  # eigenvalues per unit: the foot of a density
LINEAR_PART = 0.1  # of an axis in units of λ_k, which is logarithmic beyond


def losses(curves: dict[str, Record], *, drops: Iterable[int] = ()) -> Figure:
    """Training loss per step (left) and test error per epoch (right), one line a net;
    diverged runs are named only.
    """
    figure, (left, right) = panels(1, 2, width=4.8, height=3.2)
    for (label, record), (colour, _) in zip(curves.items(), LOOKS, strict=False):
        if bool(record["diverged"]):
            label += ": diverged"
        left.semilogy(record["step"], record["step_loss"], color=colour, label=label, linewidth=1.2)
        right.plot(record["epoch_step"], 100 * record["test_error"], color=colour, label=label)
    for axis in (left, right):
        axis.set_xlabel("step")
        for drop in drops:
            axis.axvline(drop, color=COLOURS["exact"], linestyle=":", linewidth=1.2)
    left.set_ylabel("training loss (mini-batches)")
    right.set_ylabel("test error, %")
    left.legend()
    return figure


def outliers(records: dict[str, Frame], rank: int | None = None) -> Figure:
    """Several nets on one axis: eigenvalues and densities in units of each net's own λ_rank;
    None: C + 1.
    """
    rank = rank or beyond_classes(records.values())
    figure, (left, right) = panels(1, 2, width=4.8, height=3.4)
    right.set_xscale(**bending(LINEAR_PART))
    for (label, record), (colour, marker) in zip(records.items(), LOOKS, strict=False):
        unit = float(record.top[rank - 1])
        if (
            not unit > 0
        ):  # a net so little trained that its scale is not one, or an eigenvalue not reached
            reason = r"\leq 0" if unit <= 0 else r"\mathrm{\ has\ not\ converged}"
            left.plot(
                [], [], marker, color=colour, label=rf"{label}: $\lambda_{{{rank}}} {reason}$"
            )
            continue
        top = record.top / unit
        left.plot(np.arange(1, len(top) + 1), top, marker, color=colour, markersize=4, label=label)
        measure = in_units(record.hess, unit)
        note_kernel(right, SMOOTHING, "of the signed-log axis")
        ends = bent(np.array([measure.support[0], top[0]]), LINEAR_PART)
        grid = np.linspace(ends[0] - 3 * SMOOTHING, ends[1] + 3 * SMOOTHING, GRID_POINTS)
        places = straight(grid, LINEAR_PART)
        right.semilogy(
            places, column(measure, grid, LINEAR_PART), color=colour, label=label, linewidth=1.2
        )
    plain_log(left)
    left.axvline(rank, color=COLOURS["neutral"], linestyle="--", linewidth=1, label=f"k = {rank}")
    rank_axis(left)
    left.set_ylabel(rf"$\lambda_k / \lambda_{{{rank}}}$")
    left.legend()
    right.set_ylim(
        FEWEST, 10 * max((line.get_ydata().max() for line in right.get_lines()), default=1)
    )
    bounds = right.get_xlim()
    ticks = eigenvalue_ticks(*bounds, LINEAR_PART)
    right.set_xticks(ticks, [signed(f"{t:g}") for t in ticks])
    right.set_xlim(bounds)
    right.set_xlabel(rf"$\lambda / \lambda_{{{rank}}}$")
    right.set_ylabel("eigenvalues per unit")
    return figure


def in_units(measure: SpectralMeasure, unit: float) -> SpectralMeasure:
    """The measure of the matrix divided by ``unit``."""
    return SpectralMeasure(
        measure.nodes / unit,
        measure.weights,
        measure.plain_weights,
        measure.dimension,
        measure.exact,
    )


def outlier_ratios(films: dict[str, list[Frame]], rank: int | None = None) -> Figure:
    """λ_1/λ_rank over the steps, one line a net; None: C + 1."""
    rank = rank or beyond_classes(frames[0] for frames in films.values())
    figure, (axis,) = panels(1, 1, width=6.4, height=3.3)
    for (label, frames), (colour, marker) in zip(films.items(), LOOKS, strict=False):
        steps = [r.step for r in frames]
        values = [rank_ratio(r.top, rank) for r in frames]
        axis.plot(steps, values, color=colour, marker=marker, markersize=4, label=label)
    plain_log(axis)
    axis.set_xlabel("step")
    axis.set_ylabel(rf"$\lambda_1 / \lambda_{{{rank}}}$")
    axis.legend()
    return figure


def over_loss(films: dict[str, list[Frame]], quantity: str) -> Figure:
    """A number of each frame against the frame's loss, falling to the right: nets compared at the
    same loss.

    quantity  "outliers": λ_1/λ_{C+1}; "gradient": the share of the gradient in the top C
    eigenvectors
    """
    rank = beyond_classes(frames[0] for frames in films.values())
    value, name = {
        "outliers": (lambda r: rank_ratio(r.top, rank), rf"$\lambda_1 / \lambda_{{{rank}}}$"),
        "gradient": (lambda r: share(r, rank - 1)[0], f"share of ‖∇L‖² in the top {rank - 1}"),
    }[quantity]
    figure, (axis,) = panels(1, 1, width=6.4, height=3.3)
    for (label, frames), (colour, marker) in zip(films.items(), LOOKS, strict=False):
        in_order = sorted(frames, key=lambda r: -r.loss)
        points = [(r.loss, value(r)) for r in in_order]
        axis.plot(
            *zip(*points, strict=True), color=colour, marker=marker, markersize=4, label=label
        )
    if quantity == "outliers":
        plain_log(axis)
    falling_loss_axis(axis, [r for frames in films.values() for r in frames])
    axis.set_ylabel(name)
    axis.legend()
    return figure


def beyond_classes(records: Iterable[Frame]) -> int:
    """C + 1: the first rank beyond as many outliers as there are classes."""
    return max(record.num_classes for record in records) + 1


def at_step(films: dict[str, list[Frame]], step: int) -> dict[str, Frame]:
    """The frame of each film at the step; films without one are left out.

    Raises ValueError where no film has one.
    """
    found = {label: r for label, frames in films.items() for r in frames if r.step == step}
    if not found:
        raise ValueError(f"no film has a frame at step {step}: name it among the steps")
    return found
