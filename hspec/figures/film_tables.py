"""The numbers behind the pictures of films, as data frames."""

from __future__ import annotations

import pandas as pd

from hspec.experiments import Record
from hspec.experiments.film_quantities import rank_ratio, share
from hspec.experiments.training_spectrum import Frame
from hspec.figures.tables import tabulated

BOUNDED = "{:.3f} [{:.3f}, {:.3f}]"  # an estimate and its rigorous bounds


def frame_table(films: dict[str, list[Frame]]) -> pd.DataFrame:
    """The numbers behind the figures: one row a frame; of the gradient's share, its bounds too."""
    frames = [(label, frame) for label, film in films.items() for frame in film]
    rank = frames[0][1].num_classes + 1
    formats = {"loss": ".4g", "error": ".3f", "λ_1": ".4g", f"λ_{rank}": ".4g", "λ_min": ".3g"}
    return tabulated(
        (frame_row(label, frame, rank) for label, frame in frames),
        formats | {f"λ_1/λ_{rank}": ".3g", f"gradient in the top {rank - 1}": BOUNDED},
    )


def frame_row(label: str, frame: Frame, rank: int) -> dict[str, object]:
    return {
        "net": label,
        "step": frame.step,
        "loss": frame.loss,
        "error": frame.error_rate,
        "λ_1": frame.top[0],
        f"λ_{rank}": frame.top[rank - 1],
        f"λ_1/λ_{rank}": rank_ratio(frame.top, rank),
        "λ_min": frame.bottom,
        f"gradient in the top {rank - 1}": share(frame, rank - 1),
    }


def learning_rate_table(records: list[Record]) -> pd.DataFrame:
    """Which learning rates train which net: one row a run."""
    formats = {"learning rate": "g", "training loss, last epoch": ".3g", "test error": ".1%"}
    return tabulated(map(learning_rate_row, records), formats)


def learning_rate_row(record: Record) -> dict[str, object]:
    setting, diverged = record.setting, bool(record["diverged"])
    return {
        "norm": setting.norm,
        "statistics": setting.recipe.batch_norm if setting.norm == "batch" else "none",
        "learning rate": setting.recipe.learning_rate,
        "training loss, last epoch": "diverged" if diverged else record["train_loss"][-1],
        "test error": None if diverged else record["test_error"][-1],
    }
