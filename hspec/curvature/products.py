"""Products with the Hessian's parts: first-order graphs, kept between products as far as memory allows.

One graph a batch serves every matrix. It holds f = logits, z = p − y as a function of f, and g = Jᵀz with its
own graph:

    ∂⟨g, v⟩/∂θ = Hess v          with the derivative passing through z(f)
               = H v             with that passage switched off
    ∂⟨g, v⟩/∂z = J v             and Jᵀ u = ∂⟨f, u⟩/∂θ, so G v = Jᵀ (diag p − p pᵀ) J v

All are reverse over reverse (never reverse over forward, which is wrong with batch normalisation in training mode).
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hspec.curvature.fast_layers import FastLayers
from hspec.curvature.memory import SavedBytes, is_out_of_memory
from hspec.curvature.network import Network
from hspec.curvature.precision import numerics
from hspec.curvature.softmax import Softmax, logit_gradient
from hspec.curvature.switches import Switches


@dataclass(frozen=True)
class BatchGraph:
    """The first-order graph of the summed (not averaged) loss of one batch."""

    rows: slice  # of the sample's N examples
    network: Network
    logits: Tensor  # f (n, C)
    softmax: Softmax
    z: Tensor  # (n, C)
    switches: Switches
    gradient: tuple[Tensor | None, ...]  # g, by parameter; None where the logits do not depend on it

    @classmethod
    def build(cls, network: Network, x: Tensor, y: Tensor, rows: slice) -> "BatchGraph":
        switches = Switches()
        with torch.enable_grad(), FastLayers(switches):
            logits = network(x)
            softmax = Softmax.of(logits)
            z = logit_gradient(logits, y, softmax, switches)
            g = torch.autograd.grad(logits, network.parameters, z, create_graph=True, allow_unused=True)
        return cls(rows, network, logits, softmax, z, switches, g)

    def hess(self, V: Tensor) -> Tensor:
        """Σ_n Hess_n V for rows V (k, p)."""
        return _flat(self._differentiate(V, self.network.parameters), self.network.parameters, V)

    def residual(self, V: Tensor) -> Tensor:
        """Σ_n H_n V for rows V (k, p)."""
        with self.switches.off("through_softmax"):
            return _flat(self._differentiate(V, self.network.parameters), self.network.parameters, V)

    def split(self, V: Tensor) -> tuple[Tensor, Tensor]:
        """(Σ_n H_n V, J V) in one sweep: (k, p) and (k, n, C)."""
        with self.switches.off("through_softmax"):
            *h, t = self._differentiate(V, [*self.network.parameters, self.z])
        return _flat(h, self.network.parameters, V), t

    def jacobian(self, V: Tensor) -> Tensor:
        """J V (k, n, C)."""
        with self.switches.off("to_forward"):
            return self._differentiate(V, [self.z])[0]

    def jacobian_transpose(self, U: Tensor) -> Tensor:
        """Σ_n J_nᵀ U_n (k, p) for U (k, n, C)."""
        return pull_back(self.logits, self.network.parameters, U, self.switches)

    def _differentiate(self, V: Tensor, inputs: list[Tensor]) -> list[Tensor | None]:
        used = [i for i, g in enumerate(self.gradient) if g is not None]
        pieces = self.network.unflatten(V)
        return _grad([self.gradient[i] for i in used], inputs, [pieces[i] for i in used], self.switches)


def pull_back(
    logits: Tensor, parameters: list[Tensor], U: Tensor, switches: Switches, out: Tensor | None = None
) -> Tensor:
    """Σ_n J_nᵀ U_n (k, p) for U (k, n, C), p the size of `parameters`; `logits` (n, C) with their graph."""
    return _flat(_grad([logits], parameters, [U], switches), parameters, U, out)


def _flat(
    pieces: list[Tensor | None], parameters: list[Tensor], like: Tensor, out: Tensor | None = None
) -> Tensor:
    """One row for each of k cotangents, in `out` where it is given; zeros for parameters that they do not reach."""
    k = len(like)
    pieces = [
        like.new_zeros(k, q.numel()) if piece is None else piece.reshape(k, -1)
        for piece, q in zip(pieces, parameters, strict=True)
    ]
    return torch.cat(pieces, 1, out=out)


def _grad(outputs, inputs, cotangents, switches: Switches) -> list[Tensor | None]:
    """autograd.grad for k cotangents at once, stacked along a leading dimension of k."""
    if len(cotangents[0]) > 1:
        options = {"retain_graph": True, "allow_unused": True, "is_grads_batched": True}
        cotangents = [c.contiguous() for c in cotangents]  # only whole blocks fold into one matrix product
        with switches.off("single"):
            return list(torch.autograd.grad(outputs, inputs, cotangents, **options))
    single = [c[0] for c in cotangents]
    found = torch.autograd.grad(outputs, inputs, single, retain_graph=True, allow_unused=True)
    return [None if t is None else t[None] for t in found]


class Graphs:
    """The graphs of all batches: built when first met, kept while they fit in `budget` bytes, else built again."""

    def __init__(self, network: Network, sample, budget: int, precision: str):
        self.network, self.sample, self.budget, self.precision = network, sample, budget, precision
        self.kept: dict[int, BatchGraph] = {}
        self.kept_bytes, self._bytes_per_example = 0, 0.0

    def __str__(self) -> str:
        return f"{len(self.kept)} of {self.sample.num_batches} graphs kept"

    def sum(self, product: Callable[[BatchGraph], Tensor]) -> Tensor:
        """Σ over batches of product(graph): the one loop over data. Sums; whoever calls divides by N, once."""
        return self._surviving(lambda: self._sum_once(product))

    def each(self, product: Callable[[BatchGraph], Tensor]) -> list[Tensor]:
        """[product(graph) for every batch], in order."""
        return self._surviving(lambda: [product(graph) for graph in self])

    def _sum_once(self, product):
        total = None
        for graph in self:
            term = product(graph)
            total = term if total is None else total.add_(term)
        return total

    def _surviving(self, run):
        with numerics(self.network.device, self.precision):
            try:
                return run()
            except (RuntimeError, MemoryError) as error:
                if not (self.kept and is_out_of_memory(error)):
                    raise
            self.drop()
            warnings.warn(
                "out of memory: kept graphs dropped, every product now recomputes them", stacklevel=4
            )
            return run()

    def forget(self) -> None:
        """Forget every kept graph; the next product builds them again."""
        self.kept, self.kept_bytes = {}, 0

    def drop(self) -> None:
        """Forget every kept graph and keep none from now on."""
        self.forget()
        self.budget = 0
        if self.network.device.type == "cuda":
            torch.cuda.empty_cache()

    def __iter__(self) -> Iterator[BatchGraph]:
        start = 0
        for index, (x, y) in enumerate(self.sample):
            rows = slice(start, start + len(y))
            start = rows.stop
            yield self.kept.get(index) or self._build(index, x, y, rows)

    def _build(self, index: int, x: Tensor, y: Tensor, rows: slice) -> BatchGraph:
        room = self.budget - self.kept_bytes
        if self._bytes_per_example * len(y) > room or self.budget == 0:
            return BatchGraph.build(self.network, x, y, rows)
        saved = SavedBytes(besides=self.network.parameters)
        with saved:
            graph = BatchGraph.build(self.network, x, y, rows)
        size = saved.total + sum(g.nbytes for g in graph.gradient if g is not None)
        self._bytes_per_example = size / len(y)
        if size <= room:
            self.kept[index] = graph
            self.kept_bytes += size
        return graph
