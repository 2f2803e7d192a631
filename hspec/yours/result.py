"""The spectrum of one's own net: measures, eigenvalues with residuals, class structure; drawn,
listed, kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from hspec.linalg import SpectralMeasure
from hspec.linalg.smoothing import EPSILON
from hspec.plotting import panels, plot
from hspec.plotting.table import Table
from hspec.yours import saving
from hspec.yours.plan import Plan


@dataclass(frozen=True)
class MatrixSpectrum:
    """The spectrum of one matrix.

    Attributes:
        measure: of all p eigenvalues, the top ones put back as spikes.
        values: (k,) the largest eigenvalues, descending; residuals: (k,) ‖A q − λ q‖.
        vectors: (p, k) their eigenvectors; None in what was loaded from a folder.
        products: products with the matrix that were spent; seconds: they took, with all around
            them.
        is_exact: whether all eigenvalues were computed, and nothing was sampled.
        is_semidefinite: whether none is negative by construction, as of G where the loss is convex
            in the outputs.
    """

    measure: SpectralMeasure
    values: np.ndarray
    residuals: np.ndarray
    vectors: Tensor | None
    products: int
    seconds: float
    is_exact: bool
    is_semidefinite: bool = False

    @property
    def trace(self) -> tuple[float, float]:
        """tr A, and its standard error over probes."""
        return self.measure.trace()

    @property
    def negative_share(self) -> tuple[float, float, float]:
        """(share of eigenvalues below −ε‖A‖, and the ends of a 95 % interval for it), ε = 1e-5.

        Below −ε‖A‖, since rounding has a sign, too. The quadrature's node nearest to zero stands
        for eigenvalues on both sides of it, so the interval is that of
        `SpectralMeasure.share_below`.
        """
        if self.is_semidefinite:
            return 0.0, 0.0, 0.0
        measure = self.measure
        at = np.nextafter(-EPSILON * max(np.abs(measure.support)), -np.inf)
        return measure.share_below(float(at))

    @property
    def ends(self) -> tuple[float, float]:
        """(smallest, largest) eigenvalue, from inside, as nodes of the measure."""
        return self.measure.support


@dataclass(frozen=True)
class Spectrum:
    """What `spectrum` returns.

    Attributes:
        matrices: {"Hess": …}; also by `spectrum["Hess"]`.
        class_values: {"A1": eigenvalues of the class means' part of G, descending, exact, …}; empty
            where the loss is not the cross-entropy of one class index an example, or the classes
            are many.
        facts: what was measured, and how: p, N, the loss, the settings, versions.
        plan: the forecast that was made before.
    """

    matrices: Mapping[str, MatrixSpectrum]
    class_values: Mapping[str, np.ndarray]
    facts: Mapping[str, object]
    plan: Plan | None = field(default=None, compare=False)

    def __getitem__(self, name: str) -> MatrixSpectrum:
        return self.matrices[name]

    def __repr__(self) -> str:
        facts = f"p={self.facts['num_parameters']}, N={self.facts['num_examples']}"
        return f"Spectrum({', '.join(self.matrices)}; {facts})"

    def plot(self, scale: str = "linear", *, axes: Axes | None = None) -> Axes:
        """All matrices on one pair of axes, with bands; see `hspec.plot` for the scales.

        On a linear axis the class means' eigenvalues are marked below the abscissa.
        """
        if axes is None:
            _, (axes,) = panels(1, 1, width=6.4, height=3.6)
        plot({name: one.measure for name, one in self.matrices.items()}, scale=scale, axes=axes)
        if scale == "linear" and "A1" in self.class_values:
            values, floor = self.class_values["A1"], axes.get_ylim()[0]
            axes.plot(
                values, np.full(len(values), floor), "k|", markersize=9, label="A1", clip_on=False
            )
            axes.legend()
        return axes

    def table(self) -> Table:
        """One row a matrix: trace ± standard error, ends, negative share and its interval,
        cost."""
        headers = (
            "matrix",
            "trace",
            "±",
            "λ_max",
            "residual",
            "λ_min",
            "share < 0",
            "from",
            "to",
            "products",
            "s",
        )
        return Table(headers, tuple(_row(name, one) for name, one in self.matrices.items()))

    def eigenvalues(self) -> Table:
        """The computed eigenvalues: matrix, rank, value, residual; and those of the class
        structure, whose residual is the rounding of the largest.
        """
        rows = [
            (name, rank, float(value), float(residual))
            for name, one in self.matrices.items()
            for rank, (value, residual) in enumerate(zip(one.values, one.residuals, strict=True), 1)
        ]
        eps = np.finfo(str(self.facts["dtype"])).eps
        rows += [
            (name, rank, float(value), float(eps * values[0]))
            for name, values in self.class_values.items()
            for rank, value in enumerate(values, 1)
        ]
        return Table(("matrix", "rank", "eigenvalue", "residual"), tuple(rows))

    def save(self, folder: str | os.PathLike) -> None:
        """Write the spectrum to a folder, each file whole or not at all.

        spectrum.png and .svg (linear, signed logarithmic, counts), summary.csv and eigenvalues.csv,
        record.json (facts and numbers), measures.npz (which `load_spectrum` reads), and index.html:
        all of it on one page that opens offline.

        Raises:
            OSError: the folder cannot be written.
        """
        saving.save(self, folder)


def load_spectrum(folder: str | os.PathLike) -> Spectrum:
    """The spectrum that `Spectrum.save` wrote, without eigenvectors and forecast.

    Raises:
        FileNotFoundError: there is none in `folder`.
    """
    facts, numbers, arrays, class_values = saving.load(folder)
    matrices = {
        name: MatrixSpectrum(
            SpectralMeasure.from_arrays(arrays[name]),
            arrays[name]["values"],
            arrays[name]["residuals"],
            None,
            **{
                key: numbers[name][key]
                for key in ("products", "seconds", "is_exact", "is_semidefinite")
            },
        )
        for name in numbers
    }
    return Spectrum(matrices, class_values, facts)


def _row(name: str, one: MatrixSpectrum) -> tuple:
    low, high = one.ends
    first, residual = (one.values[0], one.residuals[0]) if len(one.values) else (high, np.nan)
    numbers = (*one.trace, first, residual, low, *one.negative_share)
    return (name, *map(float, numbers), one.products, float(one.seconds))
