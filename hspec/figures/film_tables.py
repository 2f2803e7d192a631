"""The numbers behind the pictures of films, as data frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hspec.experiments import Record
from hspec.experiments.film_quantities import rank_ratio, share
from hspec.experiments.training_spectrum import Frame


def frame_table(films: dict[str, list[Frame]]) -> pd.DataFrame:
    """The numbers behind the figures: one row a frame."""
    return pd.DataFrame(frame_row(label, r) for label, frames in films.items() for r in frames)


def frame_row(label: str, record: Frame) -> dict[str, object]:
    rank = record.num_classes + 1
    value, low, high = share(record, rank - 1)
    return {
        "net": label,
        "step": record.step,
        "loss": f"{record.loss:.4g}",
        "error": f"{record.error_rate:.3f}",
        "λ_1": f"{float(record.top[0]):.4g}",
        f"λ_{rank}": f"{float(record.top[rank - 1]):.4g}",
        f"λ_1/λ_{rank}": ratio_text(record, rank),
        "λ_min": f"{record.bottom:.3g}",
        f"gradient in the top {rank - 1}": f"{value:.3f} [{low:.3f}, {high:.3f}]",
    }


def ratio_text(record: Frame, rank: int) -> str:
    """λ_1/λ_rank, or a dash where λ_rank is negative, or zero to rounding."""
    ratio = rank_ratio(record.top, rank)
    return "–" if np.isnan(ratio) else f"{ratio:.3g}"


def learning_rate_table(records: list[Record]) -> pd.DataFrame:
    """Which learning rates train which net: one row a run."""
    return pd.DataFrame(learning_rate_row(record) for record in records)


def learning_rate_row(record: Record) -> dict[str, str]:
    setting = record.setting
    diverged = bool(record["diverged"])
    return {
        "norm": setting.norm,
        "statistics": setting.recipe.batch_norm if setting.norm == "batch" else "none",
        "learning rate": f"{setting.recipe.learning_rate:g}",
        "training loss, last epoch": "diverged" if diverged else f"{record['train_loss'][-1]:.3g}",
        "test error": "" if diverged else f"{100 * record['test_error'][-1]:.1f} %",
    }
