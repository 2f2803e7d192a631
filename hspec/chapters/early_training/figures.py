"""The first steps of training: what changes from epoch to epoch,
and how it depends on the sample.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.chapters.early_training.verdict import by_sample
from hspec.experiments.film_quantities import depth, epoch_changes, sampling_noise
from hspec.experiments.training_spectrum import Frame
from hspec.figures.style import COLOURS, panels
from hspec.figures.tables import tabulated


def changes_by_epoch(frames: list[Frame], epoch: int) -> Figure:
    """Normalised Wasserstein-1 distance from each epoch's end to the next one's,
    with standard errors over probes.
    """
    changes = np.array(epoch_changes(frames, epoch))
    noise = np.mean([sampling_noise(r.hess) for r in frames])  # NaN for one probe
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
            noise,
            color=COLOURS["neutral"],
            linestyle="--",
            label="one spectrum, seen by two probes",
        )
    axis.set_xticks(numbers)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("epoch")
    axis.set_ylabel("change of the spectrum, W₁ normalised")
    axis.legend()
    return figure


def sample_table(films: list[list[Frame]], step: int) -> pd.DataFrame:
    """The ends of the spectrum after one step by the size of the Hessian's sample: one row a film
    that has the step. The ratio's λ_min may be less sharp than one that stands alone.

    Films of other nets or trainings than the first one's are left out.
    """
    return tabulated(
        (
            {
                "images": frame.num_examples,
                "loss on them": frame.loss,
                "λ_1": frame.top[0],
                "λ_min": frame.bottom,
                "|λ_min|/λ_1": depth(frame),
            }
            for frame in by_sample(films, step)
        ),
        {"images": ",", "loss on them": ".3g", "λ_1": ".3g", "λ_min": ".3g"}
        | {"|λ_min|/λ_1": "{:.3f} ± {:.1g}"},
    )
