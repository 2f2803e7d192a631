"""The numbers behind the pictures of films, as data frames."""

from __future__ import annotations

import pandas as pd

from hspec.experiments import Record
from hspec.experiments.film_quantities import ROUNDING, rank_ratio, share
from hspec.experiments.training_spectrum import KNOWN, Frame
from hspec.figures.tables import tabulated

BOUNDED = "{:.3f} [{:.3f}, {:.3f}]"  # an estimate and its rigorous bounds
HALF = 0.5  # test error below which a net is said to have learnt


def frame_table(films: dict[str, list[Frame]]) -> pd.DataFrame:
    """The numbers behind the figures: one row a frame; of the gradient's share, its bounds too.

    The last column is the reason for a dash: with a residual above a hundredth of itself a Ritz
    value is not shown.
    """
    frames = [(label, frame) for label, film in films.items() for frame in film]
    rank = frames[0][1].num_classes + 1
    formats = {"loss": ".4g", "error": ".3f", "λ_1": ".4g", f"λ_{rank}": ".4g", "λ_min": ".3g"}
    return tabulated(
        (frame_row(label, frame, rank) for label, frame in frames),
        formats
        | {
            f"λ_1/λ_{rank}": ".3g",
            f"gradient in the top {rank - 1}": BOUNDED,
            residuals_heading(rank): "{:.1e}, {:.1e}, {:.1e}",
        },
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
        residuals_heading(rank): relative_residuals(frame, rank),
    }


def residuals_heading(rank: int) -> str:
    return f"residuals of λ_1, λ_{rank}, λ_min over their sizes (a dash above {KNOWN:.0e})"


def relative_residuals(frame: Frame, rank: int) -> tuple[float, float, float]:
    """Of the Ritz values in the places of λ_1, λ_rank and λ_min, with the rounding of products.

    The recurrence's own residual of a converged pair falls below it, to 1e-30; what is known of the
    eigenvalue does not.
    """
    rounding = ROUNDING * max(abs(frame["top"][0]), abs(frame["bottom"][0]))
    values = (frame["top"][0], frame["top"][rank - 1], frame["bottom"][0])
    residuals = (frame.top_residuals[0], frame.top_residuals[rank - 1], frame.bottom_residual)
    return tuple(
        float(max(residual, rounding) / abs(value)) if value else float("nan")
        for residual, value in zip(residuals, values, strict=True)
    )


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


def rates_that_train(records: list[Record]) -> str:
    """Of each net that was trained at several learning rates, as a sentence: the best of them, and
    up to which it learns to classify more than half of the test images.
    """
    rows = [learning_rate_row(record) | {"told": trained_as(record)} for record in records]
    told = []
    for name in dict.fromkeys(row["told"] for row in rows):
        mine = [row for row in rows if row["told"] == name and row["test error"] is not None]
        if not mine:
            told.append(f"{name}, every rate diverges")
            continue
        best = min(mine, key=lambda row: row["training loss, last epoch"])
        learnt = [row["learning rate"] for row in mine if row["test error"] < HALF]
        upto = f"up to the rate {max(learnt):g}" if learnt else "at no rate"
        told.append(
            f"{name}, the training loss ends lowest at the rate {best['learning rate']:g}, at "
            f"{best['training loss, last epoch']:.3g}, and more than half of the test images are "
            f"classified rightly {upto}"
        )
    return f"Of the rates tried: {'; '.join(told)}."


def trained_as(record: Record) -> str:
    setting = record.setting
    with_norm = f"with {setting.recipe.batch_norm} statistics"
    return with_norm if setting.norm == "batch" else "without normalisation"
