"""The one door from a network to mathematics: L(θ) = (1/W) Σ ℓ(f(x; θ), y)."""

import functools
from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hspec import batch_norm as bn
from hspec.curvature import refusals
from hspec.curvature.data import Data, Forward
from hspec.curvature.engine.batch_graph import Objective
from hspec.curvature.engine.copying import unwrapped
from hspec.curvature.engine.gathered import whole
from hspec.curvature.engine.graphs import Graphs
from hspec.curvature.engine.memory import free_memory
from hspec.curvature.engine.network import Network, flat
from hspec.curvature.engine.precision import PRECISIONS, normal_tensors, numerics
from hspec.curvature.independence import keeps_examples_alone, keeps_examples_apart
from hspec.curvature.loss import Loss, as_loss
from hspec.curvature.passes import repeated_pass
from hspec.curvature.shares import refuse_padding
from hspec.curvature.survey import Totals
from hspec.distributed import ALONE, Alone, InStep, ranks_of


class Risk:
    """Average loss of a network on a sample, as a function of θ ∈ R^p. Build it with
    `Risk.from_module`.

    Attributes:
        num_parameters: p, real coordinates of θ; parameter_slices: {name: slice of θ}.
        num_examples: N, rows of the outputs' first dimension; num_rows: of `logits`, more than N
            where an example has several positions; num_terms: W, what the sum of losses is divided
            by (N for the cross-entropy of one label an example). Of several ranks, these are of all
            together.
        num_classes: C, the width of the outputs; labels: (N,) class indices, −1 for those that the
        loss ignores; None where there are none.
        dtype, device, precision, memory_budget (bytes for kept graphs).

    Source: P20, section 2.
    """

    def __init__(
        self,
        network: Network,
        data: Data,
        loss: Loss,
        *,
        couples: bool,
        precision: str,
        budget: int,
        check: bool,
        ranks: Alone = ALONE,
    ) -> None:
        self.network, self.data, self.loss_function, self.ranks = network, data, loss, ranks
        self.precision, self.check, self._couples = precision, check, couples
        self.coupled_by = ""  # the layer, once `independent` has found one
        self.num_parameters, self.parameter_slices = network.num_parameters, network.slices
        self.dtype, self.device = network.dtype, network.device
        data.needs_grad = loss.needs_graph
        if precision == "fast":  # by other kernels where a graph is recorded, on some CPUs
            data.rounding = torch.finfo(torch.bfloat16).eps
        objective = Objective(network, data, loss)
        self._survey(objective)
        self.memory_budget = min(ranks.gather(budget))
        self.graphs = Graphs(objective, self.memory_budget, precision, check, ranks)

    @classmethod
    @normal_tensors()
    def from_module(
        cls,
        module: nn.Module,
        batches: Iterable,
        num_classes: int | None = None,
        *,
        loss: nn.Module | Callable | None = None,
        forward: Forward | None = None,
        reduction: str | None = None,
        parameters: str | Iterable[str] | None = None,
        dtype: torch.dtype | str | None = None,
        batch_norm: str = "eval",
        precision: str = "exact",
        memory_budget: int | None = None,
        check: bool = True,
        group: "dist.ProcessGroup | None" = None,
    ) -> "Risk":
        """The risk of `module` on `batches`; the module is copied, never modified.

        Args:
            module: the network; DataParallel and torch.compile are looked through.
            batches: a sequence of batches, or a DataLoader: pairs (x, y), an example in each row,
                or whatever `forward` takes. They are moved to the module's device; the last may be
                shorter.
            num_classes: C, checked against the logits; None to read it off them.
            loss: nn.CrossEntropyLoss() (the default, with its weights, ignored labels, smoothing,
                soft targets), nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.NLLLoss(), or a function
                (outputs, targets) ↦ one loss an example, or their mean or sum. What is averaged
                over is PyTorch's own convention: L equals loss(outputs, targets) on the whole
                sample.
            forward: (module, batch) ↦ (outputs, targets); by default module(x) and y. For several
                inputs, dicts, structured outputs: lambda m, b: (m(**b).logits, b["labels"]).
            reduction: "mean" or "sum", of a function that gives one number; or of any loss.
            parameters: names, prefixes ("layer1"), globs ("*lora_A*") or the parameters themselves,
                of those that make up θ; None for all trainable ones.
            dtype: torch.float64 or torch.float32 to compute in; None for the module's own.
            batch_norm: "eval" (running statistics), "batch" (each batch's own, differentiated
                through) or "population" (the whole sample's at θ, constants): see
                `hspec.batch_norm`.
            precision: "exact", or "fast" for TF32 products: for densities only.
            memory_budget: bytes that graphs kept between products may take; None for a third of
                what is free.
            check: before the first product, compare derivatives with differences on a few examples
                (see `checks`). False leaves that out.
            group: processes that each have a share of the batches, such as dist.group.WORLD (see
                `shard`). The risk is that of all shares together, the same on every rank, which all
                must make and use alike; `logits` and `labels` are of the rank's own share. A share
                may be empty. None for one process. Weights may be cut up between the ranks too, by
                `hspec.curvature.sharded.shard_weights`; shares then have one number of batches.

        Raises:
            ValueError: saying what is wrong and what to do, for dropout or batch normalisation in
                training mode, parameters that match nothing, mixed devices or dtypes, non-finite
                weights, inputs or outputs, empty batches, targets that do not fit the loss, data,
                outputs or losses that change between two passes, means of batches that make no mean
                of the sample; at the first product, for derivatives that differences contradict,
                and for a `forward`, a hook or a loss that names `module` itself, of which a copy is
                differentiated; at any product, for batches that were written into.
                With a group: what one rank finds wrong, on all; ranks with other weights or
                settings.
            TypeError: for arguments that are no module, no batches, no loss, no group.
            ConnectionError: for ranks that have ended or do not answer.

        Example:
            >>> net = nn.Sequential(nn.Linear(4, 3)).eval()
            >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1]))])
            >>> risk.num_parameters, risk.num_examples, risk.num_classes
            (15, 5, 3)
        """
        ranks = ranks_of(group)
        state = ranks.gather(torch.get_rng_state())[0]  # loaders that shuffle by it do so alike
        with ranks.agreed():
            num_classes = refusals.number_of_classes(num_classes)
            refusals.check_batches(batches)
            if group is not None:
                refuse_padding(batches)
            if precision not in PRECISIONS:
                choices = ", ".join(map(repr, PRECISIONS))
                raise ValueError(f"precision={precision!r} is unknown: choose one of {choices}")
            loss = as_loss(loss, reduction)
            network = Network(module, parameters, dtype)
            refusals.other_ranks(network, ranks)
            module = unwrapped(module)
            refusals.refuse_dropout(module)
            bn.refuse_wrong_state(module, batch_norm)
            data = Data(batches, forward, network.dtype, network.device, state)
            budget = (
                free_memory(network.device) // 3 if memory_budget is None else int(memory_budget)
            )
            budget -= data.read_in(
                budget // 2, functools.partial(_inspect, data, dtype is not None)
            )
        if network.gather is not None:
            ranks = InStep(group)
            refusals.unequal_numbers(ranks, data.num_read)
        if batch_norm == "batch":
            bn.use_batch_statistics(network.module)
        elif batch_norm == "population":
            with numerics(network.device, precision):
                bn.set_population_statistics(
                    network.module, lambda: _evaluations(network, data), ranks
                )
            bn.use_running_statistics(network.module)
        _refuse_different_ranks(ranks, network, (loss.name, batch_norm, precision, check))
        couples = batch_norm == "batch" and bool(bn.batch_norm_layers(network.module))
        risk = cls(
            network,
            data,
            loss,
            couples=couples,
            precision=precision,
            budget=budget,
            check=check,
            ranks=ranks,
        )
        with ranks.agreed():
            risk._check_width(num_classes)
        return risk

    def __repr__(self) -> str:
        facts = [f"p={self.num_parameters}", f"N={self.num_examples}", f"C={self.num_classes}"]
        loss = "" if self.loss_function.plain else f", {self.loss_function.name}"
        plan = self.graphs.plan
        note = "" if plan is None or not plan.note else f", {plan.note}"
        note += f", examples coupled by {self.coupled_by}" if self.coupled_by else ""
        return f"Risk({', '.join(facts)}{loss}, {self.graphs}{note})"

    @property
    def checks(self) -> dict[str, str]:
        """What each derivative was compared with, and how well it agrees; made now if it has not
        been.

        Keys are "first" (of the loss in θ), "jacobian" (of the outputs) and "second" (of the loss).
        """
        return dict(self.graphs.planned().checks)

    @property
    def theta(self) -> Tensor:
        """θ (p,), a copy."""
        return flat([whole(q.detach()) for q in self.network.parameters])

    def logits(self) -> Tensor:
        """f(x_n; θ) (N, C), in the order of the sample; a row for each position where there are
        several.

        Of several ranks, each has the rows of its own share.
        """
        return self._outputs

    def loss(self) -> float:
        """L(θ), in nats for cross-entropies."""
        return self._totals.loss / self.num_terms

    def error_rate(self) -> float:
        """Share of examples whose largest logit is not that of their label; those whose label the
        loss ignores do not count.

        Raises ValueError where examples have no labels.
        """
        if self._totals.errors is None:
            raise ValueError(
                f"there is no error rate for {self.loss_function.name}: it knows no classes"
            )
        if not self._totals.num_labels:
            raise ValueError("there is no error rate: every label is ignored")
        return self._totals.errors / self._totals.num_labels

    def gradient(self) -> Tensor:
        """∇L(θ) (p,)."""
        found = self.graphs.sum(lambda graph: graph.loss_gradient(), (1, self.num_parameters))
        return found[0] / self.num_terms

    @functools.cached_property
    def independent(self) -> bool:
        """Whether an example's logits depend on it alone, which is found out, not assumed.

        Half of the first batch, and then the examples sorted by class, must have the logits that
        they have in their batches; half of the first batch also at a θ nearby, since a zero head
        hides it. False where there are no labels to sort by, no (x, y) to sort, inputs of several
        shapes, or weights that are cut up between ranks.
        """
        if self._couples or not self.data.is_paired or not self.is_labelled:
            return False
        if self.ranks.in_step:  # they have different classes to sort
            return False
        with self.ranks.agreed(), self.graphs.lock, self.graphs.numerics:
            mine, self.coupled_by = keeps_examples_apart(self.graphs.objective, self.labels)
        return all(self.ranks.gather(mine))

    @property
    def is_labelled(self) -> bool:
        """Whether every example has a label that is not ignored, on all ranks."""
        return self._totals.num_labels == self.num_examples

    @property
    def is_convex(self) -> bool:
        """Whether every loss is convex in the outputs, with its weights and targets, so that G has
        no negative eigenvalue.
        """
        return self._totals.convex

    @property
    def num_ignored(self) -> int:
        """Examples whose one label the loss ignores, on all ranks."""
        known = self._totals.num_labels is not None and self.num_rows == self.num_examples
        return self.num_examples - self._totals.num_labels if known else 0

    @functools.cached_property
    def keeps_examples_alone(self) -> bool:
        """Whether every example, given to the module by itself,
        has the outputs that it has in its batch.
        """
        with self.graphs.lock, self.graphs.numerics:
            return keeps_examples_alone(self.graphs.objective)

    @functools.cached_property
    def _outputs(self) -> Tensor:
        with self.graphs.lock, self.graphs.numerics, self.data.without_graph():
            rows = [torch.empty(0, self.num_classes, dtype=self.dtype, device=self.device)]
            for batch in self.data:
                f, _ = self.loss_function.at(
                    *self.data.evaluate(self.network.module, batch), batch.where
                )
                rows.append(f.detach())
            return torch.cat(rows)

    def _survey(self, objective: Objective) -> None:
        """Go through the sample twice: W, N, the labels, the sum of losses;
        and whether it repeats itself.
        """
        with self.ranks.agreed():
            survey = repeated_pass(objective, self.precision, self.ranks)
        totals = Totals.together(self.ranks.gather(survey.totals()))
        if survey.means is not None:
            examples = self.ranks.gather(survey.means.example)
            with self.ranks.agreed():
                survey.means.refuse_between_ranks(examples)
        if not totals.weight and getattr(self.loss_function, "mean", None) is True:
            raise ValueError("every target is ignored: the sample is empty")
        self._totals, self.num_terms = totals, totals.weight or 1.0
        self.num_examples, self.num_classes = totals.num_examples, totals.width
        self.num_rows = totals.num_rows
        self.labels = None if totals.num_labels is None else survey.labels.to(self.device)

    def _check_width(self, num_classes: int | None) -> None:
        if self.data.ends and num_classes not in (None, self.num_classes):
            n = self.data.ends[0]
            raise ValueError(
                f"batch 0: the module gives ({n}, {self.num_classes}), where logits of shape ({n}, "
                f"{num_classes}) "
                "are needed: is num_classes right?"
            )


def has_classes(risk: Risk) -> bool:
    """Whether the loss is the mean cross-entropy of one class index an example, none of them
    ignored, so that there are classes to take means over.
    """
    return risk.loss_function.plain and risk.is_labelled


def _inspect(data: Data, converts: bool, where: str, content: object) -> None:
    if data.is_paired:
        refusals.check_pair(where, content)
    refusals.check_numbers(where, content, data.dtype, converts or not data.is_paired)


def _refuse_different_ranks(ranks: Alone, network: Network, settings: tuple) -> None:
    """Raise ValueError, on all ranks, where one would compute another matrix than rank 0."""
    ranks.same(
        "settings",
        lambda: (*settings, str(network.dtype), *network.slices),
        "call Risk.from_module with the same arguments on all",
    )
    ranks.same(
        "weights",
        network.checksum,
        "load one checkpoint on all, or send rank 0's, dist.broadcast(t, 0) for t in "
        "net.state_dict().values()",
    )


def _evaluations(network: Network, data: Data):
    """One evaluation of the network a batch, not made yet."""
    for batch in data:
        yield functools.partial(data.evaluate, network.module, data.lent(batch))
