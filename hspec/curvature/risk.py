"""The one door from a network to mathematics: L(θ) = (1/N) Σ_n ℓ(f(x_n; θ), y_n), ℓ the cross-entropy."""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hspec.curvature import batch_norm as bn
from hspec.curvature import validation
from hspec.curvature.blocks import Blocks
from hspec.curvature.memory import free_memory
from hspec.curvature.network import Network
from hspec.curvature.precision import PRECISIONS, normal_tensors, numerics
from hspec.curvature.products import Graphs


class Sample:
    """The batches, gone through in their fixed order, inputs in the network's dtype and labels as int64."""

    def __init__(self, batches: Iterable, dtype: torch.dtype):
        self.batches, self.dtype, self.num_batches = batches, dtype, 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in self.batches:
            # A tensor made in inference mode cannot be part of a graph; its copy can.
            x, y = (t.clone() if t.is_inference() else t for t in (x, y))
            yield (x.to(self.dtype) if x.is_floating_point() else x), y.long()

    def of_class(self, c: int) -> Iterator[Tensor]:
        """The inputs of class c in their order, gathered into batches as large as the sample's largest."""
        waiting, count, size = [], 0, 0
        for x, y in self:
            waiting.append(x[y == c])
            count, size = count + len(waiting[-1]), max(size, len(y))
            if count >= size:
                gathered = torch.cat(waiting)
                yield gathered[:size]
                waiting, count = [gathered[size:]], count - size
        if count:
            yield torch.cat(waiting)


class Risk:
    """Average cross-entropy of a network on a sample, as a function of θ ∈ R^p. Build it with `Risk.from_module`.

    Attributes: num_parameters p, num_examples N, num_classes C, dtype, device, labels (N,),
    parameter_slices {name: slice of θ}, precision, memory_budget (bytes for kept graphs).

    Source: P20, section 2.
    """

    def __init__(
        self, network: Network, sample: Sample, num_classes: int, *, independent: bool, precision: str, budget
    ):
        self.network, self.sample, self.num_classes = network, sample, num_classes
        self.independent = independent  # whether an example's logits depend on that example alone
        self.precision = precision
        self.num_parameters, self.parameter_slices = network.num_parameters, network.slices
        self.dtype, self.device = network.dtype, network.device
        self._logits, self.labels = self._checked_logits()
        self.num_examples = len(self.labels)
        self.memory_budget = free_memory(self.device) // 3 if budget is None else int(budget)
        self.graphs = Graphs(network, sample, self.memory_budget, precision)
        self.blocks = Blocks(network.parameters)

    @classmethod
    @normal_tensors()
    def from_module(
        cls,
        module: nn.Module,
        batches: Iterable[tuple[Tensor, Tensor]],
        num_classes: int,
        *,
        parameters: str | Iterable[str] | None = None,
        dtype: torch.dtype | None = None,
        batch_norm: str = "eval",
        precision: str = "exact",
        memory_budget: int | None = None,
    ) -> "Risk":
        """The risk of `module` on `batches`; the module is copied, never modified.

        batches: a sequence of (x, y), x (n, ...) and y (n,) class indices; the last may be shorter.
        parameters: names or prefixes ("layer1") of those that make up θ; None for all trainable ones.
        dtype: torch.float64 or torch.float32 to compute in; None for the module's own.
        batch_norm: "eval" (running statistics), "batch" (each batch's own, differentiated through) or
            "population" (the whole sample's at θ, constants): see `hspec.curvature.batch_norm`.
        precision: "exact", or "fast" for TF32 products: for densities only, refused where digits matter.
        memory_budget: bytes that graphs kept between products may take; None for a third of what is free.

        Raises ValueError, saying what is wrong and what to do, for: dropout or batch normalisation in training mode,
        parameters that match nothing, mixed devices or dtypes, non-finite weights, inputs or logits, empty batches,
        labels out of range or not integers, logits of the wrong width, data or outputs that change between two passes.
        """
        validation.check_num_classes(num_classes)
        validation.check_batches(batches)
        if precision not in PRECISIONS:
            raise ValueError(
                f"precision={precision!r} is unknown: choose one of {', '.join(map(repr, PRECISIONS))}"
            )
        validation.refuse_dropout(module)
        bn.refuse_wrong_state(module, batch_norm)
        network = Network(module, parameters, dtype)
        sample = Sample(batches, network.dtype)
        for index, (x, y) in enumerate(batches):
            facts = {"num_classes": num_classes, "dtype": network.dtype, "device": network.device}
            validation.check_batch(index, x, y, converts=dtype is not None, **facts)
            sample.num_batches = index + 1
        if not sample.num_batches:
            raise ValueError("there are no batches: the sample is empty")
        if batch_norm == "batch":
            bn.use_batch_statistics(network.module)
        elif batch_norm == "population":
            with numerics(network.device, precision):
                bn.use_population_statistics(network.module, lambda: (x for x, _ in sample))
        couples = batch_norm == "batch" and bool(bn.batch_norm_layers(network.module))
        return cls(
            network, sample, num_classes, independent=not couples, precision=precision, budget=memory_budget
        )

    def __repr__(self) -> str:
        parts = [
            f"p={self.num_parameters}",
            f"N={self.num_examples}",
            f"C={self.num_classes}",
            str(self.graphs),
        ]
        return f"Risk({', '.join(parts)}{', ' if self.blocks.sizes else ''}{self.blocks})"

    @property
    def theta(self) -> Tensor:
        """θ (p,), a copy."""
        return torch.cat([p.detach().reshape(-1) for p in self.network.parameters])

    def logits(self) -> Tensor:
        """f(x_n; θ) (N, C), in the order of the sample."""
        return self._logits

    def loss(self) -> float:
        """L(θ), in nats per example."""
        return float(F.cross_entropy(self._logits.double(), self.labels))

    def error_rate(self) -> float:
        """Share of examples whose largest logit is not that of their label."""
        return float((self._logits.argmax(1) != self.labels).double().mean())

    def gradient(self) -> Tensor:
        """∇L(θ) (p,)."""
        return (
            self.graphs.sum(lambda graph: graph.jacobian_transpose(graph.z.detach()[None]))[0]
            / self.num_examples
        )

    def _checked_logits(self) -> tuple[Tensor, Tensor]:
        first, second = self._pass(), self._pass()
        validation.check_repeatable(first, second)
        return first

    @torch.no_grad()
    def _pass(self) -> tuple[Tensor, Tensor]:
        logits, labels = [], []
        with numerics(self.device, self.precision):
            for index, (x, y) in enumerate(self.sample):
                logits.append(self.network(x))
                labels.append(y)
                validation.check_logits(index, logits[-1], len(y), self.num_classes)
        return torch.cat(logits), torch.cat(labels)
