"""Numerics inside products: float32 means float32 unless the caller asked for less."""

import contextlib

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

PRECISIONS = {"exact": "highest", "fast": "high"}  # names of torch.set_float32_matmul_precision


@contextlib.contextmanager
def numerics(device: torch.device, precision: str):
    """Reduced-precision matrix products (TF32 on CUDA) on only for "fast"; autocast off; attention by its math kernel.

    The math kernel is the only one of scaled-dot-product attention that has a second derivative everywhere.
    """
    before, before_conv = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(PRECISIONS[precision])
    torch.backends.cudnn.allow_tf32 = precision == "fast"
    try:
        with torch.autocast(device.type, enabled=False), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = before_conv
