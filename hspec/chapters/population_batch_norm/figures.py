"""Both nets, each in both modes of batch norm."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from hspec.experiments.film_quantities import rank_ratio
from hspec.experiments.training_spectrum import Frame
from hspec.figures.tables import tabulated


def cross_table(trained: Mapping[str, tuple[Frame, Frame]]) -> pd.DataFrame:
    """λ_1/λ_K of each net in the modes batch and population, by how it was trained."""
    rank = next(iter(trained.values()))[0].num_classes + 1
    headings = "measured in the mode batch", "measured in the mode population"
    return tabulated(
        (
            {
                f"λ_1/λ_{rank}": label,
                **{
                    name: rank_ratio(frame.top, rank)
                    for name, frame in zip(headings, modes, strict=True)
                },
                "loss in either mode": tuple(frame.loss for frame in modes),
            }
            for label, modes in trained.items()
        ),
        dict.fromkeys(headings, ".3g") | {"loss in either mode": "{:.3g}, {:.3g}"},
    )
