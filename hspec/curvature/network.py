"""A private copy of the user's module: the function θ ↦ logits, with θ a chosen set of its parameters."""

import copy
import itertools

import torch
from torch import Tensor, nn


class Network:
    """A detached deep copy of a module whose chosen parameters are the coordinates of θ ∈ R^p, in their order.

    Tied parameters are one coordinate block; frozen ones (requires_grad False) are constants.
    """

    def __init__(self, module: nn.Module, parameters, dtype: torch.dtype | None):
        self.module = _private_copy(module)
        chosen = _choose(self.module, parameters)
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        self.module.to(dtype=_common_dtype(self.module, dtype))
        self.parameters = [
            p.requires_grad_(True) for name, p in self.module.named_parameters() if name in chosen
        ]
        ends = list(itertools.accumulate(p.numel() for p in self.parameters))
        names = [name for name, _ in self.module.named_parameters() if name in chosen]
        self.slices = {
            name: slice(end - p.numel(), end)
            for name, p, end in zip(names, self.parameters, ends, strict=True)
        }
        self.num_parameters = ends[-1]
        self.dtype, self.device = self.parameters[0].dtype, self.parameters[0].device

    def __call__(self, x: Tensor) -> Tensor:
        return self.module(x)

    def unflatten(self, flat: Tensor) -> list[Tensor]:
        """(..., p) to a list of (..., *shape) views, one per parameter."""
        pieces = flat.split([p.numel() for p in self.parameters], -1)
        return [
            piece.reshape(*flat.shape[:-1], *p.shape)
            for piece, p in zip(pieces, self.parameters, strict=True)
        ]


def _private_copy(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise TypeError(
            f"{type(module).__name__} cannot be copied ({error}), and a Risk works on a copy so as never to change "
            "the module. Remove what cannot be copied (hooks that hold graphs, non-leaf tensors as attributes)"
        ) from error


def _choose(module: nn.Module, patterns) -> set[str]:
    """Canonical names of the trainable parameters that match `patterns` (names or prefixes; None matches all)."""
    trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if patterns is None:
        if not trainable:
            raise ValueError(
                "the module has no trainable parameters: set requires_grad on those that θ consists of"
            )
        return set(trainable)
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    if not patterns:
        raise ValueError(f"parameters is empty. Available: {', '.join(trainable) or 'none'}")
    canonical = {id(p): name for name, p in trainable.items()}
    every_name = dict(module.named_parameters(remove_duplicate=False))  # a tied parameter has several names
    chosen = set()
    for pattern in patterns:
        found = {
            canonical[id(p)]
            for name, p in every_name.items()
            if id(p) in canonical and (name == pattern or name.startswith(pattern.rstrip(".") + "."))
        }
        if not found:
            raise ValueError(
                f"parameters={pattern!r} matches no trainable parameter. Available: {', '.join(trainable) or 'none'}"
            )
        chosen |= found
    return chosen


def _common_dtype(module: nn.Module, dtype: torch.dtype | None) -> torch.dtype:
    """The floating dtype to compute in; refuses a module spread over devices, dtypes, or with non-finite numbers."""
    named = [(n, t) for n, t in (*module.named_parameters(), *module.named_buffers())]
    devices = sorted({str(t.device) for _, t in named})
    if len(devices) > 1:
        raise ValueError(
            f"the module lives on several devices ({', '.join(devices)}): move it to one, model.to(device)"
        )
    floating = [(n, t) for n, t in named if t.is_floating_point()]
    dtypes = sorted({str(t.dtype).removeprefix("torch.") for _, t in floating})
    if len(dtypes) > 1 and dtype is None:
        raise ValueError(
            f"the module mixes dtypes ({', '.join(dtypes)}): convert it, or pass dtype=torch.float64"
        )
    dtype = dtype or floating[0][1].dtype
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"second derivatives need float32 or float64, not {dtype}: pass dtype=torch.float32")
    for name, tensor in floating:
        if not tensor.isfinite().all():
            raise ValueError(
                f"{name!r} holds non-finite numbers: the training diverged, or the checkpoint is damaged"
            )
    return dtype
