"""Whether an operator is the symmetric matrix that it promises to be,
and what is known where it is not.
"""

import torch

from hspec.linalg.inner_products import norms
from hspec.linalg.operator import LinearOperator

# u·Av and v·Au may differ by this share of |Av|. The first two Lanczos vectors are a far sharper
# test than random u, v, whose products with a p-dimensional matrix of any kind are smaller than
# |Av| by √p.
SYMMETRY = {torch.float32: 1e-3, torch.float64: 1e-8}


def asymmetry_error(A: LinearOperator, off: float, size: float, v: torch.Tensor) -> ValueError:
    """The error to raise where u·Av and v·Au differ by `off`, |Av| being `size`; v (p,) is
    multiplied twice.

    It tells a matrix that changes from one that is not symmetric, and adds what the operator finds
    out about itself (`LinearOperator.diagnosis`).
    """
    first, second = A @ v, A @ v
    change, length = norms(torch.stack([first - second, first])).tolist()
    if change > SYMMETRY[A.dtype] * length:
        return ValueError(
            f"{A} changes between two products: the same vector multiplied twice gave results that "
            "differ by "
            f"{change / length:.2g} of their length. Make it a fixed matrix: fix whatever in it is "
            "drawn at "
            f"random or comes in another order each time. {A.diagnosis()}".rstrip()
        )
    return ValueError(
        f"{A} is not symmetric: u·Av and v·Au differ by {off:.3g}, |Av| is about {size:.3g}, and "
        "the same "
        f"product made twice is the same. {A.diagnosis() or UNKNOWN}"
    )


UNKNOWN = (
    "If it is made of derivatives, one of them is wrong or missing, as in a backward pass written "
    "by hand; "
    "a matrix M given by its entries becomes symmetric as (M + M.T) / 2; if rounding in its "
    "products is as "
    "large as this, check=False leaves the test out."
)
