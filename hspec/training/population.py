"""Batch normalisation with the statistics of a whole population."""

from contextlib import contextmanager

import torch
from torch import Tensor, nn

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """The model's batch norms."""
    return [m for m in model.modules() if isinstance(m, _BATCH_NORMS)]


@torch.no_grad()
def set_population_statistics(model: nn.Module, images: Tensor) -> None:
    """Set every batch norm's running statistics to the mean and (biased) variance of its input over `images`.

    One pass over all images at once: each norm sees inputs that the norms before it have normalised by
    *their* population statistics, as in the definition; averages over mini-batches would not be the same. The
    model's mode is left as it was.

    Source: GKX19 (population statistics)
    """
    handles = [m.register_forward_pre_hook(_take_statistics) for m in batch_norms(model)]
    try:
        with evaluation_mode(model):
            model(images)
    finally:
        for handle in handles:
            handle.remove()


def _take_statistics(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    all_but_channels = [d for d in range(inputs[0].dim()) if d != 1]
    variance, mean = torch.var_mean(inputs[0], all_but_channels, correction=0)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


@contextmanager
def evaluation_mode(model: nn.Module):
    """The model in eval mode for a while; each module's own mode is restored."""
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def freeze_batch_norms(model: nn.Module) -> None:
    """Put the batch norms alone in eval mode: running statistics, as constants in the gradient."""
    for module in batch_norms(model):
        module.eval()
