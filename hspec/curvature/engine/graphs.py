"""The graphs of all batches, kept between products as far as memory allows;
the one loop over data.
"""

import functools
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hspec.curvature.data import VERSION, Batch
from hspec.curvature.engine.batch_graph import BatchGraph, Objective
from hspec.curvature.engine.leaves import refuse_the_originals
from hspec.curvature.engine.memory import is_out_of_memory
from hspec.curvature.engine.precision import numerics
from hspec.curvature.engine.sizes import block_size
from hspec.curvature.engine.switches import Switches
from hspec.curvature.engine.trial import Plan, make_plan, make_plan_together, united
from hspec.distributed import ALONE, Alone


class Graphs:
    """The graphs of all batches: built when first met, kept while they fit in `budget` bytes, else
    built again.

    `plan` (see `trial`) is made before the first graph: which layers, how many bytes. One thread at
    a time: a graph's switches and memory are its own.
    """

    def __init__(
        self, objective: Objective, budget: int, precision: str, check: bool, ranks: Alone = ALONE
    ) -> None:
        self.objective, self.network, self.data = objective, objective.network, objective.data
        self.precision, self.check, self.ranks = precision, check, ranks
        self.budget = 0 if ranks.in_step else budget  # where all keep or build the same graphs
        self.plan: Plan | None = None
        self.forget()
        self.verified: set[int] = set()
        self.unused = set(self.network.slices)  # parameters that no batch was found to depend on
        self._settle()

    def _settle(self) -> None:
        """What belongs to this process: a lock, and the settings that products are made under."""
        network = self.network
        self.lock = threading.RLock()
        self.numerics = numerics(network.device, self.precision, recurrent=network.recurrent)

    def __str__(self) -> str:
        return f"{len(self.kept)} of {self.data.num_batches} graphs kept{self.ranks}"

    def __getstate__(self) -> dict:
        """Without the graphs, which hold memory of this process; a copy builds its own."""
        return self.__dict__ | {"kept": {}, "kept_bytes": 0, "lock": None, "numerics": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._settle()

    def apply(
        self,
        product: Callable[[BatchGraph, Tensor], Tensor],
        V: Tensor,
        shape: Sequence[int] | None = None,
    ) -> Tensor:
        """Σ over batches, of all ranks, of product(graph, V) (k, …) for rows V (k, …): the one loop
        over data.

        shape: of the result where it is not that of V. Sums; whoever calls divides by W, once.
        """
        if self.plan is None:
            self.planned()
        local = functools.partial(self._guarded, functools.partial(self._sum, product, V))
        return self.ranks.total(local, shape or V.shape, V)

    def each(self, product: Callable[[BatchGraph], Tensor]) -> list[Tensor]:
        """[product(graph) for every batch], in order; of several ranks,
        for this one's own batches.
        """
        self.planned()
        with self.ranks.agreed():
            return self._guarded(lambda: [product(graph) for graph in self])

    def sum(self, product: Callable[[BatchGraph], Tensor], shape: Sequence[int]) -> Tensor:
        """Σ over batches, of all ranks, of product(graph), of a shape known beforehand."""
        nothing = torch.zeros(1, dtype=self.network.dtype, device=self.network.device)
        return self.apply(lambda graph, _: product(graph), nothing, shape)

    def sum_pieces(
        self, product: Callable[[BatchGraph], list[Tensor | None]]
    ) -> list[Tensor | None]:
        """Σ over batches of products in pieces by parameter, which are summed over ranks already
        where weights are cut up between them, and left as they are where not.
        """

        def added(a: Tensor | None, b: Tensor | None) -> Tensor | None:
            return b if a is None else a if b is None else a + b

        def run() -> list[Tensor | None]:
            total: list[Tensor | None] = [None] * len(self.network.parameters)
            for graph in self:
                total = list(map(added, total, product(graph)))
            return total

        self.planned()
        with self.ranks.agreed():
            return self._guarded(run)

    def in_blocks(self, product: Callable[[Tensor], Tensor], V: Tensor) -> Tensor:
        """product over V's rows, cut into blocks of `block`, concatenated again."""
        if len(V) <= self.block:
            return product(V)
        return torch.cat([product(block) for block in V.split(self.block)])

    def _sum(self, product, V):
        total = None
        for graph in self:
            if len(V) == 1:
                term = product(graph, V)
            else:
                term = self.in_blocks(functools.partial(product, graph), V)
            total = term if total is None else total.add_(term)
        return total

    def _guarded(self, run):
        with self.lock, self.numerics:
            try:
                return run()
            except (RuntimeError, MemoryError) as error:
                if not (self.kept and is_out_of_memory(error)):
                    raise
            self.drop()
            warnings.warn(
                "out of memory: kept graphs dropped, every product now recomputes them",
                stacklevel=6,
            )
            return run()

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
        if len(self.kept) == len(self.data.ends):
            if list(map(VERSION, self.data.watched)) != self.data.versions:
                self.data.refuse_written()
            return iter(self.kept.values())
        return (self.kept.get(batch.index) or self._build(batch) for batch in self.data)

    def planned(self) -> Plan:
        """The plan, made now if there is none."""
        if self.plan is None:
            with self.lock, self.numerics:
                with self.ranks.agreed():
                    if self.ranks.in_step:
                        mine = make_plan_together(self.objective, self.check, self.ranks)
                    else:
                        there_are = self.data.num_batches
                        mine = make_plan(self.objective, self.check) if there_are else None
                self.plan = united(mine, self.ranks.gather(mine))
        return self.plan

    @property
    def block(self) -> int:
        """How many vectors a sweep takes; tried when it is first asked for."""
        plan = self.planned()
        if plan.block is None and self.data.num_batches:
            with self.lock, self.numerics:
                block = 1 if plan.wrong else block_size(self.objective, plan.rung)
            self.plan = plan = replace(plan, block=block)
        return plan.block or 1

    def build(self, batch: Batch) -> BatchGraph:
        """A graph of any batch, by the plan; not kept."""
        plan = self.planned()
        return BatchGraph.build(self.objective, batch, plan.rung, plan.wrong)

    def forward(self, x: Tensor) -> tuple[Tensor, Switches]:
        """(the network's outputs on x with their graph, its switches): for sums of Jᵀu only.

        Raises ValueError where the first derivative was found wrong.
        """
        plan, switches = self.planned(), Switches()
        if "first" in plan.wrong:
            raise ValueError(plan.wrong["first"])
        with torch.enable_grad(), plan.rung(switches):
            return self.network.module(self.data.given(x)), switches

    def _look_for_unused(self, graph: BatchGraph) -> None:
        """Warn, once all batches have been met, of parameters that none of them depends on."""
        used = {
            name
            for name, g in zip(self.network.slices, graph.gradient, strict=True)
            if g is not None
        }
        self.unused -= used
        if self.unused and len(self.verified) == self.data.num_batches and self.ranks.size == 1:
            names = [name for name in self.network.slices if name in self.unused]
            warnings.warn(
                f"the loss does not depend on {', '.join(map(repr, names[:3]))}"
                f"{f' and {len(names) - 3} more' if len(names) > 3 else ''}: their rows and "
                "columns of every matrix are zero. Where the module computes something of them "
                "outside of its forward pass, as in train() or eval(), their share is lost: "
                "compute it in forward. Else leave them out by parameters=…",
                RuntimeWarning,
                stacklevel=7,
            )

    def _build(self, batch: Batch) -> BatchGraph:
        graph = self.build(batch)
        new = batch.index not in self.verified
        if new or self.network.device.type == "cpu":  # where NumPy may have written into a batch
            self.data.verify(batch, graph.outputs)
        if new:
            refuse_the_originals(self.network, batch.where, graph.roots)
            self.verified.add(batch.index)
            self._look_for_unused(graph)
        size = self.plan.num_bytes(batch)
        if self.budget and size <= self.budget - self.kept_bytes:
            self.kept[batch.index] = graph
            self.kept_bytes += size
        return graph
