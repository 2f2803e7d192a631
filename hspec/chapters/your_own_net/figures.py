"""Spectra of one's own nets side by side, a transformer's layers,
and the error of finite differences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hspec.experiments import Record
from hspec.figures.style import COLOURS, SERIES, panels
from hspec.yours import Spectrum

ROUNDING = 1e-7  # of float32, relative to the largest eigenvalue


def side_by_side(spectra: Mapping[str, Spectrum], scale: str = "linear") -> Figure:
    """One panel a net, see `hspec.plot` for the scales."""
    figure, axes = panels(1, len(spectra), width=3.8, height=3.2)
    for axis, (name, found) in zip(axes, spectra.items(), strict=True):
        found.plot(scale, axes=axis)
        axis.set_title(f"{name}, p = {found.facts['num_parameters']:,}")
        _below(axis, scale)
    return figure


def _below(axis: Axes, scale: str) -> None:
    """The legend under its panel where it has shares to tell, and would lie on the curves."""
    if scale == "log":
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))


def about_nets(spectra: Mapping[str, Spectrum], seed: int) -> str:
    """What a caption says of these spectra."""
    nets = [
        f"{name} (p = {found.facts['num_parameters']:,}, N = {found.facts['num_examples']:,})"
        for name, found in spectra.items()
    ]
    first = next(iter(spectra.values())).facts
    return f"{', '.join(nets)}; m = {first['steps']}, probes = {first['probes']}, seed {seed}."


def about_encoder(record: Record) -> str:
    """What a caption says of the encoder's record."""
    of = record.options
    return (
        f"{encoder_name(record)} ({record.num_parameters:,} parameters), TREC, N = "
        f"{record.num_examples:,}, m = {of['num_steps']}, probes = {of['num_probes']}, seed "
        f"{of['seed']}; measured in {record.meta['seconds']:,.0f} s."
    )


def encoder_name(record: Record) -> str:
    return (
        "MiniLM-L6" if record.options["pretrained"] else "a small stand-in (MiniLM-L6 is not here)"
    )


def layer_bars(edges: Mapping[str, np.ndarray]) -> Figure:
    """The largest eigenvalue of each layer's block, and of the whole matrix."""
    figure, (axis,) = panels(1, 1, width=7.4, height=0.34 * len(edges["layer"]) + 1.0)
    place = np.arange(len(edges["layer"]))
    for offset, name in ((-0.2, "Hess"), (0.2, "G")):
        axis.barh(place + offset, edges[name], 0.38, color=COLOURS[name], label=name)
    axis.set_yticks(
        place, [f"{n}  ({s:,})" for n, s in zip(edges["layer"], edges["size"], strict=True)]
    )
    axis.invert_yaxis()
    axis.set_xlabel("largest eigenvalue of the block")
    axis.legend()
    return figure


def difference_errors(errors: Mapping[str, np.ndarray]) -> Figure:
    """Error of finite differences against their step, and of the exact product."""
    figure, (axis,) = panels(1, 1, width=5.6, height=3.2)
    axis.loglog(
        errors["step"], errors["differences"], "o-", color=SERIES[1], label="central differences"
    )
    axis.axhline(float(errors["exact"]), color=SERIES[0], label="exact product, float32")
    axis.set_xlabel("step ε")
    axis.set_ylabel("relative error of Hess v")
    axis.legend()
    return figure


def encoder(record: Record) -> Figure:
    """The pretrained encoder's spectra: linear, and signed logarithmic."""
    figure, axes = panels(1, 2, width=4.6, height=3.2)
    for scale, axis in zip(("linear", "log"), axes, strict=True):
        record.spectra.plot(scale, axes=axis)
        _below(axis, scale)
    return figure


def encoder_facts(record: Record) -> pd.DataFrame:
    """What was measured of the encoder, one row a matrix,
    and beside it what the class means make.
    """
    found, part = record.spectra, float(record["A1"][0])
    rows = [
        {
            "matrix": name,
            "λ_max": f"{one.values[0]:.3g} ± {one.residuals[0]:.1g}",
            "λ_2": f"{one.values[1]:.3g}",
            "λ_C": f"{one.values[record.num_classes - 1]:.3g}"
            if len(one.values) >= record.num_classes
            else "–",
            "λ_min": _smallest(one.ends),
            "trace": _with_error(*one.trace),
            "largest of A1": f"{part:.3g}",
        }
        for name, one in found.matrices.items()
    ]
    about = (
        f"{encoder_name(record)}: p = {record.num_parameters:,}, N = {record.num_examples}, error "
        f"{record.error_rate:.0%}"
    )
    return pd.DataFrame(rows).set_index("matrix").rename_axis(about)


def _with_error(value: float, error: float) -> str:
    """Both to the second digit of the error; alone where the error is not known."""
    if not error > 0:
        return f"{value:.3g}"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}"


def _smallest(ends: tuple[float, float]) -> str:
    """The lower end of a spectrum; what float32 cannot tell from zero is said to be so."""
    return f"{ends[0]:.3g}" if abs(ends[0]) > ROUNDING * abs(ends[1]) else "0, to rounding"


def seen(spectra: Mapping[str, Spectrum], errors: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """What was seen: one row a net, and the smallest error of differences."""
    rows = [
        {
            "net": name,
            "loss": found.facts["loss"],
            "λ_max of Hess": f"{found['Hess'].values[0]:.3g}",
            "λ_max of G": f"{found['G'].values[0]:.3g}",
            "λ_min of Hess": _smallest(found["Hess"].ends),
            "tr Hess": _with_error(*found["Hess"].trace),
            "class means (A1)": f"{found.class_values['A1'][0]:.3g}"
            if found.class_values
            else "none",
        }
        for name, found in spectra.items()
    ]
    best = (
        f"best of differences {errors['differences'].min():.1e}, exact {float(errors['exact']):.1e}"
    )
    return pd.DataFrame(rows).assign(
        **{"error of Hess v (text)": [best if r["net"] == "text" else "" for r in rows]}
    )
