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
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
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


def parts(t: Tensor) -> list[Tensor]:
    """The dense tensors that a tensor is made of: indices and values of a sparse one."""
    if t.layout is torch.strided:
        return [t]
    t = t.detach()
    if t.layout is torch.sparse_coo:
        return [t._indices(), t._values()]
    if t.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [t.crow_indices(), t.col_indices(), t.values()]
    return [t.ccol_indices(), t.row_indices(), t.values()]


def dense(content: object) -> list[Tensor]:
    """All tensors of a batch, of sparse ones what they are made of."""
    return [part for t in tensors(content) for part in parts(t)]


def is_finite(t: Tensor) -> bool:
    """Whether no entry is infinite or nan: by the least and the largest, to which nan goes on,
    in a tenth of the time that asking every entry takes.
    """
    *_, t = parts(t)
    if t.dtype not in ORDERED or not t.numel():
        return bool(t.isfinite().all())
    return bool(torch.stack(t.detach().aminmax()).isfinite().all())


def equal(a: object, b: object) -> bool:
    """Whether two batches hold the same tensors, in the same places."""
    pairs = list(zip(tensors(a), tensors(b), strict=False))
    count = sum(1 for _ in tensors(a)), sum(1 for _ in tensors(b))
    return count[0] == count[1] and all(
        s.layout is t.layout and s.shape == t.shape and all(map(_equal, *map(parts, (s, t))))
        for s, t in pairs
    )


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
    """A batch with its tensors on `device`, floating ones in `dtype`, complex ones in the complex
    dtype of that precision; integers, booleans, all else as they are.

    anew: in memory of their own, also where nothing is to be done.
    """

    def put(t: Tensor) -> Tensor:
        kind = dtype if t.is_floating_point() else COMPLEX[dtype] if t.is_complex() else None
        there = t.to(device) if kind is None else t.to(device, kind)
        # an inference tensor cannot be part of a graph; its copy can
        return copied(there) if there is t and (anew or t.is_inference()) else there

    return mapped(content, put)


def once(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same of one tensor wherever it stands: inputs that are targets, too, stay one tensor."""
    found: dict[int, tuple[Tensor, Tensor]] = {}

    def of(t: Tensor) -> Tensor:
        if id(t) not in found:
            found[id(t)] = t, function(t)
        return found[id(t)][1]

    return of


def copied(t: Tensor) -> Tensor:
    """The same numbers elsewhere; as a leaf, like the tensors of a batch."""
    return t.detach().clone().requires_grad_(t.requires_grad)


def mapped(content: T, function: Callable[[Tensor], Tensor]) -> T:
    """A batch with every tensor t replaced by function(t), in containers of the same kinds."""
    return _mapped(content, once(function))


def _mapped(content: T, function: Callable[[Tensor], Tensor]) -> T:
    if isinstance(content, Tensor):
        return function(content)
    if isinstance(content, MutableMapping):
        with contextlib.suppress(
            TypeError
        ):  # keeps classes such as BatchEncoding, with their attributes
            other = copy.copy(content)
            for key, value in content.items():
                other[key] = _mapped(value, function)
            return other
    if isinstance(content, Mapping):
        return {key: _mapped(value, function) for key, value in content.items()}
    if isinstance(content, tuple) and hasattr(content, "_fields"):
        return type(content)(*(_mapped(value, function) for value in content))
    if isinstance(content, list | tuple):
        return type(content)(_mapped(value, function) for value in content)
    return content
