"""A spectrum on disk: pictures, tables, a record, and one page that opens offline."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from hspec.files import write_whole
from hspec.plotting import panels
from hspec.plotting.measures import DRAWN
from hspec.plotting.saving import saved
from hspec.plotting.stacked import stacked_svg
from hspec.yours.page import page

if TYPE_CHECKING:
    from hspec.yours.result import Spectrum

ARRAYS, RECORD, PAGE = "measures.npz", "record.json", "index.html"


def save(spectrum: Spectrum, folder: str | os.PathLike) -> None:
    """See `Spectrum.save`."""
    folder, figure = Path(folder), draw(spectrum)
    svg = saved(figure, "svg")
    files = {
        "spectrum.png": saved(figure, "png", dpi=150),
        "spectrum.svg": svg,
        "summary.csv": spectrum.table().to_csv().encode(),
        "eigenvalues.csv": spectrum.eigenvalues().to_csv().encode(),
        RECORD: json.dumps(record(spectrum), indent=1, ensure_ascii=False).encode(),
        ARRAYS: _packed(spectrum),
        # last: where it is, all is
        PAGE: page(spectrum, svg.decode(), stacked_svg(figure)).encode(),
    }
    for name, content in files.items():
        write_whole(folder / name, lambda file, content=content: file.write(content))


def holds_another_page(folder: Path) -> bool:
    """Whether a folder holds a page that no spectrum left there, and that `save` would replace."""
    return (folder / PAGE).exists() and not (folder / RECORD).exists()


def draw(spectrum: Spectrum) -> Figure:
    """Three panels: linear, signed logarithmic, counts."""
    figure, axes = panels(1, 3, width=4.6, height=3.4)
    for scale, axis in zip(DRAWN, axes, strict=True):
        spectrum.plot(scale, axes=axis)
    return figure


def record(spectrum: Spectrum) -> dict:
    """Facts and numbers, as JSON takes them."""
    matrices = {
        name: {
            "trace": one.trace,
            "negative_share": one.negative_share,
            "ends": one.ends,
            "values": one.values.tolist(),
            "residuals": one.residuals.tolist(),
            "products": one.products,
            "seconds": one.seconds,
            "is_exact": one.is_exact,
            "is_semidefinite": one.is_semidefinite,
        }
        for name, one in spectrum.matrices.items()
    }
    classes = {name: values.tolist() for name, values in spectrum.class_values.items()}
    return {"facts": dict(spectrum.facts), "matrices": matrices, "class_values": classes}


def load(
    folder: str | os.PathLike,
) -> tuple[dict, dict, dict[str, dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """(facts, numbers by matrix, arrays by matrix, class values) of a saved spectrum."""
    folder = Path(folder)
    for name in (RECORD, ARRAYS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no spectrum: {name} is missing")
    content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    arrays: dict[str, dict[str, np.ndarray]] = {}
    with np.load(folder / ARRAYS) as packed:
        for key in packed.files:
            matrix, _, name = key.partition("/")
            arrays.setdefault(matrix, {})[name] = packed[key]
    classes = {name: np.array(values) for name, values in content["class_values"].items()}
    return content["facts"], content["matrices"], arrays, classes


def _packed(spectrum: Spectrum) -> bytes:
    arrays = {}
    for name, one in spectrum.matrices.items():
        own = one.measure.to_arrays() | {"values": one.values, "residuals": one.residuals}
        arrays |= {f"{name}/{key}": array for key, array in own.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
