"""The spectrum's ends while a net is being trained: plain numbers,
for whatever writes them down.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from hspec.curvature import Risk
from hspec.curvature.engine.copying import private_copy
from hspec.linalg import eigsh, hutchinson_trace
from hspec.linalg.arguments import whole_number
from hspec.linalg.autocast import without_autocast
from hspec.yours.settings import MATRICES


class Tracker:
    """Measures a net now and then in a training loop; call it at every step.

    The net may be in training mode: it is measured in eval mode, on a copy, and no generator is
    touched, so training goes on as it would have without. From one measurement to the next the top
    eigenvectors change little, and are where the next search starts.

    Args:
        batches: the fixed sample that curvature is measured on, such as a thousand training
            examples.
        every: steps between measurements; the first call measures.
        loss: as in `hspec.spectrum`.
        top: k, eigenvalues; 0 for none.
        probes: random vectors for the trace, one product each; 0 for no trace.
        matrix: "Hess", "G" or "H".
        tol: of the residuals, relative to |λ_k|.
        seed: of the first start vectors and of the probes.
        options: the other arguments of `Risk.from_module`.

    Attributes:
        history: the measurements so far.

    Raises:
        ValueError: numbers out of range, an unknown matrix.

    Example:
        >>> net = nn.Linear(4, 3)
        >>> x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
        >>> tracker = Tracker([(x, torch.arange(20) % 3)], every=100, top=1, probes=4)
        >>> numbers = tracker(0, net)
        >>> sorted(numbers)[:4]
        ['gradient_norm', 'gradient_share', 'lambda_1', 'loss']
        >>> tracker(1, net) is None
        True

    Source: Gur-Ari, Roberts and Dyer 2018 (the gradient's share in the top space).
    """

    def __init__(
        self,
        batches: Iterable,
        *,
        every: int,
        loss: nn.Module | Callable | None = None,
        top: int = 5,
        probes: int = 8,
        matrix: str = "Hess",
        tol: float = 1e-2,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if matrix not in MATRICES:
            raise ValueError(f"matrix={matrix!r}: choose one of {', '.join(MATRICES)}")
        self.every = whole_number(every, "every")
        self.top, self.probes = (
            whole_number(n, name, 0) for n, name in ((top, "top"), (probes, "probes"))
        )
        self.batches, self.matrix, self.tol, self.seed = batches, matrix, tol, seed
        self.options = {"loss": loss, **options}
        self.history: list[dict[str, float]] = []
        self._vectors: torch.Tensor | None = None

    @without_autocast
    def __call__(self, step: int, module: nn.Module) -> dict[str, float] | None:
        """The numbers at this step, or None where it is none to measure at.

        Args:
            step: the optimiser's step; measured where it is a multiple of `every`, and once: loops
                that accumulate gradients come by several times at one step.
            module: the net as it is now.

        Returns:
            step, loss, gradient_norm, lambda_1 … lambda_k with residual_1 … (descending), trace and
            trace_error (one standard error), gradient_share = ‖Q_kᵀ∇L‖²/‖∇L‖², products, seconds.

        Raises:
            ValueError: what `Risk.from_module` refuses, such as weights that are not finite.
        """
        if step % self.every or (self.history and self.history[-1]["step"] == step):
            return None
        start = time.perf_counter()
        with _evaluating(module) as net:
            risk = Risk.from_module(net, self.batches, **self.options)
        gradient = risk.gradient()
        norm = float(torch.linalg.vector_norm(gradient))
        numbers = {"step": step, "loss": risk.loss(), "gradient_norm": norm, "products": 0}
        A, generator = MATRICES[self.matrix](risk), torch.Generator().manual_seed(self.seed)
        if self.probes:
            numbers["trace"], numbers["trace_error"] = hutchinson_trace(
                A, self.probes, generator=generator
            )
            numbers["products"] += self.probes
        if self.top:
            k = min(self.top, risk.num_parameters)
            warm = self._vectors
            if warm is not None and len(warm) != risk.num_parameters:
                warm = None  # other parameters are trained now
            pairs = eigsh(A, k, start=warm, tol=self.tol, generator=generator, check="symmetry")
            self._vectors = pairs.vectors
            for i, (value, residual) in enumerate(
                zip(pairs.values, pairs.residuals, strict=True), 1
            ):
                numbers[f"lambda_{i}"], numbers[f"residual_{i}"] = float(value), float(residual)
            inside = float(torch.linalg.vector_norm(pairs.vectors.T @ gradient))
            numbers["gradient_share"] = (inside / norm) ** 2 if norm else float("nan")
            numbers["products"] += pairs.num_products
        numbers["seconds"] = time.perf_counter() - start
        self.history.append(numbers)
        return numbers

    def arrays(self) -> dict[str, np.ndarray]:
        """The history by quantity: {name: (number of measurements,)},
        NaN where one was not measured.
        """
        names = dict.fromkeys(name for numbers in self.history for name in numbers)
        return {
            name: np.array([numbers.get(name, np.nan) for numbers in self.history])
            for name in names
        }


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[nn.Module]:
    """The module with every part in eval mode, and back as it was; a copy, where a part has its own
    idea of what its mode brings with it.
    """
    if any(type(part).train is not nn.Module.train for part in module.modules()):
        yield private_copy(module)[0].eval()
        return
    modes = [(part, part.training) for part in module.modules()]
    for part, _ in modes:
        part.training = False
    try:
        yield module
    finally:
        for part, training in modes:
            part.training = training
