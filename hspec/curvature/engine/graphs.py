"""Products with the Hessian's parts: first-order graphs, kept between products as far as memory allows.

One graph a batch serves every matrix. It holds the outputs f, z = ∂ℓ/∂f as a function of f, and
g = Jᵀz with its own graph:

    ∂⟨g, v⟩/∂θ = Hess v          with the derivative passing through z(f)
               = H v             with that passage switched off
    ∂⟨g, v⟩/∂z = J v             and Jᵀ u = ∂⟨f, u⟩/∂θ, so G v = Jᵀ M J v

All are reverse over reverse (never reverse over forward, which is wrong with batch normalisation in
training mode).
"""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hspec.curvature.data import Batch, Data
from hspec.curvature.engine.layers import RUNGS
from hspec.curvature.engine.memory import is_out_of_memory
from hspec.curvature.engine.network import Network, coordinates, num_coordinates
from hspec.curvature.engine.precision import numerics
from hspec.curvature.engine.switches import Switches
from hspec.curvature.loss import Loss, Terms, WholeTerms

MAX_BLOCK = 16  # vectors in one sweep: bounds the memory of a sweep to this many times that of one
Rung = type  # one of RUNGS


class _OutputGradient(torch.autograd.Function):
    """f ↦ z = ∂ℓ/∂f, with its exact derivative M and a switch on it."""

    @staticmethod
    def forward(ctx, f, terms, switches):
        ctx.terms, ctx.switches = terms, switches
        return terms.residual()

    @staticmethod
    def backward(ctx, t):
        return (ctx.terms.middle(t) if ctx.switches.through_loss else None), None, None


@dataclass(frozen=True)
class BatchGraph:
    """The first-order graph of the summed (not averaged) loss of one batch."""

    rows: slice  # of the sample's positions
    network: Network
    outputs: Tensor  # f (m, C)
    terms: Terms
    z: Tensor | None  # (m, C); None where the loss is no function of the outputs
    switches: Switches
    gradient: tuple[Tensor | None, ...]  # g, by parameter; None where the loss does not depend on it
    wrong: dict[str, str]  # derivatives that were found wrong, and why; see `trial`

    @classmethod
    def build(
        cls,
        network: Network,
        data: Data,
        batch: Batch,
        loss: Loss,
        rung: Rung = RUNGS[0],
        wrong: dict[str, str] | None = None,
    ) -> "BatchGraph":
        """Forward and backward once, recording both.

        Raises ValueError where the outputs do not depend on the chosen parameters.
        """
        switches, parameters = Switches(), network.parameters
        with torch.enable_grad(), rung(switches):
            outputs, targets = data.evaluate(network.module, batch)
            f, terms = loss.at(outputs, targets, batch.where)
            if not f.requires_grad:
                raise ValueError(
                    "the outputs do not depend on any of the chosen parameters "
                    f"({', '.join(network.slices)}): they are under torch.no_grad(), detached, or unused"
                )
            record = {"create_graph": True, "allow_unused": True}
            if isinstance(terms, WholeTerms):
                z, g = None, torch.autograd.grad(terms.total, parameters, **record)
            else:
                z = _OutputGradient.apply(f, terms, switches)
                g = torch.autograd.grad(f, parameters, z, **record)
        return cls(batch.rows, network, f, terms, z, switches, g, wrong or {})

    def hess(self, V: Tensor) -> Tensor:
        """Σ_n Hess_n V for rows V (k, p)."""
        self._refuse("second")
        return flat(self._differentiate(V, self.network.parameters), self.network.parameters, V)

    def residual(self, V: Tensor) -> Tensor:
        """Σ_n H_n V for rows V (k, p)."""
        self._refuse("second", "jacobian")
        with self.switches.off("through_loss"):
            found = self._differentiate(V, self.network.parameters)
        return flat(found, self.network.parameters, V)

    def split(self, V: Tensor) -> Tensor:
        """(Σ_n H_n V, Σ_n G_n V), in one sweep and one more: (k, 2, p)."""
        self._refuse("second", "jacobian", "first")
        with self.switches.off("through_loss"):
            *h, t = self._differentiate(V, [*self.network.parameters, self.z])
        h = flat(h, self.network.parameters, V)
        return torch.stack([h, self.jacobian_transpose(self.terms.middle(t))], 1)

    def gauss_newton(self, V: Tensor) -> Tensor:
        """Σ_n J_nᵀ M_n J_n V (k, p)."""
        return self.jacobian_transpose(self.terms.middle(self.jacobian(V)))

    def jacobian(self, V: Tensor) -> Tensor:
        """J V (k, m, C)."""
        self._refuse("jacobian")
        with self.switches.off("to_forward"):
            found = self._differentiate(V, [self.z])[0]
        return V.new_zeros(len(V), *self.z.shape) if found is None else found

    def jacobian_transpose(self, U: Tensor) -> Tensor:
        """Σ_n J_nᵀ U_n (k, p) for U (k, m, C)."""
        self._refuse("first")
        return pull_back(self.outputs, self.network.parameters, U, self.switches)

    def loss_gradient(self) -> Tensor:
        """g (1, p)."""
        self._refuse("first", whole=True)
        g = [None if t is None else t.detach()[None] for t in self.gradient]
        return flat(g, self.network.parameters, self.outputs.detach()[:1])

    def _refuse(self, *derivatives: str, whole: bool = False) -> None:
        for derivative in derivatives:
            if derivative in self.wrong:
                raise ValueError(self.wrong[derivative])
        if self.z is None and not whole and derivatives != ("second",):
            raise ValueError(
                "the loss is no function of the outputs alone (it differentiates the net, or uses its "
                "parameters), so Hess is not a sum of G and H: use hessian(risk)"
            )

    def _differentiate(self, V: Tensor, inputs: list[Tensor]) -> list[Tensor | None]:
        used = [i for i, g in enumerate(self.gradient) if g is not None and g.requires_grad]
        if not used:
            return [None] * len(inputs)
        pieces = self.network.unflatten(V)
        outputs, cotangents = [self.gradient[i] for i in used], [pieces[i] for i in used]
        return _grad(outputs, inputs, cotangents, self.switches)


def pull_back(
    outputs: Tensor, parameters: list[Tensor], U: Tensor, switches: Switches, out: Tensor | None = None
) -> Tensor:
    """Σ_n J_nᵀ U_n (k, p) for U (k, m, C), p the size of `parameters`; `outputs` (m, C) with their graph."""
    return flat(_grad([outputs], parameters, [U], switches), parameters, U, out)


def flat(
    pieces: list[Tensor | None], parameters: list[Tensor], like: Tensor, out: Tensor | None = None
) -> Tensor:
    """One row for each of k cotangents, in `out` where it is given; zeros for parameters not reached."""
    k = len(like)
    rows = [
        like.new_zeros(k, num_coordinates(q)) if piece is None else coordinates(piece, 1)
        for piece, q in zip(pieces, parameters, strict=True)
    ]
    return torch.cat(rows, 1, out=out)


def _grad(outputs, inputs, cotangents, switches: Switches) -> list[Tensor | None]:
    """autograd.grad for k cotangents at once, stacked along a leading dimension of k."""
    if len(cotangents[0]) > 1:
        options = {"retain_graph": True, "allow_unused": True, "is_grads_batched": True}
        cotangents = [c.contiguous() for c in cotangents]  # only whole blocks fold into one product
        with switches.off("single"):
            return list(torch.autograd.grad(outputs, inputs, cotangents, **options))
    single = [c[0] for c in cotangents]
    found = torch.autograd.grad(outputs, inputs, single, retain_graph=True, allow_unused=True)
    return [None if t is None else t[None] for t in found]


class Graphs:
    """The graphs of all batches: built when first met, kept while they fit in `budget` bytes, else built again.

    `plan` (see `trial`) is made before the first graph: which layers, in blocks of how many vectors,
    how many bytes. One thread at a time: a graph's switches and memory are its own.
    """

    def __init__(
        self, network: Network, data: Data, loss: Loss, budget: int, precision: str, make_plan
    ) -> None:
        self.network, self.data, self.loss = network, data, loss
        self.budget, self.precision, self.make_plan = budget, precision, make_plan
        self.plan = None
        self.forget()
        self.verified: set[int] = set()
        self.lock = threading.RLock()

    def __str__(self) -> str:
        return f"{len(self.kept)} of {self.data.num_batches} graphs kept"

    def __getstate__(self) -> dict:
        """Without the graphs, which hold memory of this process; a copy builds its own."""
        return self.__dict__ | {"kept": {}, "kept_bytes": 0, "lock": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.lock = threading.RLock()

    def apply(self, product: Callable[[BatchGraph, Tensor], Tensor], V: Tensor) -> Tensor:
        """Σ over batches of product(graph, V) (k, …) for rows V (k, …): the one loop over data.

        Sums; whoever calls divides by W, once.
        """
        return self._guarded(lambda: self._sum(product, V))

    def each(self, product: Callable[[BatchGraph], Tensor]) -> list[Tensor]:
        """[product(graph) for every batch], in order."""
        return self._guarded(lambda: [product(graph) for graph in self])

    def sum(self, product: Callable[[BatchGraph], Tensor]) -> Tensor:
        """Σ over batches of product(graph)."""
        return self.apply(lambda graph, _: product(graph), None)

    def in_blocks(self, product: Callable[[Tensor], Tensor], V: Tensor) -> Tensor:
        """product over V's rows, cut into blocks of `plan.block`, concatenated again."""
        size = self.plan.block
        if len(V) <= size:
            return product(V)
        return torch.cat([product(block) for block in V.split(size)])

    def _sum(self, product, V):
        total = None
        for graph in self:
            if V is None or len(V) <= self.plan.block:
                term = product(graph, V)
            else:
                term = torch.cat([product(graph, block) for block in V.split(self.plan.block)])
            total = term if total is None else total.add_(term)
        return total

    def _guarded(self, run):
        with self.lock, self.numerics():
            try:
                return run()
            except (RuntimeError, MemoryError) as error:
                if not (self.kept and is_out_of_memory(error)):
                    raise
            self.drop()
            warnings.warn(
                "out of memory: kept graphs dropped, every product now recomputes them", stacklevel=5
            )
            return run()

    def numerics(self) -> contextlib.AbstractContextManager:
        """The process-wide settings that products are computed under."""
        network = self.network
        return numerics(network.device, self.precision, recurrent=network.recurrent)

    def forget(self) -> None:
        """Forget every kept graph; the next product builds them again."""
        self.kept: dict[int, BatchGraph] = {}
        self.kept_bytes = 0

    def drop(self) -> None:
        """Forget every kept graph and keep none from now on."""
        self.forget()
        self.budget = 0
        if self.network.device.type == "cuda":
            torch.cuda.empty_cache()

    def __iter__(self) -> Iterator[BatchGraph]:
        self.planned()
        if len(self.kept) == self.data.num_batches:
            yield from self.kept.values()
            return
        for batch in self.data:
            yield self.kept.get(batch.index) or self._build(batch)

    def planned(self):
        """The plan, made now if there is none."""
        if self.plan is None:
            self.plan = self.make_plan()
        return self.plan

    def build(self, batch: Batch) -> BatchGraph:
        """A graph of any batch, by the plan; not kept."""
        plan = self.planned()
        return BatchGraph.build(self.network, self.data, batch, self.loss, plan.rung, plan.wrong)

    def forward(self, x: Tensor) -> tuple[Tensor, Switches]:
        """(the network's outputs on x with their graph, its switches): for sums of Jᵀu only."""
        switches = Switches()
        with torch.enable_grad(), self.planned().rung(switches):
            return self.network.module(x), switches

    def _build(self, batch: Batch) -> BatchGraph:
        graph = self.build(batch)
        if batch.index not in self.verified:
            self.data.verify(batch, graph.outputs)
            self.verified.add(batch.index)
        size = self.plan.num_bytes(batch)
        if self.budget and size <= self.budget - self.kept_bytes:
            self.kept[batch.index] = graph
            self.kept_bytes += size
        return graph
