"""What a batch holds: tensors, however nested in lists, tuples and mappings."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
REAL = (torch.float32, torch.float64)
# kinds of numbers that PyTorch finds the least and the largest of
ORDERED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def tensors(content: object) -> Iterator[Tensor]:
    """All tensors of a batch, however nested in lists, tuples and mappings."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from tensors(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from tensors(value)


def is_finite(t: Tensor) -> bool:
    """Whether no entry is infinite or nan: by the least and the largest, to which nan goes on,
    in a tenth of the time that asking every entry takes.
    """
    if t.dtype not in ORDERED or not t.numel():
        return bool(t.isfinite().all())
    return bool(torch.stack(t.detach().aminmax()).isfinite().all())


def equal(a: object, b: object) -> bool:
    """Whether two batches hold the same tensors, in the same places."""
    pairs = list(zip(tensors(a), tensors(b), strict=False))
    count = sum(1 for _ in tensors(a)), sum(1 for _ in tensors(b))
    return count[0] == count[1] and all(_equal(s, t) for s, t in pairs)


def _equal(s: Tensor, t: Tensor) -> bool:
    """By NumPy where it can be: in a third of the time that torch.equal takes on a CPU."""
    if _is_an_array(s) and _is_an_array(t):
        return np.array_equal(s.detach().numpy(), t.detach().numpy())
    return torch.equal(s, t)


def _is_an_array(t: Tensor) -> bool:
    """Whether NumPy can look at its memory: not that of a subclass, nor numbers whose signs are
    still to be changed, such as imaginary parts of a conjugate.
    """
    plain = type(t) is Tensor and t.dtype in REAL and t.device.type == "cpu"
    return plain and t.layout is torch.strided and not t.is_neg()


def moved(content: T, device: torch.device, dtype: torch.dtype, *, anew: bool = False) -> T:
    """A batch with its tensors on `device`, floating ones in `dtype`; integers, booleans, all else
    as they are.

    anew: in memory of their own, also where nothing is to be done.
    """

    def put(t: Tensor) -> Tensor:
        there = t.to(device, dtype) if t.is_floating_point() else t.to(device)
        # an inference tensor cannot be part of a graph; its copy can
        return copied(there) if there is t and (anew or t.is_inference()) else there

    return mapped(content, put)


def copied(t: Tensor) -> Tensor:
    """The same numbers elsewhere; as a leaf, like the tensors of a batch."""
    return t.detach().clone().requires_grad_(t.requires_grad)


def mapped(content: T, function: Callable[[Tensor], Tensor]) -> T:
    """A batch with every tensor t replaced by function(t), in containers of the same kinds."""
    if isinstance(content, Tensor):
        return function(content)
    if isinstance(content, MutableMapping):
        with contextlib.suppress(
            TypeError
        ):  # keeps classes such as BatchEncoding, with their attributes
            other = copy.copy(content)
            for key, value in content.items():
                other[key] = mapped(value, function)
            return other
    if isinstance(content, Mapping):
        return {key: mapped(value, function) for key, value in content.items()}
    if isinstance(content, tuple) and hasattr(content, "_fields"):
        return type(content)(*(mapped(value, function) for value in content))
    if isinstance(content, list | tuple):
        return type(content)(mapped(value, function) for value in content)
    return content
