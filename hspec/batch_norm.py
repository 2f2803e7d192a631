"""Batch normalisation's three meanings, set up on a module of one's own.

* eval: running statistics, constants.
* batch: the statistics of each batch of the fixed partition, differentiated through.
* population: the statistics of the whole sample at θ, constants: with s(θ) those statistics, the
  matrix is ∂²L(θ; s)/∂θ² at s = s(θ). It is the derivative of the gradient that training with
  population statistics follows, s held still; the derivative through s(θ) as well is not symmetric,
  no Hessian.

Source: GKX19, section on batch normalisation.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hspec.distributed import ALONE, Alone

MODES = ("eval", "batch", "population")
Passes = Callable[[], Iterable[Callable[[], object]]]


def batch_norm_layers(module: nn.Module) -> dict[str, _BatchNorm]:
    """The batch normalisation layers of `module`, by name."""
    return {name: m for name, m in module.named_modules() if isinstance(m, _BatchNorm)}


def check_mode(mode: str) -> None:
    """Raise ValueError unless `mode` is one of the three."""
    if mode not in MODES:
        choices = ", ".join(map(repr, MODES))
        raise ValueError(f"batch_norm={mode!r} is unknown: choose one of {choices}")


def refuse_wrong_state(module: nn.Module, mode: str) -> None:
    """Raise ValueError where the layers' state contradicts `mode`."""
    check_mode(mode)
    if mode != "eval":
        return
    for name, layer in batch_norm_layers(module).items():
        if layer.training:
            raise ValueError(
                f"batch normalisation layer {name!r} is in training mode. Call model.eval() first: "
                "the "
                'matrix then uses running statistics; or ask for batch_norm="batch" or "population"'
            )
        if layer.running_mean is None:
            raise ValueError(
                f"batch normalisation layer {name!r} keeps no running statistics: "
                'ask for batch_norm="batch" or "population"'
            )


@contextlib.contextmanager
def evaluation_mode(*modules: nn.Module) -> Iterator[None]:
    """The modules in eval mode for a while; each part's own mode is restored."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def use_running_statistics(module: nn.Module) -> None:
    """Put the batch norms alone in eval mode: running statistics,
    as constants in the gradient."""
    for layer in batch_norm_layers(module).values():
        layer.eval()


def use_batch_statistics(module: nn.Module) -> None:
    """Make every layer normalise by the batch it sees and remember nothing."""
    for layer in batch_norm_layers(module).values():
        layer.train()
        layer.track_running_stats = False
        layer.running_mean = layer.running_var = layer.num_batches_tracked = None


@torch.no_grad()
def set_population_statistics(module: nn.Module, passes: Passes, ranks: Alone = ALONE) -> None:
    """Give every layer the mean and (biased) variance of its input over the whole sample.

    Each layer sees inputs that the layers before it have normalised by *their* population
    statistics; averages over batches would not be the same. A sample of one batch takes one pass;
    of several, one pass for each layer, up to that layer. The modules' modes are left as they were.

    Args:
        module: whose layers' running statistics are set.
        passes: goes over the sample: one function a batch, which evaluates the module on it.
        ranks: the processes that each go over a share of the sample (see `distributed`).

    Raises:
        ValueError: for a layer that is used more than once in a forward pass.

    Source: GKX19 (population statistics).
    """
    layers = batch_norm_layers(module)
    for layer in layers.values():
        _give_buffers(layer, next(module.parameters()))
    with evaluation_mode(*layers.values()):
        with ranks.agreed():
            first_two = list(itertools.islice(passes(), 2))
            if ranks.size == 1 and len(first_two) == 1:
                _in_one_pass(layers, first_two[0])
                return
            order = _execution_order(layers, first_two[0]) if first_two else []
        for name in max(
            ranks.gather(order), key=len
        ):  # a rank without batches learns it from another
            layer = layers[name]
            with ranks.agreed():
                mine = _input_moments(layer, passes())
            moments = _Moments.merged(ranks.gather(mine))
            layer.running_mean.copy_(moments.mean)
            layer.running_var.copy_(moments.square / moments.count)


def _give_buffers(layer: _BatchNorm, like: Tensor) -> None:
    layer.track_running_stats = True
    if layer.running_mean is None:
        layer.running_mean = like.new_zeros(layer.num_features)
        layer.running_var = like.new_ones(layer.num_features)


def _in_one_pass(layers: dict[str, _BatchNorm], evaluate: Callable[[], object]) -> None:
    def take_statistics(layer: _BatchNorm, inputs: tuple[Tensor]) -> None:
        all_but_channels = [d for d in range(inputs[0].dim()) if d != 1]
        variance, mean = torch.var_mean(inputs[0], all_but_channels, correction=0)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)

    _execution_order(layers, evaluate, take_statistics)


def _execution_order(
    layers: dict[str, _BatchNorm],
    evaluate: Callable[[], object],
    on_the_way: Callable | None = None,
) -> list[str]:
    """The layers' names in the order in which one batch meets them;
    `on_the_way` is called with each and its input.
    """
    order, names = [], {layer: name for name, layer in layers.items()}

    def note(layer: _BatchNorm, inputs: tuple[Tensor]) -> None:
        order.append(names[layer])
        if on_the_way is not None:
            on_the_way(layer, inputs)

    hooks = [layer.register_forward_pre_hook(note) for layer in layers.values()]
    try:
        evaluate()
    finally:
        for hook in hooks:
            hook.remove()
    for name in layers:
        if order.count(name) > 1:
            raise ValueError(
                f"batch normalisation layer {name!r} is used more than once in a forward pass: "
                "its population statistics are ambiguous. Give every use its own layer"
            )
    return order


class _Reached(Exception):
    """Stops a forward pass at the layer whose input was wanted."""


class _Moments:
    """Mean and (biased) variance over a stream, float64,
    merged pairwise so that nothing cancels.
    """

    def __init__(self) -> None:
        self.count, self.mean, self.square = 0, 0.0, 0.0

    def add(self, x: Tensor) -> None:
        x = x.detach().double().transpose(0, 1).flatten(1)  # (channels, everything else)
        mean = x.mean(1)
        self.merge(x.shape[1], mean.cpu(), (x - mean[:, None]).square().sum(1).cpu())

    def merge(self, count: int, mean: Tensor, square: Tensor) -> None:
        """Take in another stream's."""
        total, shift = self.count + count, mean - self.mean
        self.square = self.square + square + shift**2 * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    @classmethod
    def merged(cls, parts: Iterable["_Moments"]) -> "_Moments":
        """Of several streams together; those with nothing in them add nothing."""
        whole = cls()
        for part in parts:
            if part.count:
                whole.merge(part.count, part.mean, part.square)
        return whole


def _input_moments(layer: _BatchNorm, evaluations: Iterable[Callable[[], object]]) -> _Moments:
    moments = _Moments()

    def stop_here(_, inputs: tuple[Tensor]) -> None:
        moments.add(inputs[0])
        raise _Reached

    hook = layer.register_forward_pre_hook(stop_here)
    try:
        for evaluate in evaluations:
            with contextlib.suppress(_Reached):
                evaluate()
    finally:
        hook.remove()
    return moments
