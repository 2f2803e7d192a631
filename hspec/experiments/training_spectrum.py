"""One frame of a film: the Hessian's spectrum, and the gradient's place in it,
at one step of training.
"""

from __future__ import annotations

import numpy as np

from hspec.curvature import hessian
from hspec.experiments.measure import measure
from hspec.experiments.records import Record
from hspec.experiments.task import Task
from hspec.linalg import LinearOperator, SpectralMeasure, Tridiagonal, lanczos
from hspec.linalg.quadrature import measure_from
from hspec.linalg.trace import draw_probe

KNOWN = 1e-2  # of a Ritz value: with a larger residual it is no eigenvalue yet


def known(values: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """The Ritz values that have converged; NaN where the residual is above a hundredth of the
    value.

    Example:
        >>> print(known(np.array([8.0, -0.5]), np.array([0.01, 0.4])))
        [ 8. nan]
    """
    return np.where(residuals <= KNOWN * np.abs(values), values, np.nan)


class Frame(Record):
    """One step of a training: the spectrum of its Hessian, both ends of it,
    and the gradient's place in it.
    """

    @property
    def step(self) -> int:
        """Updates made."""
        return int(self["step"])

    @property
    def top(self) -> np.ndarray:
        """The largest eigenvalues (num_top,), descending, NaN where the run did not reach them;
        see :func:`known`.
        """
        return known(self["top"], self.top_residuals)

    @property
    def top_residuals(self) -> np.ndarray:
        """‖Hess y − θ y‖ of each of the largest (num_top,)."""
        return self["top_residuals"]

    @property
    def bottom(self) -> float:
        """The smallest eigenvalue, at most ``bottom_residual`` off;
        NaN where the run did not reach it.
        """
        return float(known(self["bottom"], self["bottom_residuals"])[0])

    @property
    def bottom_residual(self) -> float:
        """‖Hess y − θ y‖ of the smallest."""
        return float(self["bottom_residuals"][0])

    @property
    def hess(self) -> SpectralMeasure:
        """The spectrum of the Hessian, one row a probe."""
        return self.spectrum("hess_")

    @property
    def gradient(self) -> SpectralMeasure:
        """Where the gradient lies in it, Σ_i (q_i·∇L)²/‖∇L‖² δ(t − λ_i)."""
        return self.spectrum("gradient_")


@measure(version=1, result=Frame)
def training_spectrum(
    task: Task,
    *,
    step: int,
    batch_norm: str = "batch",
    split: str = "train",
    sample_per_class: int | None = None,
    batch_size: int = 50,
    num_steps: int = 40,
    num_probes: int = 2,
    num_top: int = 21,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Spectrum of the Hessian after ``step`` updates, its ends with residuals, and the gradient's
    spectral measure.

    batch_norm        "batch" (statistics of each batch of a fixed partition, differentiated
                      through: the loss that is trained), "eval" (running statistics) or
                          "population" (the sample's, constants)
    sample_per_class  examples per class of the sample that the Hessian is of; None takes the
    setting's
    batch_size        of the partition; it matters in the mode "batch" alone
    num_steps         Lanczos steps of each of the num_probes probes, and of the run that starts at
    the gradient

    Arrays: hess_…: the quadrature of the spectrum; gradient_…: that of the measure Σ_i
    (q_i·∇L)²/‖∇L‖² δ(t − λ_i), whose mass above a point is the share of the gradient in the
    eigenspace above it; top (num_top,) and bottom (1,) with top_residuals and bottom_residuals;
    gradient_norm, loss and error_rate in this mode; step, num_classes, num_examples,
    num_parameters.
    Source: GKX19, sections 2 to 4.
    """
    if not 1 <= num_top < num_steps:
        raise ValueError(
            f"num_top must be from 1 to num_steps − 1 = {num_steps - 1}, got {num_top}"
        )
    partition = (
        {"batch_size": batch_size} if batch_norm == "batch" else {}
    )  # elsewhere the fastest one
    risk = task.risk(
        split, step=step, per_class=sample_per_class, batch_norm=batch_norm, **partition
    )
    matrix, gradient = hessian(risk), risk.gradient()
    generator = task.generator(seed)
    starts = [draw_probe(matrix, generator) for _ in range(num_probes)] + [gradient]
    *runs, from_gradient = lanczos_runs(
        task, matrix, starts, num_steps, f"{batch_norm}, step {step}"
    )
    ends = sharpest_ends(runs, num_top)
    return {
        **prefixed("hess_", measure_from(runs, risk.num_parameters)),
        **prefixed("gradient_", gauss_rule(from_gradient, risk.num_parameters)),
        **ends,
        "gradient_norm": float(gradient.norm()),
        "loss": risk.loss(),
        "error_rate": risk.error_rate(),
        "step": step,
        "num_classes": risk.num_classes,
        "num_examples": risk.num_examples,
        "num_parameters": risk.num_parameters,
    }


def lanczos_runs(
    task: Task, matrix: LinearOperator, starts: list, num_steps: int, description: str
) -> list[Tridiagonal]:
    """One resumable run from each start vector."""
    num_steps = min(num_steps, matrix.shape[0])
    with task.counting(description, num_steps * len(starts)) as advance:
        return [
            lanczos(
                matrix,
                start,
                num_steps,
                checkpoint=task.folder / f"run-{number}",
                callback=lambda done, _, before=number * num_steps: advance(before + done),
            )
            for number, start in enumerate(starts)
        ]


def sharpest_ends(runs: list[Tridiagonal], num_top: int) -> dict[str, np.ndarray]:
    """The largest Ritz values and the smallest one,
    of the run whose residuals there are smallest.
    """
    candidates = [ritz_with_residuals(run) for run in runs]
    top = min(candidates, key=lambda pair: pair[1][-num_top:].max())
    bottom = min(candidates, key=lambda pair: pair[1][0])
    return {
        "top": top[0][::-1][:num_top],
        "top_residuals": top[1][::-1][:num_top],
        "bottom": bottom[0][:1],
        "bottom_residuals": bottom[1][:1],
    }


def ritz_with_residuals(run: Tridiagonal) -> tuple[np.ndarray, np.ndarray]:
    """Ritz values θ ascending, and ‖A y − θ y‖ = β_m |s_m| of each:
    an eigenvalue lies within that distance.
    """
    theta, _, last = run.ritz()
    return theta, run.residual_norm * np.abs(last)


def gauss_rule(run: Tridiagonal, dimension: int) -> SpectralMeasure:
    """The weighted spectral measure of the run's start vector, by its own Gauss rule."""
    theta, first, _ = run.ritz()
    weights = first**2 / (first**2).sum()
    return SpectralMeasure(theta, weights, weights, dimension)


def prefixed(prefix: str, measure: SpectralMeasure) -> dict[str, np.ndarray]:
    return {prefix + name: value for name, value in measure.to_arrays().items()}
