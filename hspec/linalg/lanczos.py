"""The Lanczos recurrence: an orthonormal basis in which a symmetric matrix is tridiagonal."""

import os
from collections.abc import Callable, Collection

import torch

from hspec.linalg.arguments import guards_of, whole_number
from hspec.linalg.autocast import without_autocast
from hspec.linalg.operator import LinearOperator, aslinearoperator
from hspec.linalg.recurrence import Recurrence
from hspec.linalg.remembered import Remembered
from hspec.linalg.tridiagonal import Tridiagonal


@without_autocast
def lanczos(
    A: LinearOperator | torch.Tensor,
    v: torch.Tensor,
    num_steps: int,
    *,
    reorthogonalize: str = "full",
    basis_dtype: torch.dtype | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 10,
    callback: Callable[[int, int], None] | None = None,
    check: bool | str | Collection[str] = True,
) -> Tridiagonal:
    """m Lanczos steps from v, one product each: A V = V T + r e_mᵀ, V's first column v/‖v‖.

    Args:
        A: symmetric operator, or dense symmetric matrix (p, p).
        v: (p,) start vector of A's dtype, of any length but zero; of a deflated A its part in what
            is left.
        num_steps: m ≤ p; fewer are done if the Krylov space turns out to be invariant: β ≤ 1e-6 ‖T‖
            in float32, 1e-12 ‖T‖ in float64.
        reorthogonalize: "full", "partial" or "none": see `reorthogonalization`.
        basis_dtype: of V: A's own by default; bfloat16 halves the memory; float64 over float32
            products runs the whole recurrence in float64.
        checkpoint: a folder in which the products are kept, `checkpoint_every` at a time; a later
            call from the same v, with more steps too, takes them from there, to the same numbers,
            after one product that makes sure that A is still the same matrix (see `remembered`).
        checkpoint_every: products written at a time; a kill loses fewer.
        callback: called with (steps done, num_steps) after each step.
        check: the guard "symmetry": compare q_1·A q_2 with q_2·A q_1, which costs no product. True,
            False, or its name.

    Returns:
        Scalars in float64, the basis, and the residual. Scalars stay on the device meanwhile; on a
        GPU they are looked at every 8 steps only.

    Raises:
        ValueError: arguments that do not fit (m > p, a zero or non-finite v, shape, dtype, device),
            an operator that is not symmetric, or a checkpoint of another operator.
        FloatingPointError: a product that is not finite.
        OSError: the checkpoint cannot be written; what is there stays.

    Example:
        >>> result = lanczos(torch.diag(torch.tensor([1.0, 2.0, 4.0])), torch.ones(3), 3)
        >>> result.ritz()[0].round(4)
        array([1., 2., 4.])

    Source: UCS17 section 3; pitfalls of the bare recurrence: P19's code.
    """
    A = aslinearoperator(A)
    if not isinstance(v, torch.Tensor) or v.shape != A.shape[:1]:
        shape = tuple(v.shape) if isinstance(v, torch.Tensor) else type(v).__name__
        raise ValueError(
            f"The start vector must be a tensor of shape ({A.shape[0]},); got {shape}."
        )
    A._check(v, "started from")
    num_steps = whole_number(num_steps, "The number of Lanczos steps")
    operator = A if checkpoint is None else Remembered(A, checkpoint, checkpoint_every)
    run = Recurrence(
        operator,
        v[None],
        num_steps,
        reorthogonalize=reorthogonalize,
        basis_dtype=basis_dtype,
        check=bool(guards_of(check, ("symmetry",))),
    )
    (result,) = run.finish(callback)
    if checkpoint is not None:
        operator.flush()
    return result
