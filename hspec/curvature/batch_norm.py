"""Batch normalisation's three meanings, set up on a private copy of the module (its buffers are the copy's own).

* eval: running statistics, constants.
* batch: the statistics of each batch of the fixed partition, differentiated through.
* population: the statistics of the whole sample at θ, recomputed here layer by layer, then constants: with s(θ)
  those statistics, the matrix is ∂²L(θ; s)/∂θ² at s = s(θ). It is the derivative of the gradient that training
  with population statistics follows, s held still; the derivative through s(θ) as well is not symmetric, no
  Hessian.

Source: GKX19, section on batch normalisation.
"""

import contextlib
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

MODES = ("eval", "batch", "population")


def batch_norm_layers(module: nn.Module) -> dict[str, _BatchNorm]:
    """The batch normalisation layers of `module`, by name."""
    return {name: m for name, m in module.named_modules() if isinstance(m, _BatchNorm)}


def check_mode(mode: str) -> None:
    """Raise ValueError unless `mode` is one of the three."""
    if mode not in MODES:
        raise ValueError(f"batch_norm={mode!r} is unknown: choose one of {', '.join(map(repr, MODES))}")


def refuse_wrong_state(module: nn.Module, mode: str) -> None:
    """Raise ValueError where the layers' state contradicts `mode`."""
    check_mode(mode)
    if mode != "eval":
        return
    for name, layer in batch_norm_layers(module).items():
        if layer.training:
            raise ValueError(
                f"batch normalisation layer {name!r} is in training mode. Call model.eval() first: "
                'the matrix then uses running statistics; or ask for batch_norm="batch" or "population"'
            )
        if layer.running_mean is None:
            raise ValueError(
                f"batch normalisation layer {name!r} keeps no running statistics: "
                'ask for batch_norm="batch" or "population"'
            )


def use_batch_statistics(module: nn.Module) -> None:
    """Make every layer normalise by the batch it sees and remember nothing."""
    for layer in batch_norm_layers(module).values():
        layer.train()
        layer.track_running_stats = False
        layer.running_mean = layer.running_var = layer.num_batches_tracked = None


class _Reached(Exception):
    """Stops a forward pass at the layer whose input was wanted."""


class _Moments:
    """Mean and (biased) variance over a stream, float64, merged pairwise so that nothing cancels."""

    def __init__(self):
        self.count, self.mean, self.square = 0, 0.0, 0.0

    def add(self, x: Tensor) -> None:
        x = x.detach().double().transpose(0, 1).flatten(1)  # (channels, everything else)
        count, mean = x.shape[1], x.mean(1)
        total, shift = self.count + count, mean - self.mean
        self.square = (
            self.square + (x - mean[:, None]).square().sum(1) + shift**2 * (self.count * count / total)
        )
        self.mean = self.mean + shift * (count / total)
        self.count = total


@torch.no_grad()
def use_population_statistics(module: nn.Module, passes: Callable[[], Iterable[Callable]]) -> None:
    """Give every layer the statistics of its input over the whole sample; `passes()` goes over it once.

    It gives one function a batch, which evaluates the module on it.

    The statistics of a layer depend on those of the layers before it, so there is one pass per layer, up to that layer.
    """
    for layer in batch_norm_layers(module).values():
        layer.eval()
        layer.track_running_stats = True
        like = next(module.parameters())
        layer.running_mean, layer.running_var = (
            like.new_zeros(layer.num_features),
            like.new_ones(layer.num_features),
        )
    for layer in _execution_order(module, next(iter(passes()))):
        moments = _input_moments(layer, passes())
        layer.running_mean.copy_(moments.mean)
        layer.running_var.copy_(moments.square / moments.count)


def _input_moments(layer: _BatchNorm, evaluations: Iterable[Callable]) -> _Moments:
    moments = _Moments()

    def stop_here(_, args):
        moments.add(args[0])
        raise _Reached

    hook = layer.register_forward_pre_hook(stop_here)
    try:
        for evaluate in evaluations:
            with contextlib.suppress(_Reached):
                evaluate()
    finally:
        hook.remove()
    return moments


def _execution_order(module: nn.Module, evaluate: Callable) -> list[_BatchNorm]:
    """The layers in the order in which one batch meets them."""
    order = []
    layers = batch_norm_layers(module)
    hooks = [m.register_forward_pre_hook(lambda m, _: order.append(m)) for m in layers.values()]
    try:
        evaluate()
    finally:
        for hook in hooks:
            hook.remove()
    for name, layer in layers.items():
        if order.count(layer) > 1:
            raise ValueError(
                f"batch normalisation layer {name!r} is used more than once in a forward pass: "
                "its population statistics are ambiguous. Give every use its own layer"
            )
    return order
