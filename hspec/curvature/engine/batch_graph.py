"""Products with the Hessian's parts: first-order graphs, kept between products as far as memory
allows.

One graph a batch serves every matrix. It holds the outputs f, z = ∂ℓ/∂f as a function of f, and
g = Jᵀz with its own graph:

    ∂⟨g, v⟩/∂θ = Hess v          with the derivative passing through z(f)
               = H v             with that passage switched off
    ∂⟨g, v⟩/∂z = J v             and Jᵀ u = ∂⟨f, u⟩/∂θ, so G v = Jᵀ M J v

All are reverse over reverse (never reverse over forward, which is wrong with batch normalisation in
training mode).
"""

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import torch
from torch import Tensor

from hspec.curvature.data import Batch, Data
from hspec.curvature.engine.layers import RUNGS
from hspec.curvature.engine.network import Network, flat
from hspec.curvature.engine.switches import Switches
from hspec.curvature.loss import Loss, Terms, WholeTerms

Rung = type  # one of RUNGS


@dataclass(frozen=True)
class Objective:
    """What is differentiated: the loss of a network on data."""

    network: Network
    data: Data
    loss: Loss

    def made_whole(self) -> "Objective":
        """The same on a network of which nothing is cut up between ranks."""
        return Objective(self.network.made_whole(), self.data, self.loss)

    def in_dtype(self, dtype: torch.dtype) -> "Objective":
        """The same on a copy of the network in another dtype, whose θ may be changed."""
        return Objective(self.network.in_dtype(dtype), self.data, self.loss)


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
    gradient: tuple[
        Tensor | None, ...
    ]  # g, by parameter; None where the loss does not depend on it
    wrong: dict[str, str]  # derivatives that were found wrong, and why; see `trial`

    @classmethod
    def build(
        cls,
        objective: Objective,
        batch: Batch,
        rung: Rung = RUNGS[0],
        wrong: dict[str, str] | None = None,
    ) -> "BatchGraph":
        """Forward and backward once, recording both.

        Raises ValueError where the outputs do not depend on the chosen parameters.
        """
        network, switches = objective.network, Switches()
        parameters = network.parameters
        with torch.enable_grad(), rung(switches), network.recording():
            outputs, targets = objective.data.evaluate(network.module, batch)
            f, terms = objective.loss.at(outputs, targets, batch.where)
            if not f.requires_grad:
                raise ValueError(
                    "the outputs do not depend on any of the chosen parameters "
                    f"({', '.join(network.slices)}): they are under torch.no_grad(), detached, or "
                    "unused"
                )
            record = {"create_graph": True, "allow_unused": True}
            if isinstance(terms, WholeTerms):
                z, g = None, torch.autograd.grad(terms.total, parameters, **record)
            else:
                z = _OutputGradient.apply(f, terms, switches)
                g = torch.autograd.grad(f, parameters, z, **record)
        return cls(batch.rows, network, f, terms, z, switches, g, wrong or {})

    @property
    def roots(self) -> list[Tensor]:
        """The outputs, and the value of a loss by a function, which have graphs of their own."""
        return [self.outputs, *self.terms.graphs()]

    def restricted(self, names: Collection[str]) -> "BatchGraph":
        """The same graph, nothing built anew, for θ made of these parameters only: it gives
        diagonal blocks.

        A sweep then visits the part of the graph that lies between them, and no more.
        """
        pairs = zip(self.network.slices, self.gradient, strict=True)
        gradient = tuple(g for name, g in pairs if name in names)
        return replace(self, network=self.network.restricted(names), gradient=gradient)

    def hess(self, V: Tensor, rows: "BatchGraph | None" = None) -> Tensor:
        """Σ_n Hess_n V for rows V (k, p).

        rows: the same graph restricted to other parameters; the block of Hess that has their
        coordinates in its rows, mine in its columns.
        """
        self._refuse("second")
        parameters = (rows or self).network.parameters
        v = self.network.unflatten(V.squeeze(0))
        return flat(self._differentiate(v, len(V), parameters), parameters, V.shape[:1])

    def residual(self, V: Tensor, rows: "BatchGraph | None" = None) -> Tensor:
        """Σ_n H_n V for rows V (k, p), or of a block, see `hess`."""
        self._refuse("second", "jacobian")
        with self.switches.off("through_loss"):
            return self.hess(V, rows)

    def split(self, V: Tensor) -> Tensor:
        """(Σ_n H_n V, Σ_n G_n V), in one sweep and one more: (k, 2, p)."""
        self._refuse("second", "jacobian", "first")
        with self.switches.off("through_loss"):
            v = self.network.unflatten(V.squeeze(0))
            *h, t = self._differentiate(v, len(V), [*self.network.parameters, self.z])
        G = self.jacobian_transpose(self.terms.middle(t.reshape(len(V), *self.z.shape)))
        return torch.stack([flat(h, self.network.parameters, V.shape[:1]), G], 1)

    def gauss_newton(self, V: Tensor, rows: "BatchGraph | None" = None) -> Tensor:
        """Σ_n J_nᵀ M_n J_n V (k, p), or of a block, see `hess`."""
        return (rows or self).jacobian_transpose(self.terms.middle(self.jacobian(V)))

    def empirical_fisher(self, V: Tensor) -> Tensor:
        """Σ_n g_n (g_n·V), g_n = J_nᵀ z_n, for rows V (k, p)."""
        along = self.jacobian(V)
        z = self.terms.residual()
        return self.jacobian_transpose(z * (z * along).sum(-1, keepdim=True))

    def middle(self, T: Tensor) -> Tensor:
        """M_n T_n (k, m, C) for T (k, m, C)."""
        self._refuse()
        return self.terms.middle(T)

    def jacobian(self, V: Tensor) -> Tensor:
        """J V (k, m, C)."""
        self._refuse("jacobian")
        with self.switches.off("to_forward"):
            v, shape = self.network.unflatten(V.squeeze(0)), (len(V), *self.z.shape)
            (found,) = self._differentiate(v, len(V), [self.z])
        return V.new_zeros(shape) if found is None else found.reshape(shape)

    def jacobian_transpose(self, U: Tensor) -> Tensor:
        """Σ_n J_nᵀ U_n (k, p) for U (k, m, C)."""
        self._refuse("first")
        return pull_back(self.outputs, self.network.parameters, U, self.switches)

    def loss_gradient(self) -> Tensor:
        """g (1, p)."""
        self._refuse("first", whole=True)
        return flat(self.gradient, self.network.parameters, (1,)).detach()

    def _refuse(self, *derivatives: str, whole: bool = False) -> None:
        for derivative in derivatives:
            if derivative in self.wrong:
                raise ValueError(self.wrong[derivative])
        if self.z is None and not whole and derivatives != ("second",):
            raise ValueError(
                "the loss is no function of the outputs alone (it differentiates the net, or uses "
                "its parameters), so Hess is not a sum of G and H: use hessian(risk), or "
                'matrices="Hess" of a spectrum'
            )

    @functools.cached_property
    def _recorded(self) -> list[bool]:
        """By parameter: whether g has a graph to be differentiated through."""
        return [g is not None and g.requires_grad for g in self.gradient]

    def hess_pieces(self, v: list[Tensor]) -> Sequence[Tensor | None]:
        """`hess` of one vector, given and returned as pieces by parameter: those of weights that
        are cut up between ranks are cut up as they are, and summed over ranks.
        """
        self._refuse("second")
        return self._differentiate(v, 1, self.network.parameters)

    def jacobian_pieces(self, v: list[Tensor]) -> Tensor:
        """`jacobian` of one vector, given as pieces: (m, C)."""
        self._refuse("jacobian")
        with self.switches.off("to_forward"):
            (t,) = self._differentiate(v, 1, [self.z])
        return torch.zeros_like(self.z) if t is None else t

    def gauss_newton_pieces(self, v: list[Tensor]) -> Sequence[Tensor | None]:
        """`gauss_newton` likewise."""
        self._refuse("first")
        u = self.terms.middle(self.jacobian_pieces(v)[None])[0]
        return _grad([self.outputs], [u], 1, self.switches, self.network.parameters)

    def _differentiate(
        self, v: list[Tensor], k: int, inputs: list[Tensor]
    ) -> Sequence[Tensor | None]:
        """∂⟨g, V⟩/∂inputs for k vectors V, in pieces by parameter, see `_grad`."""
        g = list(compress(self.gradient, self._recorded))
        if not g:
            return [None] * len(inputs)
        return _grad(g, list(compress(v, self._recorded)), k, self.switches, inputs)


def pull_back(
    outputs: Tensor,
    parameters: list[Tensor],
    U: Tensor,
    switches: Switches,
    out: Tensor | None = None,
) -> Tensor:
    """Σ_n J_nᵀ U_n (k, p) for U (k, m, C), p the size of `parameters`;
    `outputs` (m, C) with their graph.
    """
    found = _grad([outputs], [U.squeeze(0)], len(U), switches, parameters)
    return flat(found, parameters, U.shape[:1], out)


def _grad(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    k: int,
    switches: Switches,
    inputs: Sequence[Tensor],
) -> Sequence[Tensor | None]:
    """autograd.grad for k cotangents at once, stacked along a leading dimension unless k is 1."""
    options = {"retain_graph": True, "allow_unused": True}
    if k == 1:
        return torch.autograd.grad(outputs, inputs, cotangents, **options)
    whole = [c.contiguous() for c in cotangents]  # only whole blocks fold into one product
    with switches.off("single"):
        return torch.autograd.grad(outputs, inputs, whole, is_grads_batched=True, **options)
