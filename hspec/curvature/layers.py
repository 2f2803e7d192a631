"""What a layer sees: the features it is given and the errors that come back, of every example.

A layer y = W h + b is linear, or a convolution, h then the patches of its input; at T positions an
example (T = 1 for a linear layer on vectors)

    features  h_{n,t} ∈ R^{d_in},        errors  ε_{n,c',t} = (∂f_n/∂y_{n,t})ᵀ (e_{c'} − p_n) ∈
    R^{d_out},

and its part of g_{n,c'} is Σ_t ε_{n,c',t} h_{n,t}ᵀ, as torch keeps W: (d_out, d_in). (P20's errors
have the opposite sign; no matrix changes.) Second moments, float64:

    H = (1/N) Σ_n Σ_t h hᵀ,        Δ = (1/N) Σ_n (1/T) Σ_t Σ_{c'} p_{n,c'} ε εᵀ.

Both fall into levels by class and cross-class, as G does (see `classes.levels`). Positions count as
examples of their own, features summed over them and errors averaged, our extension to convolutions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hspec.curvature.classes.levels import WEIGHTINGS, Levels
from hspec.curvature.classes.means import refuse_other_losses
from hspec.curvature.engine.memory import ask
from hspec.curvature.engine.observed import Observation, affine_layers, observe
from hspec.curvature.refusals import refuse_ranks
from hspec.curvature.risk import Risk
from hspec.curvature.softmax import Softmax
from hspec.linalg.autocast import without_autocast
from hspec.linalg.deflation import orthonormal_basis
from hspec.linalg.inner_products import gram


@dataclass(frozen=True, eq=False)
class LayerData:
    """Features and errors of one layer; made by `layer_data`.

    Attributes:
        name: the layer's; weight: its W (d_out, d_in), a convolution's filters as rows.
        features: h (N, T, d_in). errors: ε (N, C, T, d_out).
        classes: (K,) those present, what rows "by class" belong to; shares: π_c = N_c/N (K,).
    """

    risk: Risk
    name: str
    weight: Tensor
    features: Tensor
    errors: Tensor

    def __repr__(self) -> str:
        (N, T, d_in), C, d_out = self.features.shape, self.errors.shape[1], self.errors.shape[3]
        positions = f", T={T}" if T > 1 else ""
        return f"LayerData({self.name}, {d_in} → {d_out}, N={N}, C={C}{positions})"

    @cached_property
    def log_probabilities(self) -> Tensor:
        """log p (N, C)."""
        return Softmax.of(self.risk.logits()).log_p

    @cached_property
    def weighted_errors(self) -> Tensor:
        """√p ε (N, C, T, d_out)."""
        return self.errors * (self.log_probabilities / 2).exp()[..., None, None]

    @property
    def classes(self) -> Tensor:
        """(K,) the classes present, ascending."""
        return self.error_levels.classes

    @property
    def shares(self) -> Tensor:
        """π_c = N_c/N (K,)."""
        return self.error_levels.counts.to(self.errors) / self.error_levels.counts.sum()

    @cached_property
    def error_levels(self) -> Levels:
        """Levels of tables (N·T, C), class and cross-class, weighted by p."""
        T = self.features.shape[1]
        log_p = self.log_probabilities.repeat_interleave(T, 0)
        return Levels.of(self.risk.labels.repeat_interleave(T), log_p, WEIGHTINGS["2020"])

    @cached_property
    def feature_levels(self) -> Levels:
        """Levels of tables (N·T, 1), class and within, without weights."""
        N, T, _ = self.features.shape
        labels = self.risk.labels.repeat_interleave(T)
        return Levels.of(labels, self.features.new_zeros(N * T, 1), WEIGHTINGS["2020"])

    @property
    def feature_table(self) -> Tensor:
        """h as tables (d_in, N·T, 1)."""
        return self.features.flatten(0, 1).T[..., None]

    @property
    def error_table(self) -> Tensor:
        """ε as tables (d_out, N·T, C)."""
        return self.errors.permute(3, 0, 2, 1).flatten(1, 2)


@without_autocast
def layer_data(risk: Risk, names: str | Iterable[str] | None = None) -> dict[str, LayerData]:
    """Features and errors of layers, captured on the risk's private copy; C backward sweeps for all
    of them.

    Args:
        names: of linear layers and two-dimensional convolutions; None for all that there are.

    Returns:
        By name the `LayerData`, in the network's order.

    Raises:
        ValueError: for a layer that is no such layer, or whose weight's derivative is not Σ_t ε hᵀ
            (it is used twice, say, or rows of its input are no examples): each is tried out, and
            why is said. For a loss other than the cross-entropy of one class index an example.
        MemoryError: where features and errors do not fit in the memory budget; before they are
            kept.

    Source: P20, section 7 (features and back-propagated errors).

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 1, 0, 1]))])
        >>> layer_data(risk, "2")
        {'2': LayerData(2, 3 → 2, N=5, C=2)}
    """
    refuse_other_losses(risk)
    refuse_ranks(risk.ranks, "features and errors of layers")
    layers = _chosen(risk, names)
    features, errors = ({name: [] for name in layers} for _ in range(2))
    softmax = Softmax.of(risk.logits())
    every = torch.eye(risk.num_classes, dtype=risk.dtype, device=risk.device)[:, None]
    with risk.graphs.lock, risk.graphs.numerics:
        block = risk.graphs.block
        for batch in risk.data:
            seen, unfit = observe(risk.graphs, batch.content[0], layers)
            if names is not None or batch.index:
                _refuse_unfit(unfit)
            layers = seen.layers
            if batch.index == 0:
                _refuse_too_large(risk, seen)
            found = seen.errors(
                softmax[batch.rows].spread(every.expand(-1, len(seen.f), -1)), block
            )
            for name in layers:
                features[name].append(seen.inputs[name])
                errors[name].append(found[name].transpose(0, 1))
    return {
        name: LayerData(
            risk,
            name,
            layer.weight.detach().flatten(1),
            torch.cat(features[name]),
            torch.cat(errors[name]),
        )
        for name, layer in layers.items()
    }


def _chosen(risk: Risk, names: str | Iterable[str] | None) -> dict[str, torch.nn.Module]:
    known = affine_layers(risk.network.module.named_modules())
    known = {name: layer for name, layer in known.items() if layer.weight.requires_grad}
    names = list(known) if names is None else [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in known:
            raise ValueError(
                f"{name!r} is no linear layer or plain convolution with a weight in θ: there are "
                f"{', '.join(map(repr, known)) or 'none'}"
            )
    return {name: layer for name, layer in known.items() if name in names}


def _refuse_unfit(unfit: dict[str, str]) -> None:
    for name, why in unfit.items():
        raise ValueError(
            f"layer {name!r} {why}: its derivative is not that of features and errors alone"
        )


def _refuse_too_large(risk: Risk, seen: Observation) -> None:
    n, C = seen.f.shape
    features = sum(h.numel() for h in seen.inputs.values())
    errors = C * sum(y.numel() for y in seen.outputs.values())
    needed = 2 * risk.dtype.itemsize * (features + errors) * risk.num_examples // n
    remedy = (
        "ask for a layer at a time, take fewer examples, or raise Risk.from_module(memory_budget=…)"
    )
    ask(needed, risk.memory_budget, f"features and errors of {len(seen.inputs)} layers", remedy)


@without_autocast
def feature_moment(data: LayerData) -> Tensor:
    """H = (1/N) Σ_n Σ_t h hᵀ (d_in, d_in), float64.   Source: P20, section 7."""
    return gram(data.features.flatten(0, 1)) / len(data.features)


@without_autocast
def error_moment(data: LayerData) -> Tensor:
    """Δ = (1/N) Σ_{n,c'} p_{n,c'} (1/T) Σ_t ε εᵀ (d_out, d_out), float64.   Source: P20,
    section 7.
    """
    return gram(data.weighted_errors.flatten(0, 2)) / len(data.error_levels.index)


@without_autocast
def feature_part(data: LayerData, level: str) -> Tensor:
    """The part of H (d_in, d_in) at a level, float64: "class" Σ_c π_c T h_c h_cᵀ, or "within";
    their sum is H.

    The class part has the global mean for its first eigenvector, nearly: a second moment, not a
    covariance.

    Source: P20, section 7.
    """
    tables = data.feature_levels.project(level, data.feature_table)
    return gram(tables.flatten(1).T) / len(data.features)


@without_autocast
def error_part(data: LayerData, level: str) -> Tensor:
    """The part of Δ (d_out, d_out) at a level, float64: "class", "own", "cross" or "within"; their
    sum is Δ.

    The class part is Σ_c (p_c/N) ε_c ε_cᵀ, and so on as A1, A2, B1 and B2 are for G.

    Source: P20, section 7.
    """
    levels = data.error_levels
    tables = levels.project(level, levels.root * data.error_table)
    return gram(tables.flatten(1).T) / len(levels.index)


@without_autocast
def feature_means(data: LayerData) -> Tensor:
    """h_c (K, d_in): the mean over the examples of class c, and positions.   Source: P20,
    section 7.
    """
    return data.feature_levels.means(data.feature_table)[..., 0].T


@without_autocast
def error_means(data: LayerData) -> tuple[Tensor, Tensor]:
    """(ε_c (K, d_out), ε_{c,c'} (K, C, d_out)), weighted by p as g_c and g_{c,c'} are.

    p_c ε_c = −p_{c,c} ε_{c,c}, since Σ_{c'} p_{n,c'} ε_{n,c'} = 0.

    Source: P20, section 7.
    """
    cells = data.error_levels.means(data.error_table).permute(1, 2, 0)
    return torch.einsum("ki,kid->kd", data.error_levels.shares, cells), cells


@without_autocast
def knocked_out_weight(data: LayerData) -> Tensor:
    """W without its class directions, (I − P) W (I − Q) (d_out, d_in): P on span{ε_{c,c}}, Q on
    span{h_c}.

    By projection: at a stationary point under weight decay W is made of products ε hᵀ, but no
    multiple of Σ_c ε_{c,c} h_cᵀ is near it.

    Source: P20, figure 13.
    """
    _, cells = error_means(data)
    errors, features = (
        orthonormal_basis(M.T) for M in (cells[data.error_levels.own], feature_means(data))
    )
    W = data.weight - errors @ (errors.T @ data.weight)
    return W - (W @ features) @ features.T
