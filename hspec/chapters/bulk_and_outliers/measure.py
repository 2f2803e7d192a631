"""The spectrum of a trained net's Hessian: bulk, outliers, and both from few products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hspec.curvature import hessian
from hspec.experiments.experiment import Experiment
from hspec.experiments.measure import measure
from hspec.experiments.quadrature import quadrature
from hspec.experiments.setting import Setting
from hspec.experiments.task import Task
from hspec.linalg import (
    EigenPairs,
    LinearOperator,
    Tridiagonal,
    deflate,
    eigenpairs_from,
    eigsh,
    lanczos,
)
from hspec.linalg.quadrature import measure_from
from hspec.linalg.trace import draw_probe

OUTLIER_TOLERANCE = (
    1e-3  # residual relative to the eigenvalue: far below the spacing of the outliers drawn
)


@measure(version=1)
def bulk_and_outliers(
    task: Task, *, split: str = "train", num_steps: int = 90, num_probes: int = 1, seed: int = 0
) -> dict[str, np.ndarray]:
    """Density of the Hessian with and without its top C eigenpairs, and its largest eigenvalues
    (P18-1).

    One Lanczos run of the whole Hessian with its basis kept gives the plain density and the largest
    eigenvalues; num_probes more, of the deflated Hessian, give the bulk.

    Arrays: top and top_residuals (≤ 3C + 1,): the leading eigenvalues up to the first whose
    residual exceeds OUTLIER_TOLERANCE; plain_… and deflated_…: the nodes and weights of the two
    quadratures; loss and error_rate of the net on the split; num_classes, num_examples,
    num_parameters.
    Source: P18a, section 3; P20, appendix D.
    """
    risk = task.risk(split)
    full = hessian(risk)
    with task.counting(f"{split}: Hess", num_steps) as advance:
        run = lanczos(
            full,
            draw_probe(full, task.generator(seed)),
            num_steps,
            checkpoint=task.folder / "plain",
            callback=advance,
        )
    top = converged_top(run, 3 * risk.num_classes + 1)
    outliers = outlier_pairs(task, full, top, risk.num_classes, seed)
    bulk = deflate(full, outliers)
    plain = measure_from([run], risk.num_parameters)
    return {
        "top": top.values,
        "top_residuals": top.residuals,
        "outliers": outliers.values,
        **{f"plain_{name}": value for name, value in plain.to_arrays().items()},
        **quadrature(task, bulk, f"{split}: deflated", "deflated_", num_steps, num_probes, seed),
        "loss": risk.loss(),
        "error_rate": risk.error_rate(),
        "num_classes": risk.num_classes,
        "num_examples": risk.num_examples,
        "num_parameters": risk.num_parameters,
    }


def converged_top(run: Tridiagonal, count: int) -> EigenPairs:
    """The leading Ritz pairs up to the first that has not converged,
    at most ``count`` and at least one.
    """
    pairs = eigenpairs_from(run, min(count, len(run.alphas)))
    doubtful = np.flatnonzero(pairs.residuals > OUTLIER_TOLERANCE * np.abs(pairs.values))
    return pairs.top(max(1, doubtful[0])) if len(doubtful) else pairs


def outlier_pairs(
    task: Task, full: LinearOperator, top: EigenPairs, count: int, seed: int
) -> EigenPairs:
    """The largest ``count`` pairs: those that have converged already,
    or an eigensolver started from them.
    """
    if len(top) >= count:
        return top.top(count)
    with task.counting(f"top {count} eigenvalues") as advance:
        return eigsh(
            full,
            count,
            start=top.vectors,
            tol=OUTLIER_TOLERANCE,
            generator=task.generator(seed),
            checkpoint=task.folder / "outliers",
            callback=advance,
        )


def spectra_experiments(
    datasets: Iterable[str], net: Mapping[str, Any], options: Mapping[str, Any]
) -> list[Experiment]:
    """The training and the test spectrum of one net on each data set.

    net      fields of :class:`Setting` without the data set
    options  of the measure, without the split

    Raises ValueError where there is no data set.
    """
    datasets = list(datasets)
    if not datasets:
        raise ValueError("datasets is empty: name at least one")
    return [
        Experiment(bulk_and_outliers, Setting(dataset, **net), {**options, "split": split})
        for dataset in datasets
        for split in ("train", "test")
    ]
