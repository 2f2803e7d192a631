"""The picture on the README: `python -m hspec.figures.main_figure` draws it from a record that comes with the book."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from hspec.experiments import Record, Store
from hspec.experiments.measures.spectra import stored_measure
from hspec.figures.spectra import density_floor, density_line
from hspec.figures.style import COLOURS, panels, spikes
from hspec.linalg import KERNEL_WIDTHS

DATASET, SPLIT = "MNIST", "train"
TARGET = Path(__file__).resolve().parents[2] / "book" / "_static" / "main-figure.svg"


def main_record() -> Record:
    """The published training spectrum on MNIST with the most parameters."""
    found = [
        record
        for record in Store().published_records("bulk_and_outliers")
        if (record.meta["setting"]["dataset"], record.meta["options"]["split"]) == (DATASET, SPLIT)
    ]
    if not found:
        raise FileNotFoundError(f"no published record of bulk_and_outliers on {DATASET}, {SPLIT}")
    return max(found, key=lambda record: int(record["num_parameters"]))


def main_figure(record: Record) -> Figure:
    """The bulk and its outliers, on one wide panel."""
    bulk, outliers = stored_measure(record, "deflated_"), record["outliers"]
    width = KERNEL_WIDTHS["P20"](bulk, record.meta["options"]["num_steps"])
    figure, (axis,) = panels(1, 1, width=8.4, height=3.2)
    density_line(axis, bulk, width, COLOURS["Hess"], "bulk", within=(bulk.support[0], outliers.max()))
    height = density_floor(axis, bulk.dimension, width)
    spikes(axis, outliers, height, COLOURS["G"], f"the {len(outliers)} largest eigenvalues")
    setting = record.meta["setting"]
    axis.set_title(
        f"Hessian of the training loss: {setting['model']} with {int(record['num_parameters']):,} parameters, "
        f"{setting['dataset']}, {int(record['num_examples'])} images"
    )
    axis.set(xlabel="eigenvalue λ", ylabel="spectral density")
    axis.legend()
    return figure


if __name__ == "__main__":
    main_figure(main_record()).savefig(TARGET, metadata={"Date": None})
