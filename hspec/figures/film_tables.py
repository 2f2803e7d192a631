"""The numbers behind the pictures of films, as data frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hspec.experiments import Record
from hspec.experiments.film_quantities import rank_ratio
from hspec.experiments.measures.spectra import stored_measure
from hspec.experiments.verdicts.training import depth
from hspec.figures.nets import share


def frame_table(films: dict[str, list[Record]]) -> pd.DataFrame:
    """The numbers behind the figures: one row a frame."""
    return pd.DataFrame(frame_row(label, r) for label, frames in films.items() for r in frames)


def frame_row(label: str, record: Record) -> dict[str, object]:
    rank = int(record["num_classes"]) + 1
    value, low, high = share(record, rank - 1)
    return {
        "net": label,
        "step": int(record["step"]),
        "loss": f"{float(record['loss']):.4g}",
        "error": f"{float(record['error_rate']):.3f}",
        "λ_1": f"{float(record['top'][0]):.4g}",
        f"λ_{rank}": f"{float(record['top'][rank - 1]):.4g}",
        f"λ_1/λ_{rank}": ratio_text(record, rank),
        "λ_min": f"{float(record['bottom'][0]):.3g}",
        f"gradient in the top {rank - 1}": f"{value:.3f} [{low:.3f}, {high:.3f}]",
    }


def ratio_text(record: Record, rank: int) -> str:
    """λ_1/λ_rank, or a dash where λ_rank is negative, or zero to rounding."""
    ratio = rank_ratio(record["top"], rank)
    return "–" if np.isnan(ratio) else f"{ratio:.3g}"


def sample_table(films: list[list[Record]], step: int) -> pd.DataFrame:
    """The ends of the spectrum after one step by the size of the Hessian's sample: one row a film that has the step.

    Films of other nets or trainings than the first one's are left out.
    """
    setting = films[0][0].meta["setting"]
    frames = [r for film in films for r in film if r.meta["setting"] == setting and int(r["step"]) == step]
    return pd.DataFrame(
        {
            "images": f"{int(r['num_examples']):,}",
            "loss on them": f"{float(r['loss']):.3g}",
            "λ_1": f"{float(r['top'][0]):.3g}",
            "λ_min": f"{float(r['bottom'][0]):.3g}",
            "|λ_min|/λ_1": f"{depth(r)[0]:.3f}",
        }
        for r in sorted(frames, key=lambda r: int(r["num_examples"]))
    )


def gradient_table(films: dict[str, list[Record]]) -> pd.DataFrame:
    """Where the gradient lies: one row a frame."""
    return pd.DataFrame(gradient_row(label, r) for label, frames in films.items() for r in frames)


def gradient_row(label: str, record: Record) -> dict[str, object]:
    classes, measure = int(record["num_classes"]), stored_measure(record, "gradient_")
    value, low, high = share(record, classes)
    return {
        "net": label,
        "step": int(record["step"]),
        "‖∇L‖": f"{float(record['gradient_norm']):.3g}",
        f"share in the top {classes}": f"{value:.3f} [{low:.3f}, {high:.3f}]",
        "share below zero": f"{measure.negative_mass()[0]:.3f}",
        "curvature along ∇L": f"{measure.moment(1):.3g}",
        "λ_1": f"{float(record['top'][0]):.3g}",
    }


def share_summary(films: dict[str, list[Record]]) -> pd.DataFrame:
    """The gradient's share in the top C eigenvectors after the start: mean and range over the frames."""
    return pd.DataFrame(share_row(label, frames) for label, frames in films.items())


def share_row(label: str, frames: list[Record]) -> dict[str, str]:
    classes = int(frames[0]["num_classes"])
    shares = [share(r, classes)[0] for r in frames if int(r["step"]) > 0]
    return {
        "net": label,
        "share of ‖∇L‖² in the top C, mean over frames": f"{np.mean(shares):.3f}",
        "smallest and largest": f"{min(shares):.3f} to {max(shares):.3f}",
        "a random direction, C/p": f"{classes / int(frames[0]['num_parameters']):.1e}",
    }


def cross_table(trained: dict[str, Record], crossed: Record, crossed_back: Record) -> pd.DataFrame:
    """λ_1/λ_K of the batch and the population net, each measured in both modes."""
    rank = int(crossed["num_classes"]) + 1
    rows = {
        "trained with batch statistics": (trained["batch statistics"], crossed),
        "trained with population statistics": (crossed_back, trained["population statistics"]),
    }
    return pd.DataFrame(
        {
            f"λ_1/λ_{rank}": label,
            "measured in the mode batch": ratio_text(batch, rank),
            "measured in the mode population": ratio_text(population, rank),
            "loss in either mode": f"{float(batch['loss']):.3g}, {float(population['loss']):.3g}",
        }
        for label, (batch, population) in rows.items()
    )


def learning_rate_table(records: list[Record]) -> pd.DataFrame:
    """Which learning rates train which net: one row a run."""
    return pd.DataFrame(learning_rate_row(record) for record in records)


def learning_rate_row(record: Record) -> dict[str, str]:
    setting = record.meta["setting"]
    diverged = bool(record["diverged"])
    return {
        "norm": setting["norm"],
        "statistics": setting["recipe"]["batch_norm"] if setting["norm"] == "batch" else "none",
        "learning rate": f"{setting['recipe']['learning_rate']:g}",
        "training loss, last epoch": "diverged" if diverged else f"{record['train_loss'][-1]:.3g}",
        "test error": "" if diverged else f"{100 * record['test_error'][-1]:.1f} %",
    }


def fall_table(before: list[Record], after: list[Record], control: list[Record]) -> pd.DataFrame:
    """The numbers of :func:`falls`: one row a seed."""
    return pd.DataFrame(
        {
            "seed": b.meta["setting"]["init_seed"],
            f"λ_1 at step {int(b['step']):,}": f"{float(b['top'][0]):.4g}",
            f"at step {int(a['step']):,}, rate dropped": f"{float(a['top'][0]):.4g}",
            "there, rate kept": f"{float(c['top'][0]):.4g}",
            "loss there, dropped / kept": f"{float(a['loss']):.3g} / {float(c['loss']):.3g}",
        }
        for b, a, c in zip(before, after, control, strict=True)
    )
