"""Both nets, each in both modes of batch norm."""

from __future__ import annotations

import pandas as pd

from hspec.experiments.training_spectrum import Frame
from hspec.figures.film_tables import ratio_text


def cross_table(trained: dict[str, Frame], crossed: Frame, crossed_back: Frame) -> pd.DataFrame:
    """λ_1/λ_K of the batch and the population net, each measured in both modes."""
    rank = crossed.num_classes + 1
    rows = {
        "trained with batch statistics": (trained["batch statistics"], crossed),
        "trained with population statistics": (crossed_back, trained["population statistics"]),
    }
    return pd.DataFrame(
        {
            f"λ_1/λ_{rank}": label,
            "measured in the mode batch": ratio_text(batch, rank),
            "measured in the mode population": ratio_text(population, rank),
            "loss in either mode": f"{batch.loss:.3g}, {population.loss:.3g}",
        }
        for label, (batch, population) in rows.items()
    )
