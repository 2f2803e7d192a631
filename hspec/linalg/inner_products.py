"""Row-wise inner products in float64, whatever the vectors' precision."""

import torch

CHUNK = 1 << 16  # entries summed in the vectors' own precision before float64 takes over


def inner(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """a_i·b_i of the rows of A and B (n, p), in float64 on their device, (n,).

    On the CPU by chunks of the library's own dot product: a sum over float32 entries asked for in float64
    converts every entry, at ten times the price or more.
    """
    if A.device.type != "cpu":
        return (A * B).sum(1, dtype=torch.float64)
    return torch.stack([_chunked_dot(a, b) for a, b in zip(A, B, strict=True)])


def norms(A: torch.Tensor) -> torch.Tensor:
    """‖a_i‖ of the rows of A (n, p), in float64, (n,)."""
    if A.device.type != "cpu":
        return torch.linalg.vector_norm(A, dim=1, dtype=torch.float64)
    return inner(A, A).sqrt()


def _chunked_dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    pairs = zip(a.split(CHUNK), b.split(CHUNK), strict=True)
    return torch.stack([torch.dot(x, y) for x, y in pairs]).double().sum()
