"""Stochastic Lanczos quadrature: the spectrum of a matrix from a few random probes."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hspec.linalg.arguments import finite_number, guards_of, whole_number
from hspec.linalg.autocast import without_autocast
from hspec.linalg.finished import Finished
from hspec.linalg.measure import SpectralMeasure
from hspec.linalg.operator import LinearOperator, aslinearoperator
from hspec.linalg.radau import radau
from hspec.linalg.recurrence import Recurrence
from hspec.linalg.remembered import Remembered
from hspec.linalg.ritz_weights import ritz_weights
from hspec.linalg.trace import draw_probe
from hspec.linalg.tridiagonal import Tridiagonal

LOCK_STEP = 1 << 28  # bytes that the bases of all probes may take to be run in lock-step unasked


@without_autocast
def slq(
    A: LinearOperator | torch.Tensor,
    num_steps: int,
    num_probes: int,
    *,
    generator: torch.Generator,
    probes: str = "gaussian",
    reorthogonalize: str | None = None,
    basis_dtype: torch.dtype | None = None,
    block: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 10,
    callback: Callable[[int, int], None] | None = None,
    check: bool | str | Collection[str] = True,
    node: float | None = None,
) -> SpectralMeasure:
    """The spectral measure of A: an m-node Gauss rule per random unit probe; num_steps · num_probes
    products.

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p). Of a deflated one the probes are
            orthogonal to what was removed, and the p − k other eigenvalues are measured.
        num_steps: m, cut to the number of eigenvalues where that is smaller.
        num_probes: start vectors; with two or more the result has standard errors.
        generator: the one source of randomness; the same probes for float32 and float64.
        probes: "gaussian" (uniform on the sphere) or "rademacher" (random signs).
        reorthogonalize: "full", "partial" or "none" (see `reorthogonalization`); None is partial on
            the CPU, which finds the same T to rounding and reads the basis at fewer steps, and full
            on a GPU, where the decision would stop the stream.
        basis_dtype: as in `lanczos`.
        block: run all probes in lock-step, one product with a block of columns a step: faster where
            blocks pay (small nets, GPUs), at num_probes times the memory for the basis; None where
            that comes to 256 MiB at most.
        checkpoint: a folder; finished probes leave their scalars there, the current one its
            products and their vectors, so that it goes on where rounding is another: on another
            machine, or with another number of ranks.
        checkpoint_every: products written at a time; a kill loses fewer.
        callback: called with (steps done, num_steps · num_probes).
        check: the guard "symmetry", as in `lanczos`.
        node: a point that is known to carry much of the spectrum, such as the 0 of a singular
            matrix: one node of each probe is put there (see `radau`), at no product. A Hessian of
            weights that do nothing is singular: a Gauss rule has a node at its zeros or two that
            straddle them, by turns from one m to the next; with node=0.0 it has one there always.

    Returns:
        Nodes and weights, one row a probe. Weights are converged-Ritz weights (see `ritz_weights`);
        the Gauss rule's own are in `plain_weights`.

    Raises:
        ValueError, FloatingPointError, OSError: as `lanczos`.
        TypeError: generator is no torch.Generator.

    Example:
        >>> A = torch.diag(torch.linspace(0, 1, 100))
        >>> measure = slq(A, 20, 5, generator=torch.Generator().manual_seed(0))
        >>> mean, error = measure.trace()
        >>> abs(mean - 50) < 4 * error
        True

    Source: UCS17, GKX19 (Gauss quadrature from Lanczos); of `node`: Golub 1973.
    """
    A = aslinearoperator(A)
    removed = 0 if A.removed_basis is None else A.removed_basis.shape[1]
    dimension = A.shape[0] - removed
    num_steps = min(whole_number(num_steps, "The number of Lanczos steps"), dimension)
    num_probes = whole_number(num_probes, "The number of probes")
    guards = guards_of(check, ("symmetry",))
    node = None if node is None else finite_number(node, "The node")
    if reorthogonalize is None:
        reorthogonalize = "partial" if A.device.type == "cpu" else "full"
    if block is None:
        block = num_probes * num_steps * A.shape[0] * (basis_dtype or A.dtype).itemsize <= LOCK_STEP
    probe = _Probe(
        A, num_steps, reorthogonalize, basis_dtype, checkpoint, checkpoint_every, bool(guards)
    )
    starts = (draw_probe(A, generator, probes)[None] for _ in range(num_probes))
    runs = []
    for number, some in enumerate([torch.cat(list(starts))] if block else starts):
        before, total = len(runs) * num_steps, num_steps * num_probes
        report = None if callback is None else _reporter(callback, before, len(some), total)
        runs += probe.runs(number, some, report)
    return measure_from(runs, dimension, orthogonal=reorthogonalize != "none", node=node)


@dataclass
class _Probe:
    """How each start vector, or block of them, is run; and the memory of the last run,
    for the next one.
    """

    A: LinearOperator
    num_steps: int
    reorthogonalize: str
    basis_dtype: torch.dtype | None
    checkpoint: str | os.PathLike | None
    every: int
    check: bool
    buffer: torch.Tensor | None = None

    def runs(self, number: int, starts: torch.Tensor, report: Callable | None) -> list[Tridiagonal]:
        """The Lanczos runs from `starts` (n_v, p); where there is a checkpoint,
        what is left of them there.
        """
        if self.checkpoint is None:
            return self._run(self.A, number, starts, report)
        settings = (
            f"{self.num_steps} steps, reorthogonalize={self.reorthogonalize}, {self.basis_dtype}"
        )
        folder = Path(self.checkpoint) / f"probe-{number:04d}"
        finished = Finished(folder / "finished.pt", self.A, starts, settings)
        runs = finished.load(test=number == 0)
        operator = Remembered(self.A, folder, self.every, vectors=True)
        if runs is None:
            runs = self._run(operator, number, starts, report)
            finished.save(runs)
        operator.forget()
        return runs

    def _run(
        self, A: LinearOperator, number: int, starts: torch.Tensor, report
    ) -> list[Tridiagonal]:
        run = Recurrence(
            A,
            starts,
            self.num_steps,
            reorthogonalize=self.reorthogonalize,
            basis_dtype=self.basis_dtype,
            check=self.check and number == 0,
            keep_basis=False,
            buffer=self.buffer,
        )
        self.buffer = run.V
        return run.finish(report)


def measure_from(
    runs: Sequence[Tridiagonal],
    dimension: int,
    *,
    orthogonal: bool = True,
    node: float | None = None,
) -> SpectralMeasure:
    """The spectral measure of Lanczos runs from random probes; `slq` where they are to be kept.

    Args:
        runs: one for each probe.
        dimension: the number of eigenvalues measured.
        orthogonal: the runs were reorthogonalised, so that weights can be corrected (see
            `ritz_weights`).
        node: a node that every probe has, as in `slq`.

    Source: as `slq`.
    """
    if node is not None:
        runs = [radau(run, node) for run in runs]
    shape = (len(runs), max(len(run.alphas) for run in runs))
    nodes, weights, plain = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
    for i, run in enumerate(runs):
        theta, first, _ = run.ritz()
        nodes[i, : len(theta)], plain[i, : len(theta)] = theta, first**2
    for i, row in enumerate(ritz_weights(runs, dimension) if orthogonal else plain):
        weights[i, : len(row)] = row
    return SpectralMeasure(nodes, weights, plain, dimension)


def _reporter(callback: Callable[[int, int], None], before: int, width: int, total: int):
    return lambda step, num_steps: callback(before + step * width, total)
