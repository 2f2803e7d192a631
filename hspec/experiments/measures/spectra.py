"""The spectrum of a trained net's Hessian: bulk, outliers, and both from few products."""

from __future__ import annotations

import numpy as np

from hspec.curvature import hessian
from hspec.experiments.bench import Bench
from hspec.linalg import LinearOperator, SpectralMeasure, deflate, eigsh, slq

OUTLIER_TOLERANCE = 1e-3  # residual relative to the eigenvalue: far below the spacing of the outliers drawn


def bulk_and_outliers(
    bench: Bench, *, split: str = "train", num_steps: int = 90, num_probes: int = 1, seed: int = 0
) -> dict[str, np.ndarray]:
    """Density of the Hessian with and without its top C eigenpairs, and its 3C + 1 largest eigenvalues (P18-1).

    Arrays: top and top_residuals (3C + 1,); plain_… and deflated_…: the nodes and weights of the two quadratures;
    loss and error_rate of the net on the split; num_products the eigenvalues took; num_classes, num_examples,
    num_parameters.
    P18a section 3; P20 appendix D.
    """
    risk = bench.risk(split)
    full = hessian(risk)
    num_top = 3 * risk.num_classes + 1
    with bench.counting(f"{split}: top {num_top} eigenvalues") as advance:
        pairs = eigsh(full, num_top, tol=OUTLIER_TOLERANCE, generator=bench.generator(seed), callback=advance)
    bulk = deflate(full, pairs.top(risk.num_classes))
    return {
        "top": pairs.values,
        "top_residuals": pairs.residuals,
        "num_products": pairs.num_products,
        **quadrature(bench, full, f"{split}: Hess", "plain_", num_steps, num_probes, seed),
        **quadrature(
            bench, bulk, f"{split}: Hess without its top C", "deflated_", num_steps, num_probes, seed
        ),
        "loss": risk.loss(),
        "error_rate": risk.error_rate(),
        "num_classes": risk.num_classes,
        "num_examples": risk.num_examples,
        "num_parameters": risk.num_parameters,
    }


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
