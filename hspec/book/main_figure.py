"""The picture on the README: `python -m hspec.book.main_figure` draws it from a record that
comes with the book; beside it the same for narrow screens.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from hspec.book.figure_files import STACKED
from hspec.chapters.bulk_and_outliers.figures import bulk_with_spikes
from hspec.chapters.bulk_and_outliers.measure import bulk_and_outliers
from hspec.experiments import Record, Store
from hspec.experiments.scale import net_name
from hspec.figures.style import panels, set_style, stacked_svg
from hspec.linalg import KERNEL_WIDTHS

DATASET, SPLIT = "MNIST", "train"
TARGET = Path(__file__).resolve().parents[2] / "book" / "_static" / "main-figure.svg"


def main_record() -> Record:
    """The published training spectrum on MNIST with the most parameters."""
    found = [
        record
        for record in Store().published_records(bulk_and_outliers)
        if (record.setting.dataset, record.options["split"]) == (DATASET, SPLIT)
    ]
    if not found:
        raise FileNotFoundError(f"no published record of bulk_and_outliers on {DATASET}, {SPLIT}")
    return max(found, key=lambda record: record.num_parameters)


def main_figure(record: Record) -> Figure:
    """The bulk and its outliers, on one wide panel."""
    width = KERNEL_WIDTHS["P20"](record.spectrum("plain_"), record.options["num_steps"])
    figure, (axis,) = panels(1, 1, width=8.4, height=3.2)
    bulk_with_spikes(axis, record.spectrum("deflated_"), record["outliers"], width)
    axis.set_title(
        f"Hessian of a {net_name(record)} ({record.num_parameters:,} parameters), "
        f"{record.setting.dataset}, {record.num_examples} images"
    )
    axis.set(xlabel="eigenvalue λ", ylabel="spectral density")
    axis.legend()
    return figure


if __name__ == "__main__":
    set_style()
    figure = main_figure(main_record())
    figure.savefig(TARGET, metadata={"Date": None})
    TARGET.with_suffix(STACKED).write_text(stacked_svg(figure) or "", encoding="utf-8")
