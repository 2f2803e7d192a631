"""Numbers of the vectors' own precision, also where a training loop has switched autocast on."""

import contextlib
import functools
from collections.abc import Callable
from typing import TypeVar

import torch

F = TypeVar("F", bound=Callable)
DEVICES = ("cpu", "cuda")


def without_autocast(function: F) -> F:
    """The function, with autocast off meanwhile: its matrix products are of the dtype of their
    factors.

    Inside torch.autocast PyTorch would round every product to bfloat16, three digits, be it of two
    float32 tensors that no net has made.
    """

    @functools.wraps(function)
    def computed(*args, **kwargs):
        on = [device for device in DEVICES if torch.is_autocast_enabled(device)]
        if not on:
            return function(*args, **kwargs)
        with contextlib.ExitStack() as off:
            for device in on:
                off.enter_context(torch.autocast(device, enabled=False))
            return function(*args, **kwargs)

    return computed
