"""Fisher spectra by rank, and the ratio of outliers to bulk against the error."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hspec.chapters.misclassification.verdict import (
    CASES,
    errors,
    rank_correlation,
    ratios,
    within_signals,
)
from hspec.experiments import Record
from hspec.figures.film_axes import few_labels, plain_log
from hspec.figures.style import COLOURS, SERIES, panels
from hspec.figures.tables import tabulated
from hspec.statistics import mean_and_interval
from hspec.words import counted

LOOKS = {
    "theorem": (COLOURS["exact"], "o-"),
    "posterior": (SERIES[0], "s--"),
    "fits": (SERIES[1], "^"),
}
ZERO = 1e-9  # of the largest: an eigenvalue below it is one of the zeros


def fisher_by_rank(record: Record) -> Figure:
    """Eigenvalues by rank over the bulk's mean, a line a t; dashed, the theorem's groups end."""
    figure, axes = panels(1, 3, width=3.6, height=3.2, sharey=True)
    ends = np.cumsum(record["multiplicities"])[:2] + 0.5
    signals = record["signals"]
    shades = np.linspace(0.35, 1.0, len(signals))
    for axis, (case, (colour, _)) in zip(axes, LOOKS.items(), strict=True):
        spectra = record["fits"][:, 0] if case == "fits" else record[case]
        bulks = record[f"groups_{case}"][..., 2].reshape(len(signals), -1)[:, 0]
        for t, values, bulk, shade in zip(signals, spectra, bulks, shades, strict=True):
            values = values[values > ZERO * values[0]] / bulk
            rank = np.arange(1, len(values) + 1)
            axis.loglog(
                rank,
                values,
                ".-",
                ms=3,
                lw=0.8,
                color=colour,
                alpha=shade,
                label=f"t = {t:g}",
            )
        for end in ends:
            axis.axvline(end, color=COLOURS["neutral"], linewidth=1, linestyle="--")
        axis.set_title(CASES[case].split(",")[0])
        axis.set_xlabel("rank k")
    axes[0].set_ylabel("eigenvalue / mean of the bulk")
    axes[0].set_ylim(bottom=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def ratio_and_error(record: Record) -> Figure:
    """Left: outliers over bulk against t. Right: the error against it, a point a t or a fit."""
    figure, (left, right) = panels(1, 2, width=5.0, height=3.5)
    signals = record["signals"]
    for case, (colour, style) in LOOKS.items():
        found, missed = ratios(record, case), errors(record, case)
        along = np.broadcast_to(signals.reshape(-1, *[1] * (found.ndim - 1)), found.shape)
        options = {"color": colour, "markersize": 4.5, "label": CASES[case].split(",")[0]}
        left.semilogy(along.ravel(), found.ravel(), style, **options)
        right.loglog(found.ravel(), np.maximum(missed.ravel(), 1e-5), style, **options)
    plain_log(left)
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_formatter(lambda value, _: few_labels(value, right.get_xlim()))
    left.set_xlabel("t, the distance of a class mean from zero")
    left.set_ylabel("outliers / bulk")
    right.set_xlabel("outliers / bulk")
    right.set_ylabel("misclassification")
    left.legend()
    return figure


def ratio_table(record: Record) -> pd.DataFrame:
    """A row a t: errors, and the ratio of outliers to bulk in the three cases; of the fits the mean
    and its 95 % interval by Student's t.
    """
    fits, fit_errors = (
        [_with_ends(values) for values in of]
        for of in (ratios(record, "fits"), record["fit_error"])
    )
    return tabulated(
        {
            "t": record["signals"],
            "error, best possible": record["error"],
            "error, fits": fit_errors,
            "theorem": ratios(record, "theorem"),
            "true posterior": ratios(record, "posterior"),
            "fits": fits,
        },
        {
            "t": "g",
            "error, best possible": ".3g",
            "error, fits": "{:#.3g} [{:#.3g} … {:#.3g}]",
            "theorem": ".2f",
            "true posterior": ".2f",
            "fits": "{:.2f} [{:.2f} … {:.2f}]",
        },
    )


def _with_ends(values: np.ndarray) -> tuple[float, float, float]:
    mean, half = mean_and_interval(values)
    return float(mean), float(mean - half), float(mean + half)


def gap_table(record: Record) -> pd.DataFrame:
    """A row a case and a t: the ratios of neighbouring eigenvalues after the ranks C − 1, C and
    C(C − 1)/2. Where is the gap?
    """
    C = record.num_classes
    ranks = {f"λ_{k}/λ_{k + 1}": k for k in (C - 1, C, C * (C - 1) // 2)}
    spectra = {case: record[case].mean(1) if case == "fits" else record[case] for case in CASES}
    rows = (
        {
            "case": name.split(",")[0],
            "t": t,
            **{ratio: spectra[case][i, k - 1] / spectra[case][i, k] for ratio, k in ranks.items()},
        }
        for case, name in CASES.items()
        for i, t in enumerate(record["signals"])
    )
    return tabulated(rows, {"t": "g"} | dict.fromkeys(ranks, ".2f"))


def within_table(record: Record) -> pd.DataFrame:
    """How well the ratio orders all fits by error, and those of one and the same t."""
    over_all = rank_correlation(ratios(record, "fits").ravel(), record["fit_error"].ravel())
    rows = [
        {
            "fits compared": "all",
            "measure of order": "Spearman's ρ",
            "value": over_all.rho,
            "uncertainty": f"p = {over_all.p:.2g}"
            if over_all.same_order
            else f"95 %: {over_all.low:+.3f} … {over_all.high:+.3f}",
        }
    ]
    if (within := within_signals(record)) is not None:
        rows.append(
            {
                "fits compared": "of one and the same t",
                "measure of order": "Kendall's τ",
                "value": within.tau,
                "uncertainty": f"p = {within.p:.2g}, {counted(within.comparisons, 'pair')}",
            }
        )
    return tabulated(rows, {"value": "+.3f"})
