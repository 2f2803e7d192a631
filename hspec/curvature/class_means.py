"""The class and cross-class means of the network's sensitivities: g_{c,c'} and g_c.

With g_{n,c'} = J_nᵀ (e_{c'} − p_n), every mean is a weighted sum over the examples of one class,

    v_{c,c'} = Σ_{n of class c} κ_{n,c'} g_{n,c'},        v_c = Σ_{c'≠c} ρ_{c,c'} v_{c,c'},

and only the weights differ between the papers. W_{c,c'} is the weight of a mean, W_c = Σ_{c'≠c} W_{c,c'}:

             κ_{n,c'}              W_{c,c'}               v
    2020     p_{n,c'} / p_{c,c'}    p_{c,c'} = Σ_n p_{n,c'}    g_{c,c'}, g_c     weighted: P18a, P20
    2019     √p_{n,c'} / N_c       N_c                    δ_{c,c'}, δ_c     unweighted: P19

A class without examples has weights 0, count 0 and zero vectors: it contributes nothing to any matrix.
"""

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hspec.curvature.engine.batch_graph import pull_back
from hspec.curvature.engine.memory import gib
from hspec.curvature.engine.network import num_coordinates
from hspec.curvature.engine.precision import normal_tensors
from hspec.curvature.engine.switches import Switches
from hspec.curvature.risk import Risk
from hspec.curvature.softmax import Softmax

GRAM_BYTES, GRAM_ROWS = 1 << 28, 1 << 11  # of vectors converted to float64, and of rows multiplied, at a time


class ClassMeans:
    """Means of g_{n,c'} over classes (see the module's docstring); made by `class_means` or `delta_means`.

    Attributes:
        weights (C, C): W_{c,c'}; class_weights (C,): W_c; counts (C,): N_c; shares (C, C): ρ_{c,c'}, 0 for c' = c.
        kappa (N, C): κ; beta (N, C): κ_{n,c'} W_{c(n),c'}, the coefficient of g_{n,c'} in the matrices' middles.
        definition: "2020" or "2019".
    """

    def __init__(self, risk: Risk, definition: str):
        _refuse_other_losses(risk)
        self.risk, self.definition = risk, definition
        self.softmax = Softmax.of(risk.logits())
        classes = torch.arange(risk.num_classes, device=risk.device)
        self.membership = (risk.labels[:, None] == classes).to(risk.dtype)  # (N, C)
        self.counts = self.membership.sum(0).long()
        log_p = risk.logits().log_softmax(1)
        log_weights = self._log_weights(log_p)  # (C, C)
        half = 1.0 if definition == "2020" else 0.5
        self.kappa = (half * log_p - log_weights[risk.labels]).exp()
        self.beta = (half * log_p).exp()
        self.weights = log_weights.exp()
        log_off_diagonal = log_weights.masked_fill(classes[:, None] == classes, -torch.inf)
        self.class_weights = log_off_diagonal.logsumexp(1).exp()
        self.shares = log_off_diagonal.softmax(1).nan_to_num(0.0)  # an empty class has no shares

    def _log_weights(self, log_p: Tensor) -> Tensor:
        if self.definition == "2019":
            return self.counts.to(log_p).log()[:, None].expand(-1, log_p.shape[1])
        return torch.stack([log_p[self.risk.labels == c].logsumexp(0) for c in range(log_p.shape[1])])

    def __repr__(self) -> str:
        risk = self.risk
        return f"ClassMeans({self.definition}, p={risk.num_parameters}, N={risk.num_examples}, C={risk.num_classes})"

    @functools.cached_property
    def class_vectors(self) -> Tensor:
        """g_c (C, p) (2019: δ_c). Raises MemoryError above the risk's memory budget."""
        return self.vectors(self.shares[:, None, :]).squeeze(1)

    @functools.cached_property
    def cross_class_vectors(self) -> Tensor:
        """g_{c,c'} (C, C, p) (2019: δ_{c,c'}), first index the true class. Raises MemoryError above the budget."""
        return self.vectors(
            torch.eye(self.risk.num_classes).to(self.shares).expand(self.risk.num_classes, -1, -1)
        )

    def fits(self, num_vectors: int) -> bool:
        """Whether that many vectors of R^p fit in the risk's memory budget."""
        return num_vectors * self._bytes_of(self.risk.network.parameters) <= self.risk.memory_budget

    def _bytes_of(self, parameters: list[Tensor]) -> int:
        return sum(q.nbytes for q in parameters)

    def vectors(self, recipe: Tensor, parameters: list[Tensor] | None = None) -> Tensor:
        """Σ_{c'} recipe_{c,i,c'} v_{c,c'} for a recipe (C, m, C): (C, m, p), p the size of `parameters`.

        One backward sweep of m cotangents over each class: m gradients' worth in all, since the data are sorted
        by class.
        """
        parameters = self.risk.network.parameters if parameters is None else parameters
        num_vectors = recipe.shape[0] * recipe.shape[1]
        if num_vectors * self._bytes_of(parameters) > self.risk.memory_budget:
            raise MemoryError(
                f"{num_vectors} vectors of p={self.risk.num_parameters} need "
                f"{gib(num_vectors * self._bytes_of(parameters))}, the budget is {gib(self.risk.memory_budget)}: "
                "raise Risk.from_module(memory_budget=…), or use gram(), distances() and the streamed operators"
            )
        return self.vectors_of(torch.arange(len(recipe)), recipe, parameters)

    def _write_class(self, place: Tensor, c: int, recipe: Tensor, parameters: list[Tensor]) -> None:
        """place (m, p) = Σ_{n of class c} J_nᵀ Σ_{c'} recipe_{i,c'} κ_{n,c'} (e_{c'} − p_n)."""
        written = False  # the first sweep over a class writes, the others add: a pass over C²p numbers less
        with self.risk.graphs.lock, self.risk.graphs.numerics():
            for logits, members, switches in self._logits_of_class(c):
                a = recipe[:, None, :] * self.kappa[members] * self.membership[members, c, None]
                softmax = self.softmax[members]
                sweep = functools.partial(pull_back, logits, parameters, switches=switches)
                cotangents = softmax.spread(a)
                size = self.risk.graphs.planned().block
                for U, rows in zip(cotangents.split(size), place.split(size), strict=True):
                    if written:
                        rows += sweep(U)
                    else:
                        sweep(U, out=rows)
                written = True
        if not written:
            place.zero_()

    def _logits_of_class(self, c: int) -> Iterator[tuple[Tensor, Tensor, Switches]]:
        """(logits with their graph, indices n of their rows, the graph's switches), covering class c.

        Where batch statistics couple examples, the partition must stay: whole batches, other classes weighted by zero.
        """
        if not self.risk.independent:
            for graph in self.risk.graphs:
                rows = torch.arange(graph.rows.start, graph.rows.stop, device=self.risk.device)
                yield graph.outputs, rows, graph.switches
            return
        members = (self.risk.labels == c).nonzero()[:, 0]
        for x in self.risk.data.of_class(c):
            rows, members = members[: len(x)], members[len(x) :]
            logits, switches = self.risk.graphs.forward(x)
            yield logits, rows, switches

    def gram(
        self, recipe: Tensor | None = None, callback: Callable[[int, int], None] | None = None
    ) -> Tensor:
        """Inner products of the vectors of a recipe (C, m, C), float64 (C·m, C·m); by default of all g_{c,c'}.

        Streamed over blocks of parameters, and over classes where even one parameter tensor is too large: never more
        than the memory budget, however large C²p is (but for two classes' vectors on one parameter tensor).
        callback is called with (done, total), in parameters times pairs of groups of classes.
        """
        if recipe is None:
            recipe = torch.eye(self.risk.num_classes).to(self.shares).expand(self.risk.num_classes, -1, -1)
        C, m = recipe.shape[:2]
        K = torch.zeros(C * m, C * m, dtype=torch.float64, device=self.risk.device)
        plan = [(block, self._tiles(block, C, m)) for block in self._parameter_blocks(C * m)]
        total = sum(_count(block) * len(tiles) * (len(tiles) + 1) // 2 for block, tiles in plan)
        done = 0
        for parameters, tiles in plan:
            for i, I in enumerate(tiles):
                left = self.vectors_of(I, recipe, parameters)
                for J in tiles[i:]:
                    right = left if J is I else self.vectors_of(J, recipe, parameters)
                    rows, columns = (slice(m * int(T[0]), m * (int(T[-1]) + 1)) for T in (I, J))
                    for summed in _add_inner_products(K[rows, columns], left, right):
                        done += summed
                        if callback is not None:
                            callback(done, total)
        return K.triu_() + K.triu(1).T

    @normal_tensors()
    def vectors_of(self, classes: Tensor, recipe: Tensor, parameters: list[Tensor]) -> Tensor:
        """`vectors` for some of the classes: (len(classes), m, p)."""
        shape = (len(classes), recipe.shape[1], _count(parameters))
        result = recipe.new_empty(shape)
        for place, c in zip(result, classes.tolist(), strict=True):
            self._write_class(place, c, recipe[c], parameters)
        return result

    def _parameter_blocks(self, num_vectors: int) -> Iterator[list[Tensor]]:
        """Consecutive parameters, as many at a time as leave room for that many vectors (at least one)."""
        block, size = [], 0
        for q in self.risk.network.parameters:
            if block and 2 * num_vectors * (size + q.nbytes) > self.risk.memory_budget:
                yield block
                block, size = [], 0
            block, size = [*block, q], size + q.nbytes
        yield block

    def _tiles(self, parameters: list[Tensor], num_classes: int, m: int) -> tuple[Tensor, ...]:
        """The classes, as many at a time as two groups' m vectors on these parameters fit in the budget."""
        size = max(1, self.risk.memory_budget // (2 * m * self._bytes_of(parameters)))
        return torch.arange(num_classes).split(min(size, num_classes))

    def distances(self) -> Tensor:
        """Distances between all means, float64 (C + C², C + C²): first the g_c, then the g_{c,c'}, c major."""
        C = self.risk.num_classes
        K = self.gram()
        to_class = torch.block_diag(*self.shares.double())  # (C, C²): g_c = Σ ρ g_{c,c'}
        to_all = torch.cat([to_class, torch.eye(C * C).to(to_class)])
        K = to_all @ K @ to_all.T
        squares = K.diagonal()
        return (squares[:, None] + squares - 2 * K).clamp_(min=0).fill_diagonal_(0).sqrt()


def _refuse_other_losses(risk: Risk) -> None:
    if not risk.loss_function.plain or risk.labels is None or len(risk.labels) != risk.num_examples:
        raise ValueError(
            "class and cross-class means exist for the cross-entropy of one class index an example, "
            f"without weights, smoothing or ignored labels; this risk's loss is {risk!r}"
        )


def _count(parameters: list[Tensor]) -> int:
    return sum(map(num_coordinates, parameters))


def _add_inner_products(K: Tensor, left: Tensor, right: Tensor) -> Iterator[int]:
    """K (a·m, b·m) += the inner products of left (a, m, p) and right (b, m, p), summed in float64.

    Yields the number of coordinates summed, a block of them at a time. Where both are the same vectors, only what
    lies on and above the diagonal blocks of GRAM_ROWS.
    """
    same, left, right = left is right, left.flatten(0, 1), right.flatten(0, 1)
    columns = max(1, GRAM_BYTES // (8 * (len(left) + len(right))))
    for start in range(0, left.shape[1], columns):
        A = left[:, start : start + columns].double()
        B = A if same else right[:, start : start + columns].double()
        for row in range(0, len(A), GRAM_ROWS):
            first = row if same else 0
            K[row : row + GRAM_ROWS, first:].addmm_(A[row : row + GRAM_ROWS], B[first:].T)
        yield A.shape[1]


def class_means(risk: Risk) -> ClassMeans:
    """g_{c,c'} = Σ_n p_{n,c'} g_{n,c'} / p_{c,c'} over class c, and g_c = Σ_{c'≠c} p_{c,c'} g_{c,c'} / p_c.

    .weights is p_{c,c'} (C, C), .class_weights p_c (C,). Vectors are computed when asked for.

    Source: P20, section 3.
    """
    return ClassMeans(risk, "2020")


def delta_means(risk: Risk) -> ClassMeans:
    """δ_{c,c'} = mean over class c of √p_{n,c'} g_{n,c'}, and δ_c = mean over c'≠c of δ_{c,c'}.

    Source: P19, section 3.
    """
    return ClassMeans(risk, "2019")
