"""Both nets, each in both modes of batch norm."""

from __future__ import annotations

import pandas as pd

from hspec.experiments.film_quantities import rank_ratio
from hspec.experiments.training_spectrum import Frame
from hspec.figures.tables import tabulated


def cross_table(trained: dict[str, Frame], crossed: Frame, crossed_back: Frame) -> pd.DataFrame:
    """λ_1/λ_K of the batch and the population net, each measured in both modes."""
    rank = crossed.num_classes + 1
    rows = {
        "trained with batch statistics": (trained["batch statistics"], crossed),
        "trained with population statistics": (crossed_back, trained["population statistics"]),
    }
    headings = "measured in the mode batch", "measured in the mode population"
    return tabulated(
        (
            {
                f"λ_1/λ_{rank}": label,
                **{name: rank_ratio(frame.top, rank) for name, frame in zip(headings, modes, strict=True)},
                "loss in either mode": tuple(frame.loss for frame in modes),
            }
            for label, modes in rows.items()
        ),
        dict.fromkeys(headings, ".3g") | {"loss in either mode": "{:.3g}, {:.3g}"},
    )
