"""What is left below zero as training goes on, and how both ends fade."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from hspec.experiments.film_quantities import depth, negative_share
from hspec.experiments.training_spectrum import Frame
from hspec.figures.film_axes import LOOKS, falling_loss_axis, plain_log
from hspec.figures.style import COLOURS, panels


def negative_parts(films: dict[str, list[Frame]]) -> Figure:
    """|λ_min|/λ_max (left) and the share of the curvature that is negative (right) over the
    steps.
    """
    figure, (left, right) = panels(1, 2, width=4.8, height=3.3)
    for (label, frames), (colour, marker) in zip(films.items(), LOOKS, strict=False):
        steps = [r.step for r in frames]
        look = {"color": colour, "marker": marker, "markersize": 4, "label": label}
        left.errorbar(steps, *np.transpose([depth(r) for r in frames]), **look)
        shares, low, high = np.transpose([negative_share(r.hess) for r in frames])
        right.errorbar(steps, shares, (shares - low, high - shares), **look)
    for axis in (left, right):
        axis.set_xlabel("step")
    plain_log(left)
    right.set_ylim(bottom=0)
    left.set_ylabel(r"$|\lambda_{\min}| / \lambda_{\max}$")
    right.set_ylabel("negative share of the curvature")
    left.legend()
    return figure


def fading(frames: list[Frame]) -> Figure:
    """λ_1 and |λ_min| against the loss of the same frames, both logarithmic:
    parallel where they fade together.
    """
    figure, (axis,) = panels(1, 1, width=6.0, height=3.5)
    order = sorted(frames, key=lambda r: r.loss)
    losses = [r.loss for r in order]
    axis.loglog(
        losses, [float(r.top[0]) for r in order], "o-", color=COLOURS["G"], label=r"$\lambda_1$"
    )
    sizes = [abs(np.minimum(0.0, r.bottom)) for r in order]  # NaN stays
    axis.loglog(losses, sizes, "s-", color=COLOURS["B1"], label=r"$|\lambda_{\min}|$")
    falling_loss_axis(axis, frames)
    axis.set_ylabel("eigenvalue")
    axis.legend()
    return figure
