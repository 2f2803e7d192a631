"""Inner products in float64, whatever the vectors' precision:
sums over millions of float32 entries lose digits.
"""

import torch

# Entries summed in the vectors' own precision before float64 takes over: by dot products, which
# keep many partial sums at a time, and by matrix products, which keep one.
CHUNK, SHORT = 1 << 16, 1 << 9
GRAM_BYTES = 1 << 28  # of a matrix converted to float64 at a time
SQUARES = (
    1e-24,
    1e37,
)  # of norms whose parts are well within float32, for vectors of up to 1e9 entries


def inner(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """a_i·b_i of the rows of A and B (n, p), in float64 on their device, (n,).

    On the CPU by chunks of the library's own dot product: a sum over float32 entries asked for in
    float64 converts every entry, at ten times the price or more.
    """
    if A.device.type != "cpu":
        return (A * B).sum(1, dtype=torch.float64)
    if A.shape[0] == 1 and A.shape[1] <= CHUNK:
        return torch.dot(A[0], B[0]).double().view(1)
    return torch.stack([_chunked_dot(a, b) for a, b in zip(A.unbind(), B.unbind(), strict=True)])


def cross(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """A Bᵀ of rows A (n, p) and B (k, p), in float64 on their device, (n, k).

    By short chunks: libraries add up a float32 matrix product's terms one after the other, and over
    ten million terms of one sign lose all but three digits.
    """
    whole = A.shape[1] // SHORT * SHORT
    left, right = (M[:, :whole].unflatten(1, (-1, SHORT)).transpose(0, 1) for M in (A, B))
    rest = (A[:, whole:] @ B[:, whole:].T).double()
    return rest + (left @ right.mT).double().sum(0) if whole else rest


def gram(F: torch.Tensor) -> torch.Tensor:
    """FᵀF of columns F (p, k), in float64, (k, k)."""
    k = F.shape[1]
    total = torch.zeros(k, k, dtype=torch.float64, device=F.device)
    for rows in F.split(max(1, GRAM_BYTES // (8 * max(1, k)))):
        rows = rows.double()
        total.addmm_(rows.T, rows)
    return total


def norms(A: torch.Tensor) -> torch.Tensor:
    """‖a_i‖ of the rows of A (n, p), in float64, (n,).

    Squares that A's own precision does not hold are taken in float64: float32 ends at 1e-38 and
    3e38, so that norms below 1e-19 or above 1e19 would come out as zero or infinite.
    """
    if A.device.type == "cpu":
        squares = inner(A, A)
        least, most = SQUARES
        if A.dtype == torch.float64 or all(least < square < most for square in squares.tolist()):
            return squares.sqrt()
    return torch.linalg.vector_norm(A, dim=1, dtype=torch.float64)


def _chunked_dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    if a.numel() <= CHUNK:
        return torch.dot(a, b).double()
    pairs = zip(a.split(CHUNK), b.split(CHUNK), strict=True)
    return torch.stack([torch.dot(x, y) for x, y in pairs]).double().sum()
