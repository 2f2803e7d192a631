"""Memory for a basis."""

import math

import numpy as np
import torch


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """An uninitialised tensor; on the CPU in memory that NumPy asks for.

    NumPy tells Linux that large arrays may lie on huge pages, PyTorch does not: gigabytes are then mapped in hundreds
    of steps and not in hundreds of thousands, which can take longer than the arithmetic.
    """
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(math.prod(shape) * dtype.itemsize, np.uint8)).view(dtype).view(shape)
