"""Spectra for records: measured by Lanczos quadrature, stored under a prefix; `Record.spectrum` reads them."""

from __future__ import annotations

import numpy as np

from hspec.experiments.task import Task
from hspec.linalg import LinearOperator, slq


def quadrature(
    task: Task,
    operator: LinearOperator,
    description: str,
    prefix: str,
    num_steps: int,
    num_probes: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """The arrays of one spectral measure, under names that begin with ``prefix``; resumable."""
    with task.counting(description, num_steps * num_probes) as advance:
        measure = slq(
            operator,
            num_steps,
            num_probes,
            generator=task.generator(seed),
            checkpoint=task.folder / f"{prefix}lanczos.pt",
            callback=advance,
        )
    return {prefix + name: value for name, value in measure.to_arrays().items()}
