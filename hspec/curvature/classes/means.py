"""The class and cross-class means of the network's sensitivities: g_{c,c'} and g_c, δ_{c,c'} and
δ_c.

With g_{n,c'} = J_nᵀ (e_{c'} − p_n), every mean is a weighted sum over the examples of one class,

    v_{c,c'} = Σ_{n of class c} κ_{n,c'} g_{n,c'},        v_c = Σ_{c'≠c} ρ_{c,c'} v_{c,c'},

and only the weights differ between the papers (see `levels`). W_{c,c'} is the weight of a mean:

             κ_{n,c'}              W_{c,c'}                   v
    2020     p_{n,c'} / p_{c,c'}    p_{c,c'} = Σ_n p_{n,c'}    g_{c,c'}, g_c     weighted: P18a, P20
    2019     √p_{n,c'} / N_c       N_c                        δ_{c,c'}, δ_c     unweighted: P19

A class without examples has no row in any table and costs nothing: K of the C classes are present.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from hspec.curvature.classes.levels import BETWEEN, WEIGHTINGS, Levels
from hspec.curvature.classes.rows import block_size
from hspec.curvature.classes.streamed_gram import bytes_of, num_coordinates_of, streamed_gram
from hspec.curvature.engine.batch_graph import pull_back
from hspec.curvature.engine.memory import ask, gib
from hspec.curvature.engine.precision import normal_tensors
from hspec.curvature.engine.sizes import WORK
from hspec.curvature.engine.switches import Switches
from hspec.curvature.refusals import refuse_sharded
from hspec.curvature.risk import Risk, has_classes
from hspec.curvature.softmax import Softmax
from hspec.linalg.autocast import without_autocast


class ClassMeans:
    """Means of g_{n,c'} over classes (see the module's docstring); made by `class_means` or
    `delta_means`.

    Attributes:
        classes: (K,) the classes present, ascending: what the rows below belong to; counts: (K,)
            N_c.
        weights: (K, C) W_{c,c'}; class_weights: (K,) W_c = Σ_{c'≠c} W_{c,c'}; own_weights: (K,)
            W_{c,c}.
        shares: (K, C) ρ_{c,c'}, 0 for c' = c. kappa: (N, C) κ.
        definition: "2020" or "2019". levels: the same as projections of tables (N, C).
    """

    def __init__(self, risk: Risk, definition: str) -> None:
        refuse_other_losses(risk)
        refuse_sharded(risk.ranks, "class and cross-class means")
        self.risk, self.definition = risk, definition
        self._tried: int | None = None  # vectors a sweep that were found right
        size = 6 * -(-risk.num_examples // risk.ranks.size) * risk.num_classes * risk.dtype.itemsize
        self._ask(size, f"tables of N={risk.num_examples} examples by C={risk.num_classes} labels")
        self.softmax = Softmax.of(risk.logits())
        self.levels = Levels.of(risk.labels, self.softmax.log_p, WEIGHTINGS[definition], risk.ranks)
        self.classes, self.counts = self.levels.classes, self.levels.counts
        self.weights, self.class_weights = self.levels.weights, self.levels.class_weights
        self.own_weights = self.levels.vector_weights("own")[:, 0]
        self.shares, self.kappa = self.levels.shares, self.levels.kappa

    def __repr__(self) -> str:
        risk, K = self.risk, len(self.classes)
        classes = f"C={risk.num_classes}" + (f", {K} present" if risk.num_classes > K else "")
        return (
            f"ClassMeans({self.definition}, p={risk.num_parameters}, N={risk.num_examples}, "
            f"{classes})"
        )

    def _ask(self, num_bytes: int, what: str) -> None:
        remedy = (
            "take fewer classes or examples, raise Risk.from_module(memory_budget=…), or give the "
            "operators to "
            "eigsh or slq, which need products only"
        )
        ask(num_bytes, self.risk.memory_budget, what, remedy)

    @functools.cached_property
    def class_vectors(self) -> Tensor:
        """g_c (K, p), by 2019's definition δ_c; MemoryError above the risk's memory budget."""
        return self.vectors("class").squeeze(1)

    @functools.cached_property
    def cross_class_vectors(self) -> Tensor:
        """g_{c,c'} (K, C, p), c first; by 2019's definition δ_{c,c'}.
        Raises MemoryError above the risk's memory budget.
        """
        return self.vectors(BETWEEN)

    def fits(self, num_vectors: int) -> bool:
        """Whether that many vectors of R^p fit in the risk's memory budget."""
        return num_vectors * bytes_of(self.risk.network.parameters) <= self.risk.memory_budget

    def num_gradients(self, level: str) -> int:
        """What `vectors(level)` costs: backward sweeps over the whole sample, after one forward
        pass.

        The data are sorted by class, so it is the number of vectors a class; where examples are
        coupled the batches stay together, and it is the number of all vectors.
        """
        K, m = self.levels.vector_weights(level).shape
        return m if self.risk.independent else K * m

    def num_products(self, level: str) -> float:
        """The same in products with G, by counting operations: (1 + 2m)/4 for m gradients.

        With F operations of a forward pass, a backward sweep takes 2F, a product with G on a kept
        graph 4F. In seconds on a CPU it was 1.3 to 2.8 times as much, since the graphs of classes
        are built anew.
        """
        return (1 + 2 * self.num_gradients(level)) / 4

    @without_autocast
    def vectors(self, level: str) -> Tensor:
        """The vectors u_{c,i} (K, m, p) of a level (see `Levels.combinations`).

        One backward sweep of m cotangents over each class: m gradients' worth in all. Raises
        MemoryError above the risk's memory budget.
        """
        K, m = self.levels.vector_weights(level).shape
        if not self.fits(K * m):
            raise MemoryError(
                f"{K * m} vectors of p={self.risk.num_parameters} need "
                f"{gib(K * m * bytes_of(self.risk.network.parameters))}, the budget is "
                f"{gib(self.risk.memory_budget)}: raise Risk.from_module(memory_budget=…), or use "
                "gram(), "
                "distances() and the streamed operators"
            )
        return self.vectors_of(range(K), level, self.risk.network.parameters)

    @normal_tensors()
    @without_autocast
    def vectors_of(
        self, rows: Sequence[int], level: str, parameters: list[Tensor] | None = None
    ) -> Tensor:
        """`vectors` for some of the classes present, on some of the parameters:
        (len(rows), m, p).
        """
        parameters = self.risk.network.parameters if parameters is None else parameters
        shape = (
            len(rows),
            self.levels.vector_weights(level).shape[1],
            num_coordinates_of(parameters),
        )
        self.risk.graphs.planned()
        self.risk.independent  # noqa: B018  # found out by all ranks, before each goes over its share
        local = functools.partial(self._vectors_here, rows, level, parameters, shape)
        return self.risk.ranks.total(local, shape, self.shares)

    def _vectors_here(
        self, rows: Sequence[int], level: str, parameters: list[Tensor], shape: tuple[int, int, int]
    ) -> Tensor:
        """The same, summed over this rank's share of the data."""
        result = self.shares.new_empty(shape)
        for place, row in zip(result, rows, strict=True):
            self._write_class(place, row, self.levels.combinations(level, row), parameters)
        return result

    def _write_class(
        self, place: Tensor, row: int, combinations: Tensor, parameters: list[Tensor]
    ) -> None:
        """place (m, p) = Σ_{n of the class} J_nᵀ Σ_{c'} combinations_{i,c'} κ_{n,c'}
        (e_{c'} − p_n).
        """
        # the first sweep over a class writes, the others add: a pass over C²p numbers less
        written = False
        with self.risk.graphs.lock, self.risk.graphs.numerics:
            for logits, members, switches in self._logits_of_class(row):
                size = self._vectors_a_sweep(logits, switches) if len(combinations) > 1 else 1
                kappa = self.kappa[members] * (self.levels.index[members] == row)[:, None]
                softmax = self.softmax[members]
                blocks = zip(combinations.split(size), place.split(size), strict=True)
                for coefficients, block in blocks:
                    cotangents = softmax.spread(coefficients[:, None] * kappa)
                    if written:
                        block += pull_back(logits, parameters, cotangents, switches)
                    else:
                        pull_back(logits, parameters, cotangents, switches, out=block)
                written = True
        if not written:  # another rank has the class's examples
            place.zero_()

    def _vectors_a_sweep(self, logits: Tensor, switches: Switches) -> int:
        """The engine's own block; a block too where one class is so much less than a batch
        that it pays.
        """
        network, planned = self.risk.network, self.risk.graphs.block
        on_cpu = logits.device.type == "cpu"
        work = len(logits) * network.num_parameters
        if (
            planned > 1
            or work > WORK.get(logits.device.type, WORK["cuda"])
            or (on_cpu and any(q.dim() > 2 for q in network.parameters))
        ):
            return planned
        if self._tried is None:
            generator = torch.Generator().manual_seed(0)
            U = torch.randn(2, *logits.shape, generator=generator, dtype=torch.float64).to(logits)
            self._tried = block_size(logits, network.parameters, U, switches)
        return self._tried

    def _logits_of_class(self, row: int) -> Iterator[tuple[Tensor, Tensor, Switches]]:
        """(logits with their graph, indices n of their rows, the graph's switches), covering a
        class.

        Where examples are coupled (by batch statistics, say), an example's logits mean something in
        its
        own batch only: whole batches of the fixed partition, other classes weighted by zero.
        """
        if not self.risk.independent:
            for graph in self.risk.graphs:
                rows = torch.arange(graph.rows.start, graph.rows.stop, device=self.risk.device)
                yield graph.outputs, rows, graph.switches
            return
        members = (self.levels.index == row).nonzero()[:, 0]
        for x in self.risk.data.of_class(int(self.classes[row])):
            rows, members = members[: len(x)], members[len(x) :]
            logits, switches = self.risk.graphs.forward(x)
            yield logits, rows, switches

    @without_autocast
    def gram(
        self, level: str = BETWEEN, callback: Callable[[int, int], None] | None = None
    ) -> Tensor:
        """Inner products of a level's vectors, float64 (K·m, K·m); by default of all g_{c,c'} (K·C,
        K·C).

        Streamed: never more vectors at a time than fit in the memory budget, however large C²p is
        (but for two classes' on one parameter tensor).

        Args:
            callback: called with (done, total), in parameters times pairs of groups of classes.

        Raises:
            MemoryError: where the matrix itself does not fit.
        """
        k, m = self.levels.vector_weights(level).shape
        self._ask(3 * 8 * (k * m) ** 2, f"a Gram matrix of {k * m} vectors")
        parameters, budget = self.risk.network.parameters, self.risk.memory_budget

        @without_autocast
        def vectors_of(rows: range, block: list[Tensor]) -> Tensor:
            return self.vectors_of(rows, level, block)

        return streamed_gram(vectors_of, (k, m), parameters, budget, callback)

    @without_autocast
    def distances(self) -> Tensor:
        """Distances between all means, float64 (K + K·C, K + K·C): first the g_c, then the
        g_{c,c'}, c major.

        Raises MemoryError where that many do not fit.
        """
        k, C = self.shares.shape
        self._ask(4 * 8 * (k + k * C) ** 2, f"distances between {k + k * C} means")
        cells = self.gram()
        shares = self.shares.double()
        to_cells = torch.einsum("ki,kij->kj", shares, cells.view(k, C, k * C))  # g_c · g_{d,d'}
        to_classes = torch.einsum("cki,ki->ck", to_cells.view(k, k, C), shares)
        inner = torch.cat([torch.cat([to_classes, to_cells], 1), torch.cat([to_cells.T, cells], 1)])
        squares = inner.diagonal()
        return (squares[:, None] + squares - 2 * inner).clamp_(min=0).fill_diagonal_(0).sqrt()


def refuse_other_losses(risk: Risk) -> None:
    """Raise ValueError where there are no classes to take means over."""
    if has_classes(risk):
        return
    needed = (
        "class and cross-class means exist for the cross-entropy of one class index an example, "
        "without weights, smoothing or ignored labels"
    )
    if risk.num_ignored:
        raise ValueError(
            f"{needed}; this risk ignores {risk.num_ignored} of its {risk.num_examples} labels: "
            "leave those examples out of the batches"
        )
    raise ValueError(f"{needed}; this risk's loss is {risk!r}")


@without_autocast
def class_means(risk: Risk) -> ClassMeans:
    """g_{c,c'} = Σ_n p_{n,c'} g_{n,c'} / p_{c,c'} over class c, and g_c = Σ_{c'≠c} p_{c,c'}
    g_{c,c'} / p_c.

    .weights is p_{c,c'} (K, C), .class_weights p_c (K,), a row for each class present. Vectors are
    computed when asked for.

    Raises:
        ValueError: for a loss other than the cross-entropy of one class index an example, or
            weights that are cut up between ranks.
        MemoryError: where tables of (N, C) numbers do not fit.

    Source: P20, section 3.

    Example:
        >>> net = torch.nn.Linear(4, 3)
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1]))])
        >>> class_means(risk).class_vectors.shape
        torch.Size([3, 15])
    """
    return ClassMeans(risk, "2020")


@without_autocast
def delta_means(risk: Risk) -> ClassMeans:
    """δ_{c,c'} = mean over class c of √p_{n,c'} g_{n,c'}, and δ_c = mean over c'≠c of δ_{c,c'}.

    .weights is N_c in every column (K, C), .class_weights (C − 1) N_c (K,), a row for each class
    present. Vectors are computed when asked for.

    Raises:
        ValueError: for a loss other than the cross-entropy of one class index an example, or
            weights that are cut up between ranks.
        MemoryError: where tables of (N, C) numbers do not fit.

    Source: P19, section 3.

    Example:
        >>> net = torch.nn.Linear(4, 3)
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1]))])
        >>> delta_means(risk).counts
        tensor([2, 2, 1])
    """
    return ClassMeans(risk, "2019")
