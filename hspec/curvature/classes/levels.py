"""Four levels of a table by class: functions of (n, c') cut into four orthogonal subspaces. No
network here.

Example n has the class c(n); a table d (N, L) has a column for each label c'. A cell (c, c') is the
examples of class c in column c'. Every cell has a function ψ of norm one, and every class has
shares ρ_{c,c'} that sum to one over c' ≠ c. With

    t_{c,c'} = Σ_{n of c} ψ_{n,c'} d_{n,c'},        t_c = Σ_{c'≠c} √ρ_{c,c'} t_{c,c'},

d is the sum of its four orthogonal projections

    class     ψ √ρ_{c,c'} t_c                      on c' ≠ c      A1, G1
    own       ψ t_{c,c}                            on c' = c      A2, G0
    cross     ψ (t_{c,c'} − √ρ_{c,c'} t_c)         on c' ≠ c      B1, G2
    within    d − ψ t                              everywhere     B2, G3

and "between" is the sum of the first three, ψ t. A matrix Σ_{n,c'} δ_{n,c'} δ_{n,c'}ᵀ = D Dᵀ of
vectors δ_{n,c'} = √p_{n,c'} g_{n,c'} falls into the parts D P Dᵀ, one for each projection P. What D
makes of ψ on a cell is √W times a mean over the cell:

    v_{c,c'} = Σ_{n of c} κ_{n,c'} g_{n,c'},       κ = ψ √p / √W,        v_c = Σ_{c'≠c} ρ_{c,c'}
    v_{c,c'}

The papers weight examples by different powers p^a of their probabilities, which is all that
differs:

    κ = p^a / W,    W_{c,c'} = Σ_{n of c} p_{n,c'}^(2a−1),    ψ = p^(a−1/2) / √W,    ρ_{c,c'} =
    W_{c,c'} / W_c,

W_c = Σ_{c'≠c} W_{c,c'}. For a = 1 (2020) κ = p/p_{c,c'} with W = p_{c,c'}, for a = 1/2 (2019) κ =
√p/N_c with W = N_c. Classes without examples have no rows: of C classes K are present, and what is
"by class" has K rows.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hspec.distributed import ALONE, Alone

LEVELS = ("class", "own", "cross", "within")
BETWEEN = "between"  # class, own and cross together

# The power a of p in the means: g_{c,c'} of P18a and P20, δ_{c,c'} of P19.
WEIGHTINGS = {"2020": 1.0, "2019": 0.5}


@dataclass(frozen=True, eq=False)
class Levels:
    """The levels of tables (N, L) of examples by labels, under one weighting; made by `Levels.of`.

    Attributes:
        classes: (K,) the classes present, ascending; index: (N,) each example's place among them.
        counts: (K,) N_c. own: (K, L) bool, True where c' = c.
        root: (N, L) √p; unit: (N, L) ψ; kappa: (N, L) κ.
        weights: (K, L) W_{c,c'}; class_weights: (K,) Σ_{c'≠c} W_{c,c'}; shares: (K, L) ρ, 0 for c'
            = c.

    Source: P20, section 3; P19, section 3.
    """

    classes: Tensor
    index: Tensor
    counts: Tensor
    own: Tensor
    root: Tensor
    unit: Tensor
    kappa: Tensor
    weights: Tensor
    class_weights: Tensor
    shares: Tensor
    ranks: Alone = ALONE

    @classmethod
    def of(cls, labels: Tensor, log_p: Tensor, power: float, ranks: Alone = ALONE) -> "Levels":
        """Levels for examples of these labels (N,) and log-probabilities (N, L), weighted by
        p^power.

        For values without a label c', such as the features of a layer, log_p is zeros (N, 1): the
        one column belongs to no class, so that "class" and "within" are what there is.

        Of several ranks, each has the rows of its own examples; sums over a class are of all ranks'
        examples.
        """
        present = set().union(*ranks.gather(labels.unique().tolist()))
        classes = torch.tensor(sorted(present), dtype=labels.dtype, device=labels.device)
        index = torch.searchsorted(classes, labels)
        counts = index.bincount(minlength=len(classes))
        columns = torch.arange(log_p.shape[1], device=labels.device)
        own = (classes[:, None] == columns) & (log_p.shape[1] > 1)
        sorted_log = ((2 * power - 1) * log_p)[index.argsort(stable=True)]
        log_here = torch.stack([rows.logsumexp(0) for rows in sorted_log.split(counts.tolist())])
        largest = ranks.largest(log_here.clone())
        log_weights = largest + ranks.sum((log_here - largest).exp()).log()
        off = log_weights.masked_fill(own, -torch.inf)
        return cls(
            classes=classes,
            index=index,
            counts=ranks.sum(counts),
            own=own,
            root=(log_p / 2).exp(),
            unit=((power - 0.5) * log_p - log_weights[index] / 2).exp(),
            kappa=(power * log_p - log_weights[index]).exp(),
            weights=log_weights.exp(),
            class_weights=off.logsumexp(1).exp(),
            shares=off.softmax(1),
            ranks=ranks,
        )

    def table(self, d: Tensor) -> Tensor:
        """t_{c,c'} = Σ_{n of c} ψ_{n,c'} d_{n,c'}: (..., N, L) to (..., K, L),
        summed in float64.
        """
        return self._by_class(self.unit * d)

    def means(self, values: Tensor) -> Tensor:
        """v_{c,c'} = Σ_{n of c} κ_{n,c'} values_{n,c'}: (..., N, L) to (..., K, L),
        summed in float64.
        """
        return self._by_class(self.kappa * values)

    def _by_class(self, rows: Tensor) -> Tensor:
        sums = rows.new_zeros(*rows.shape[:-2], *self.weights.shape, dtype=torch.float64)
        return self.ranks.sum(sums.index_add_(-2, self.index, rows.double())).to(rows)

    def project(self, level: str, d: Tensor) -> Tensor:
        """The level's share of tables d (..., N, L): an orthogonal projection;
        the four sum to d.
        """
        t = self.table(d)
        if level == "within":
            return d - self.unit * t[..., self.index, :]
        return self.unit * self._part(level, t)[..., self.index, :]

    def _part(self, level: str, t: Tensor) -> Tensor:
        if level == BETWEEN:
            return t
        if level == "own":
            return t.masked_fill(~self.own, 0)
        of_class = self._root_shares * (self._root_shares * t).sum(-1, keepdim=True)
        return of_class if level == "class" else t.masked_fill(self.own, 0) - of_class

    @cached_property
    def _root_shares(self) -> Tensor:
        return self.shares.sqrt()

    def combinations(self, level: str, row: int) -> Tensor:
        """Coefficients (m, L) of the means v_{c,c'} of one class that make up the level's vectors
        u_{c,i}.

        The level's matrix is (1/N) Σ_{c,i} w_{c,i} u_{c,i} u_{c,i}ᵀ, with w of `vector_weights`.
        Vectors
        and labels by level: "class" v_c (one); "own" v_{c,c} (one); "cross" v_{c,c'} − v_c, c' ≠ c;
        "between" v_{c,c'}, every c'. `row` is the class's place among those present.
        """
        if level == "class":
            return self.shares[row : row + 1]
        if level == "own":
            return self.own[row : row + 1].to(self.shares)
        every = torch.eye(self.shares.shape[1], dtype=self.shares.dtype, device=self.shares.device)
        return every if level == BETWEEN else every[~self.own[row]] - self.shares[row]

    def vector_weights(self, level: str) -> Tensor:
        """w (K, m), see `combinations`."""
        if level == "class":
            return self.class_weights[:, None]
        if level == BETWEEN:
            return self.weights
        chosen = self.own if level == "own" else ~self.own
        return self.weights[chosen].view(len(self.classes), -1)
