"""Stochastic Lanczos quadrature: the spectrum of a matrix from a few random probes."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hspec.linalg.arguments import guards_of, whole_number
from hspec.linalg.finished import Finished
from hspec.linalg.measure import SpectralMeasure
from hspec.linalg.operator import LinearOperator, aslinearoperator
from hspec.linalg.recurrence import Recurrence
from hspec.linalg.remembered import Remembered
from hspec.linalg.trace import draw_probe
from hspec.linalg.tridiagonal import Tridiagonal

CONVERGED = 1e-6  # β_m |s_mi| below this share of λ_max: the Ritz pair is an eigenpair
LOCK_STEP = 1 << 28  # bytes that the bases of all probes may take to be run in lock-step unasked
SIMPLE = 10.8  # a χ²₁ draw is larger once in a thousand: such a node is a multiple eigenvalue


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
) -> SpectralMeasure:
    """The spectral measure of A: an m-node Gauss rule per random unit probe; num_steps · num_probes products.

    probes          "gaussian" (uniform on the sphere) or "rademacher" (random signs)
    block           run all probes in lock-step, one product with a block of columns a step: faster where
                    blocks pay (small nets, GPUs), at num_probes times the memory for the basis; None where
                    that comes to 256 MiB at most
    reorthogonalize "full", "partial" or "none" (see `reorthogonalization`); None is partial on the CPU, which
                    finds the same T to rounding and reads the basis at fewer steps, and full on a GPU, where
                    the decision would stop the stream
    generator       torch.Generator: the one source of randomness; the same probes for float32 and float64
    checkpoint      a folder: finished probes and the current one's state survive a kill (see `lanczos`)
    callback        called with (steps done, num_steps · num_probes)

    Other arguments are those of `lanczos`; num_steps is cut to the number of eigenvalues where that is
    smaller. Weights are converged-Ritz weights (see `ritz_weights`), the Gauss rule's own are in
    `plain_weights`. For a deflated operator the probes are orthogonal to what was removed and the p − k
    other eigenvalues are measured.

    Source: UCS17, GKX19 (Gauss quadrature from Lanczos).
    """
    A = aslinearoperator(A)
    removed = 0 if A.removed_basis is None else A.removed_basis.shape[1]
    dimension = A.shape[0] - removed
    num_steps = min(whole_number(num_steps, "The number of Lanczos steps"), dimension)
    num_probes = whole_number(num_probes, "The number of probes")
    guards = guards_of(check, ("symmetry",))
    if reorthogonalize is None:
        reorthogonalize = "partial" if A.device.type == "cpu" else "full"
    if block is None:
        block = num_probes * num_steps * A.shape[0] * (basis_dtype or A.dtype).itemsize <= LOCK_STEP
    probe = _Probe(A, num_steps, reorthogonalize, basis_dtype, checkpoint, checkpoint_every, bool(guards))
    starts = (draw_probe(A, generator, probes)[None] for _ in range(num_probes))
    rows = []
    for number, some in enumerate([torch.cat(list(starts))] if block else starts):
        before, total = len(rows) * num_steps, num_steps * num_probes
        report = None if callback is None else _reporter(callback, before, len(some), total)
        rows += [_row(run, dimension, reorthogonalize != "none") for run in probe.runs(number, some, report)]
    return _measure(rows, num_steps, dimension)


@dataclass
class _Probe:
    """How each start vector, or block of them, is run; and the memory of the last run, for the next one."""

    A: LinearOperator
    num_steps: int
    reorthogonalize: str
    basis_dtype: torch.dtype | None
    checkpoint: str | os.PathLike | None
    every: int
    check: bool
    buffer: torch.Tensor | None = None

    def runs(self, number: int, starts: torch.Tensor, report: Callable | None) -> list[Tridiagonal]:
        """The Lanczos runs from `starts` (n_v, p); where there is a checkpoint, what is left of them there."""
        if self.checkpoint is None:
            return self._run(self.A, number, starts, report)
        settings = f"{self.num_steps} steps, reorthogonalize={self.reorthogonalize}, {self.basis_dtype}"
        folder = Path(self.checkpoint) / f"probe-{number:04d}"
        finished = Finished(folder / "finished.pt", self.A, starts, settings)
        runs, operator = finished.load(test=number == 0), Remembered(self.A, folder, self.every)
        if runs is None:
            runs = self._run(operator, number, starts, report)
            finished.save(runs)
        operator.forget()
        return runs

    def _run(self, A: LinearOperator, number: int, starts: torch.Tensor, report) -> list[Tridiagonal]:
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


def measure_from(runs: list[Tridiagonal], dimension: int) -> SpectralMeasure:
    """The spectral measure of fully reorthogonalised Lanczos runs from random probes; `slq` where their bases are kept.

    dimension: the number of eigenvalues measured.   Source: as `slq`.
    """
    rows = [_row(run, dimension, True) for run in runs]
    return _measure(rows, max(len(run.alphas) for run in runs), dimension)


def _reporter(callback, before, width, total):
    return lambda step, num_steps: callback(before + step * width, total)


def _row(
    tridiagonal: Tridiagonal, dimension: int, orthogonal: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    theta, first, last = tridiagonal.ritz()
    plain = first**2
    weights = plain
    if orthogonal:
        weights = ritz_weights(theta, plain, tridiagonal.residual_norm * np.abs(last), dimension)
    return theta, weights, plain


def ritz_weights(theta: np.ndarray, plain: np.ndarray, residuals: np.ndarray, dimension: int) -> np.ndarray:
    """Converged-Ritz weights (m,): 1/p for nodes that are simple eigenvalues, the other plain weights rescaled.

    A Ritz pair with residual < 1e-6 max|θ| is an eigenvalue, and its weight in the spectrum is 1/p, whatever
    the probe's own (vᵀq)², which is a χ²₁/p draw. A converged node whose weight · p is far beyond such a
    draw is a multiple eigenvalue (the null space of dead weights, a rank-deficient G): its multiplicity is
    not known, so its weight stays the probe's, like those of the nodes that stand for many eigenvalues. If
    no node is left to carry the remaining mass, multiplicities are hiding among the small weights: the
    plain rule is returned.
    """
    simple = (residuals < CONVERGED * np.abs(theta).max()) & (plain * dimension < SIMPLE)
    rest = plain[~simple].sum()
    remaining = 1.0 - simple.sum() / dimension
    if simple.sum() == dimension:
        return np.full(len(theta), 1.0 / dimension)
    if remaining <= 0 or rest <= 0:
        return plain
    return np.where(simple, 1.0 / dimension, plain * (remaining / rest))


def _measure(rows, num_steps: int, dimension: int) -> SpectralMeasure:
    shape = (len(rows), min(num_steps, max(len(theta) for theta, *_ in rows)))
    nodes, weights, plain = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
    for i, (theta, weight, own) in enumerate(rows):
        m = len(theta)
        nodes[i, :m], weights[i, :m], plain[i, :m] = theta, weight, own
    return SpectralMeasure(nodes, weights, plain, dimension)
