"""Where the gradient lies in the spectrum."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.experiments.film_quantities import gradient_below_zero, share
from hspec.experiments.training_spectrum import Frame
from hspec.figures.film_axes import LOOKS
from hspec.figures.film_tables import BOUNDED
from hspec.figures.nets import beyond_classes
from hspec.figures.style import COLOURS, panels
from hspec.figures.tables import tabulated


def gradient_shares(films: dict[str, list[Frame]], *, drops: Iterable[int] = ()) -> Figure | None:
    """The gradient's share in the top C eigenvectors over the steps, with its rigorous band; None
    where it is known at fewer than two frames, which make no curve.
    """
    rank = beyond_classes(frames[0] for frames in films.values()) - 1
    if sum(np.isfinite(share(r, rank)[0]) for frames in films.values() for r in frames) < 2:
        return None
    figure, (axis,) = panels(1, 1, width=6.8, height=3.5)
    for (label, frames), (colour, marker) in zip(films.items(), LOOKS, strict=False):
        steps = [r.step for r in frames]
        shares = np.array([share(r, rank) for r in frames])
        bars = np.abs(shares[:, 1:] - shares[:, :1]).T
        axis.errorbar(
            steps,
            shares[:, 0],
            bars,
            color=colour,
            marker=marker,
            markersize=4,
            capsize=2,
            label=label,
        )
    for drop in drops:
        axis.axvline(drop, color=COLOURS["exact"], linestyle=":", linewidth=1.2)
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("step")
    axis.set_ylabel(f"share of ‖∇L‖² in the top {rank} eigenvectors")
    axis.legend()
    return figure


def gradient_over_spectrum(records: dict[str, Frame]) -> Figure:
    """Where along the spectrum the gradient lies: its energy at eigenvalues below λ,
    against λ/λ_1.
    """
    figure, (axis,) = panels(1, 1, width=6.4, height=3.4)
    for (label, record), (colour, _) in zip(records.items(), LOOKS, strict=False):
        measure, largest = record.gradient, float(record.top[0])
        nodes = measure.nodes[0][np.isfinite(measure.nodes[0])]
        axis.step(
            nodes / largest,
            np.cumsum(measure.weights[0][: len(nodes)]),
            where="post",
            color=colour,
            label=label,
        )
    axis.axvline(0, color=COLOURS["neutral"], linewidth=1, linestyle="--")
    axis.set_xlabel(r"eigenvalue, $\lambda / \lambda_1$")
    axis.set_ylabel("share of ‖∇L‖² below λ")
    axis.legend()
    return figure


def gradient_table(films: dict[str, list[Frame]]) -> pd.DataFrame:
    """Where the gradient lies: one row a frame; of its shares the rigorous bounds too."""
    frames = [(label, frame) for label, film in films.items() for frame in film]
    classes = frames[0][1].num_classes
    formats = {"‖∇L‖": ".3g", "curvature along ∇L": ".3g", "λ_1": ".3g"}
    return tabulated(
        (gradient_row(label, frame, classes) for label, frame in frames),
        formats | {f"share in the top {classes}": BOUNDED, "share below zero": BOUNDED},
    )


def gradient_row(label: str, frame: Frame, classes: int) -> dict[str, object]:
    return {
        "net": label,
        "step": frame.step,
        "‖∇L‖": float(frame["gradient_norm"]),
        f"share in the top {classes}": share(frame, classes),
        "share below zero": gradient_below_zero(frame),
        "curvature along ∇L": frame.gradient.moment(1),
        "λ_1": frame.top[0],
    }


def share_summary(films: dict[str, list[Frame]]) -> pd.DataFrame:
    """The gradient's share in the top C eigenvectors after the start:
    mean and range over the frames that have it.
    """
    formats = {
        "share of ‖∇L‖² in the top C, mean over frames": ".3f",
        "smallest and largest": "{:.3f} to {:.3f}",
        "a random direction, C/p": ".1e",
    }
    return tabulated((share_row(label, frames) for label, frames in films.items()), formats)


def share_row(label: str, frames: list[Frame]) -> dict[str, object]:
    classes = frames[0].num_classes
    shares = np.array([share(frame, classes)[0] for frame in frames if frame.step > 0])
    shares = shares[np.isfinite(shares)]
    return {
        "net": label,
        "share of ‖∇L‖² in the top C, mean over frames": shares.mean() if len(shares) else np.nan,
        "smallest and largest": (shares.min(), shares.max()) if len(shares) else (np.nan, np.nan),
        "frames where λ_C and λ_(C+1) have converged": len(shares),
        "a random direction, C/p": classes / frames[0].num_parameters,
    }
