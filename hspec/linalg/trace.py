"""Random probes, and the trace they estimate."""

import numpy as np
import torch

from hspec.linalg.arguments import random_source, whole_number
from hspec.linalg.autocast import without_autocast
from hspec.linalg.inner_products import inner
from hspec.linalg.operator import LinearOperator, aslinearoperator
from hspec.statistics import mean_and_error

PROBES = ("gaussian", "rademacher")


def draw_probe(
    A: LinearOperator, generator: torch.Generator, kind: str = "gaussian"
) -> torch.Tensor:
    """A random vector (p,) of A's dtype and device with E[v vᵀ] = I (I − QQᵀ if A is deflated by
    Q).

    Drawn in float64 on the generator's device, so that runs in float32 and float64 see the same
    probe. Of several ranks, the first one draws for all.

    Args:
        A: the operator to be probed.
        generator: the one source of randomness.
        kind: "gaussian" or "rademacher" (random signs).

    Raises:
        TypeError: generator is no torch.Generator.
        ValueError: another kind.
    """
    random_source(generator)
    options = {"generator": generator, "device": generator.device, "dtype": torch.float64}
    if kind == "gaussian":
        v = torch.randn(A.shape[0], **options)
    elif kind == "rademacher":
        v = 2.0 * torch.randint(0, 2, A.shape[:1], **options) - 1.0
    else:
        raise ValueError(f"Probes are {' or '.join(PROBES)}; got {kind!r}.")
    v = A.ranks.first(v.to(A.device, A.dtype))
    for _ in range(
        0 if A.removed_basis is None else 2
    ):  # twice, so that rounding leaves nothing of Q
        v = v - A.removed_basis @ (A.removed_basis.T @ v)
    return v


@without_autocast
def hutchinson_trace(
    A: LinearOperator | torch.Tensor, num_probes: int, *, generator: torch.Generator
) -> tuple[float, float]:
    """tr A as the mean of v·Av over random signs v, and its standard error; one product each.

    The better choice for a spectrum without outliers and without decay; else see `trace`.

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p). Of a deflated one the trace of what
            is left.
        num_probes: the standard error is NaN for one.
        generator: the one source of randomness.

    Raises:
        FloatingPointError: a product that is not finite.

    Example:
        >>> hutchinson_trace(3.0 * identity(5), 4, generator=torch.Generator().manual_seed(0))
        (15.0, 0.0)

    Source: UCS17 section 2.
    """
    A = aslinearoperator(A)
    values = []
    for _ in range(whole_number(num_probes, "The number of probes")):
        v = draw_probe(A, generator, "rademacher")
        values.append(inner(v[None], (A @ v)[None]))
    values = torch.cat(values).cpu().numpy()
    if not np.isfinite(values).all():
        raise FloatingPointError(
            f"{A} @ v is not finite: look for overflow or nan in the operator."
        )
    mean, error = mean_and_error(values)
    return float(mean), float(error)
