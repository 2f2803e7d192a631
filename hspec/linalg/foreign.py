"""Matrices of other libraries, known by their products: SciPy's operators and sparse matrices,
curvlinops.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

DTYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


@dataclass(frozen=True)
class Products:
    """What is needed of another library's matrix: its product with a block of columns,
    and where it lives.
    """

    matmat: Callable[[torch.Tensor], torch.Tensor]  # (p, k) to (p, k)
    dimension: int
    dtype: torch.dtype
    device: torch.device


def products_of(A: object) -> Products | None:
    """The products of anything square that has a shape, a dtype and `@`; None where it has not.

    A NumPy dtype says that it multiplies NumPy arrays (SciPy's LinearOperator and sparse matrices),
    a torch dtype with a device that it multiplies tensors (curvlinops).

    Raises:
        ValueError: not square, or of another dtype than float32 and float64.
    """
    shape, dtype = getattr(A, "shape", None), getattr(A, "dtype", None)
    if dtype is None or not isinstance(shape, tuple) or not hasattr(A, "__matmul__"):
        return None
    kind = f"{type(A).__module__.partition('.')[0]}'s {type(A).__name__}"
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"A symmetric matrix is needed; got {kind} of shape {shape}.")
    if isinstance(dtype, torch.dtype):
        device = torch.device(getattr(A, "device", "cpu"))
        return Products(lambda X: (A @ X).detach(), shape[0], dtype, device)
    if dtype not in DTYPES:
        raise ValueError(
            f"Operators are float32 or float64; got {kind} of {dtype}: convert it, as by "
            "A.astype(float)."
        )
    return Products(lambda X: _by_numpy(A, X), shape[0], DTYPES[dtype], torch.device("cpu"))


def _by_numpy(A, X: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.asarray(A @ X.numpy(), order="C")).to(X.dtype)
