"""From a module and its batches to the spectrum of Hess, G and H: one call."""

import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hspec.curvature import Risk
from hspec.curvature.fingerprint import fingerprint
from hspec.linalg import EigenPairs, LinearOperator, SpectralMeasure, deflate, eigsh, slq
from hspec.linalg.autocast import without_autocast
from hspec.stopwatch import Stopwatch
from hspec.yours.class_structure import class_values
from hspec.yours.plan import Plan, forecast
from hspec.yours.progress import Report, reporting
from hspec.yours.result import MatrixSpectrum, Spectrum
from hspec.yours.settings import MATRICES, Settings


@without_autocast
def spectrum(
    module: nn.Module,
    batches: Iterable,
    *,
    loss: nn.Module | Callable | None = None,
    matrices: Iterable[str] = ("Hess", "G", "H"),
    top: int = 10,
    steps: int = 80,
    probes: int = 5,
    tol: float = 1e-3,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    progress: bool | Report = False,
    on_plan: Callable[[Plan], object] | None = None,
    **options: Any,
) -> Spectrum:
    """The spectrum of a network's Hessian and of its parts, with error bands.

    For each matrix the `top` largest eigenpairs are computed to a residual and taken out; the rest
    is measured by Lanczos quadrature, and the pairs are put back into the measure. Where p is so
    small that the whole matrix takes no more products (p ≤ steps · probes), all eigenvalues are
    computed.

    Args:
        module: the network, in eval mode; it is copied, never modified.
        batches: a sequence of batches or a DataLoader: pairs (x, y), or whatever `forward` takes.
        loss: nn.CrossEntropyLoss() by default; any other of PyTorch's, or a function: see
            `Risk.from_module`.
        matrices: names among "Hess", "G" (Gauss-Newton) and "H" = Hess − G.
        top: k; steps: m; probes: n_v ≥ 2; tol: of the residuals, relative to |λ_k|; seed: of all
            that is random. See `Settings`.
        checkpoint: a folder in which products are kept: the same call goes on there after a kill.
            Each net and sample has a folder of its own in it, by their numbers.
        progress: True for bars (with tqdm, where it is installed), or a function (stage, done,
            total).
        on_plan: called with the forecast, a `Plan`, before the work starts.
        options: the other arguments of `Risk.from_module`: forward, reduction, parameters, dtype,
            batch_norm, precision, memory_budget, check, …

    Returns:
        A `Spectrum`, with `.plot()`, `.table()`, `.save(folder)`, `["Hess"].values`, …

    Raises:
        ValueError: what `Risk.from_module` refuses; settings out of range; a matrix that the loss
            does not have; a damaged checkpoint.
        MemoryError: the vectors do not fit, with what to lower.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        >>> x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
        >>> found = spectrum(net, [(x, torch.arange(20) % 3)], top=3)
        >>> len(found["Hess"].values), found.facts["num_parameters"]
        (3, 43)

    Source: P18a and P20, D.2 (deflation, then Lanczos); GKX19 (quadrature over probes).
    """
    risk = Risk.from_module(module, batches, loss=loss, **options)
    return spectrum_of(
        risk,
        matrices=matrices,
        top=top,
        steps=steps,
        probes=probes,
        tol=tol,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
        on_plan=on_plan,
    )


@without_autocast
def spectrum_of(
    risk: Risk,
    *,
    checkpoint: str | os.PathLike | None = None,
    progress: bool | Report = False,
    on_plan: Callable[[Plan], object] | None = None,
    **settings: Any,
) -> Spectrum:
    """`spectrum` of a risk that is there already; its kept graphs are used.

    Args:
        risk: what is measured.
        checkpoint, progress, on_plan: as in `spectrum`.
        settings: matrices, top, steps, probes, tol, seed, as in `spectrum`.

    Raises:
        ValueError, MemoryError: as `spectrum`.
    """
    chosen = Settings(**settings)
    folder = None if checkpoint is None else Path(checkpoint) / fingerprint(risk)
    plan = forecast(risk, chosen)
    if on_plan is not None:
        on_plan(plan)
    with risk.ranks.agreed():  # each has memory of its own
        if not plan.fits:
            raise MemoryError("\n".join(plan.advice))
    with reporting(progress) as report:
        matrices = {
            name: _measured(MATRICES[name](risk), name, chosen, folder and folder / name, report)
            for name in chosen.matrices
        }
        classes = class_values(risk, report)
    return Spectrum(matrices, classes, _facts(risk, chosen), plan)


def _measured(
    A: LinearOperator, name: str, settings: Settings, folder: Path | None, report: Report
) -> MatrixSpectrum:
    p, dense = A.shape[0], settings.is_dense(A.shape[0])
    # Of a dense matrix nothing is kept that could be gone on with.
    kept = folder is not None and not dense and A.risk.ranks.rank == 0
    with Stopwatch(folder / "seconds" if kept else None) as watch:
        if dense:
            measure, pairs = _dense(A, settings.pairs(p))
            products = p
        else:
            pairs = _top(A, name, settings, folder, report)
            measure = slq(
                A if pairs is None else deflate(A, pairs),
                settings.steps,
                settings.probes,
                generator=torch.Generator().manual_seed(settings.seed + 1),
                checkpoint=folder and folder / "quadrature",
                callback=lambda done, total: report(f"{name}: quadrature", done, total),
            )
            products = settings.steps * settings.probes
            if pairs is None:
                pairs = EigenPairs(np.empty(0), torch.empty(p, 0), np.empty(0))
            else:
                measure, products = measure.with_spikes(pairs.values), products + pairs.num_products
    return MatrixSpectrum(
        measure,
        pairs.values,
        pairs.residuals,
        pairs.vectors,
        products,
        watch.seconds,
        is_exact=dense,
        is_semidefinite=name == "G" and A.risk.is_convex,
    )


def _top(
    A, name: str, settings: Settings, folder: Path | None, report: Report
) -> EigenPairs | None:
    """The top pairs that have converged; eigsh warns of those that have not.
    None where none are wanted.
    """
    k = settings.pairs(A.shape[0])
    if not k:
        return None
    pairs = eigsh(
        A,
        k,
        tol=settings.tol,
        generator=torch.Generator().manual_seed(settings.seed),
        checkpoint=folder and folder / "top",
        callback=lambda done: report(f"{name}: top {k} eigenvalues", done, 0),
    )
    good = pairs.residuals <= settings.tol * np.abs(pairs.values)
    if good.all():
        return pairs
    if not good.any():
        return None
    kept = torch.from_numpy(good).to(pairs.vectors.device)
    return EigenPairs(
        pairs.values[good], pairs.vectors[:, kept], pairs.residuals[good], pairs.num_products
    )


def _dense(A: LinearOperator, k: int) -> tuple[SpectralMeasure, EigenPairs]:
    """All eigenvalues, and the k largest as pairs, from the matrix itself."""
    matrix = A.to_dense()
    values, vectors = torch.linalg.eigh(((matrix + matrix.T) / 2).double())
    values, vectors = values.flip(0), vectors.flip(1)[:, :k]
    top = values[:k]
    residuals = torch.linalg.vector_norm(matrix.double() @ vectors - vectors * top, dim=0)
    pairs = EigenPairs(top.cpu().numpy(), vectors.to(A.dtype), residuals.cpu().numpy(), A.shape[0])
    return SpectralMeasure.from_eigenvalues(values.cpu().numpy()), pairs


def _facts(risk: Risk, settings: Settings) -> dict[str, object]:
    return {
        "module": type(risk.network.module).__name__,
        "num_parameters": risk.num_parameters,
        "num_examples": risk.num_examples,
        "num_terms": risk.num_terms,
        "loss": risk.loss_function.name,
        "loss_value": risk.loss(),
        "gradient_norm": float(torch.linalg.vector_norm(risk.gradient())),
        "dtype": str(risk.dtype).removeprefix("torch."),
        "device": str(risk.device),
        "ranks": risk.ranks.size,
        "precision": risk.precision,
        **{name: getattr(settings, name) for name in ("top", "steps", "probes", "tol", "seed")},
        "checks": dict(risk.checks),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
