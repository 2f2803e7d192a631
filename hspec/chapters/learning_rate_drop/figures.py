"""Before and after a drop of the learning rate, beside runs without it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.experiments.training_spectrum import Frame
from hspec.figures.film_axes import LOOKS, plain_log
from hspec.figures.style import panels
from hspec.figures.tables import tabulated


def falls(before: list[Frame], after: list[Frame], control: list[Frame]) -> Figure:
    """λ_1 before the drop, after it, and at the same step without it: one line a seed."""
    figure, (axis,) = panels(1, 1, width=5.2, height=3.3)
    groups = np.array([[float(r.top[0]) for r in records] for records in (before, after, control)])
    axis.plot(
        [0, 1],
        groups[:2],
        "o-",
        color=LOOKS[0][0],
        label=["rate dropped"] + [None] * (len(after) - 1),
    )
    axis.plot(
        [0, 1],
        groups[::2],
        "s--",
        color=LOOKS[1][0],
        label=["rate kept"] + [None] * (len(after) - 1),
    )
    axis.set_xticks([0, 1], [f"step {before[0].step:,}", f"step {after[0].step:,}"])
    axis.set_xlim(-0.2, 1.2)
    plain_log(axis)
    axis.set_ylabel(r"$\lambda_1$ of Hess")
    axis.legend()
    return figure


def fall_table(before: list[Frame], after: list[Frame], control: list[Frame]) -> pd.DataFrame:
    """The numbers of :func:`falls`: one row a seed."""
    at_drop, later, kept = (
        f"λ_1 at step {before[0].step:,}",
        f"at step {after[0].step:,}, rate dropped",
        "there, rate kept",
    )
    losses = "loss there, dropped / kept"
    return tabulated(
        (
            {
                "seed": b.setting.init_seed,
                at_drop: b.top[0],
                later: a.top[0],
                kept: c.top[0],
                losses: (a.loss, c.loss),
            }
            for b, a, c in zip(before, after, control, strict=True)
        ),
        dict.fromkeys((at_drop, later, kept), ".4g") | {losses: "{:.3g} / {:.3g}"},
    )
