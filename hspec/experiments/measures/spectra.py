"""The spectrum of a trained net's Hessian: bulk, outliers, and both from few products."""

from __future__ import annotations

import numpy as np

from hspec.curvature import hessian
from hspec.experiments.bench import Bench
from hspec.linalg import (
    EigenPairs,
    LinearOperator,
    SpectralMeasure,
    Tridiagonal,
    deflate,
    eigenpairs_from,
    eigsh,
    lanczos,
    slq,
)
from hspec.linalg.quadrature import measure_from
from hspec.linalg.trace import draw_probe

OUTLIER_TOLERANCE = 1e-3  # residual relative to the eigenvalue: far below the spacing of the outliers drawn


def bulk_and_outliers(
    bench: Bench, *, split: str = "train", num_steps: int = 90, num_probes: int = 1, seed: int = 0
) -> dict[str, np.ndarray]:
    """Density of the Hessian with and without its top C eigenpairs, and its largest eigenvalues (P18-1).

    One Lanczos run of the whole Hessian with its basis kept gives the plain density and the largest eigenvalues;
    num_probes more, of the deflated Hessian, give the bulk.

    Arrays: top and top_residuals (≤ 3C + 1,): the leading eigenvalues up to the first whose residual exceeds
    OUTLIER_TOLERANCE; plain_… and deflated_…: the nodes and weights of the two quadratures; loss and error_rate of
    the net on the split; num_classes, num_examples, num_parameters.
    Source: P18a, section 3; P20, appendix D.
    """
    risk = bench.risk(split)
    full = hessian(risk)
    with bench.counting(f"{split}: Hess", num_steps) as advance:
        run = lanczos(
            full,
            draw_probe(full, bench.generator(seed)),
            num_steps,
            checkpoint=bench.folder / "plain",
            callback=advance,
        )
    top = converged_top(run, 3 * risk.num_classes + 1)
    outliers = outlier_pairs(bench, full, top, risk.num_classes, seed)
    bulk = deflate(full, outliers)
    plain = measure_from([run], risk.num_parameters)
    return {
        "top": top.values,
        "top_residuals": top.residuals,
        "outliers": outliers.values,
        **{f"plain_{name}": value for name, value in plain.to_arrays().items()},
        **quadrature(bench, bulk, f"{split}: deflated", "deflated_", num_steps, num_probes, seed),
        "loss": risk.loss(),
        "error_rate": risk.error_rate(),
        "num_classes": risk.num_classes,
        "num_examples": risk.num_examples,
        "num_parameters": risk.num_parameters,
    }


def converged_top(run: Tridiagonal, count: int) -> EigenPairs:
    """The leading Ritz pairs up to the first that has not converged, at most ``count`` and at least one."""
    pairs = eigenpairs_from(run, min(count, len(run.alphas)))
    doubtful = np.flatnonzero(pairs.residuals > OUTLIER_TOLERANCE * np.abs(pairs.values))
    return pairs.top(max(1, doubtful[0])) if len(doubtful) else pairs


def outlier_pairs(bench: Bench, full: LinearOperator, top: EigenPairs, count: int, seed: int) -> EigenPairs:
    """The largest ``count`` pairs: those that have converged already, or an eigensolver started from them."""
    if len(top) >= count:
        return top.top(count)
    with bench.counting(f"top {count} eigenvalues") as advance:
        return eigsh(
            full,
            count,
            start=top.vectors,
            tol=OUTLIER_TOLERANCE,
            generator=bench.generator(seed),
            checkpoint=bench.folder / "outliers",
            callback=advance,
        )


def quadrature(
    bench: Bench,
    operator: LinearOperator,
    description: str,
    prefix: str,
    num_steps: int,
    num_probes: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """The arrays of one spectral measure, under names that begin with ``prefix``; resumable."""
    with bench.counting(description, num_steps * num_probes) as advance:
        measure = slq(
            operator,
            num_steps,
            num_probes,
            generator=bench.generator(seed),
            checkpoint=bench.folder / f"{prefix}lanczos.pt",
            callback=advance,
        )
    return {prefix + name: value for name, value in measure.to_arrays().items()}


def stored_measure(record, prefix: str = "") -> SpectralMeasure:
    """The spectral measure whose arrays :func:`quadrature` put under ``prefix``."""
    arrays = {k.removeprefix(prefix): v for k, v in record.arrays.items() if k.startswith(prefix)}
    return SpectralMeasure.from_arrays(arrays)
