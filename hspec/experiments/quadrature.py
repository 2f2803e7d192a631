"""Spectra for records: measured by Lanczos quadrature, stored under a prefix;
`Record.spectrum` reads them.
"""

from __future__ import annotations

import numpy as np
import torch

from hspec.curvature.engine.memory import free_memory
from hspec.experiments.task import Task
from hspec.linalg import LinearOperator, slq

SMALL_BASIS = (
    1 << 30
)  # bytes; a basis up to this size is kept in its matrix's own precision unasked


def quadrature(
    task: Task,
    operator: LinearOperator,
    description: str,
    prefix: str,
    num_steps: int,
    num_probes: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """The arrays of one spectral measure, under names that begin with ``prefix``; resumable.

    Where the basis had to be kept in half precision, the arrays have ``…basis_bits`` too, 16.
    """
    precision = basis_precision(task, operator, num_steps, prefix)
    with task.counting(description, num_steps * num_probes) as advance:
        measure = slq(
            operator,
            num_steps,
            num_probes,
            generator=task.generator(seed),
            basis_dtype=precision,
            checkpoint=task.folder / f"{prefix}lanczos.pt",
            callback=advance,
        )
    bits = {} if precision is None else {f"{prefix}basis_bits": np.array(8 * precision.itemsize)}
    return {prefix + name: value for name, value in measure.to_arrays().items()} | bits


def basis_precision(
    task: Task, operator: LinearOperator, num_steps: int, name: str
) -> torch.dtype | None:
    """bfloat16 where num_steps vectors of the matrix's own precision take over half of the free
    memory; else None.

    The choice is kept beside the checkpoints under ``name``, so that a run ends with the basis that
    it began with.
    """
    needed = num_steps * operator.shape[0] * operator.dtype.itemsize
    if needed <= SMALL_BASIS:
        return None
    choice = task.folder / f"{name}basis"
    if not choice.exists():
        choice.write_text("own" if needed <= free_memory(operator.device) // 2 else "bfloat16")
    return torch.bfloat16 if choice.read_text() == "bfloat16" else None
