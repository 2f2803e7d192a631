"""The steps of the Lanczos recurrence, for one start vector or several in lock-step."""

from collections.abc import Callable

import torch

from hspec.distributed import ALONE
from hspec.linalg import reorthogonalization
from hspec.linalg.inner_products import inner, norms
from hspec.linalg.operator import LinearOperator
from hspec.linalg.scalars import Scalars
from hspec.linalg.symmetry import SYMMETRY, asymmetry_error
from hspec.linalg.tridiagonal import Tridiagonal

BASIS_DTYPES = (torch.bfloat16, torch.float32, torch.float64)


class Recurrence:
    """Lanczos runs from n_v start vectors in lock-step: one product with a block of n_v columns a
    step.

        β_j q_{j+1} = A q_j − α_j q_j − β_{j−1} q_{j−1},    α_j = q_j·A q_j,    ‖q_{j+1}‖ = 1

    The machinery below `lanczos` and `slq`: buffers and the order of the steps. What is beside them
    has a place of its own: when a run ends (`scalars`), how the vectors stay orthogonal
    (`reorthogonalization`), whether A is symmetric (`symmetry`), how a killed run goes on
    (`remembered`).

    Args:
        A: the operator.
        starts: (n_v, p), of any length but zero.
        num_steps: m.
        reorthogonalize: "full", "partial" or "none".
        basis_dtype: of V (n_v, m, p); A's own by default.
        check: compare q_1·A q_2 with q_2·A q_1.
        keep_basis: V is wanted, whether reorthogonalising needs it or not. Where it is not, of
            several ranks each keeps its own coordinates of it: m·p/W numbers.
        buffer: the V of a run of the same shape that is over, to be written over.
    """

    def __init__(
        self,
        A: LinearOperator,
        starts: torch.Tensor,
        num_steps: int,
        *,
        reorthogonalize: str,
        basis_dtype: torch.dtype | None = None,
        check: bool = True,
        keep_basis: bool = True,
        buffer: torch.Tensor | None = None,
    ) -> None:
        num_probes, p = starts.shape
        _check_arguments(p, num_steps, starts, basis_dtype)
        basis_dtype = basis_dtype or A.dtype
        working = torch.promote_types(A.dtype, basis_dtype)  # bfloat16 bases work in A's precision
        self.A, self.num_steps, self.check = A, num_steps, check
        self.keepers = ALONE if keep_basis else A.ranks
        self.rows = self.keepers.rows(p)
        self.reorthogonalize = reorthogonalization.make(
            reorthogonalize, num_probes, num_steps, torch.finfo(A.dtype).eps, self.keepers
        )
        self.scalars = Scalars(num_probes, num_steps, A)
        self.Q = None if A.removed_basis is None else A.removed_basis.to(working)
        starts = left_of(self.Q, starts.to(working))
        self.q = starts / norms(starts)[:, None].to(working)
        self.q_before, self.spare = torch.zeros_like(self.q), torch.empty_like(self.q)
        self.V = buffer
        if buffer is None and (keep_basis or self.reorthogonalize.needs_basis):
            shape = num_probes, num_steps, self.rows.stop - self.rows.start
            self.V = torch.empty(shape, dtype=basis_dtype, device=A.device)

    def finish(self, callback: Callable[[int, int], None] | None = None) -> list[Tridiagonal]:
        """Run to the end; one result per start vector."""
        while self.scalars.step < self.num_steps and not self.scalars.all_stopped():
            self._advance()
            if self.scalars.step == 2 and self.check:
                self._check_symmetry()
            if callback is not None:
                callback(self.scalars.step, self.num_steps)
        return [self._result(i, m) for i, m in enumerate(self.scalars.lengths())]

    def _advance(self) -> None:
        w = self._product()
        if self.scalars.step == 1 and self.check:
            self.mirror = inner(self.q_before, w), norms(w)
        alpha = inner(self.q, w)
        w = self._minus(w, alpha)
        correction, beta = self._orthogonal(w, alpha)
        self._move_on(w, beta)
        self.scalars.record(alpha + correction, beta)

    def _product(self) -> torch.Tensor:
        """A q, for each row of q; a run that is continued goes on with its own q."""
        X = self.q.to(self.A.dtype).T
        taken, product = self.A.with_product(X)
        if taken is not X:
            self.q = taken.T.to(self.q)
        return product.T.to(self.q.dtype).contiguous()  # one layout, so that a resumed run repeats

    def _minus(self, w: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """w − α_j q_j − β_{j−1} q_{j−1}, in memory of the run's own:
        w's may be the operator's."""
        j, dtype = self.scalars.step, w.dtype
        w = torch.addcmul(w, alpha[:, None].to(dtype), self.q, value=-1, out=self.spare)
        if j:
            w.addcmul_(self.scalars.betas[:, j - 1 : j].to(dtype), self.q_before, value=-1)
        if self.Q is not None:  # rounding must not lead back to what a deflation took out
            w -= (w @ self.Q) @ self.Q.T
        return w

    def _orthogonal(
        self, w: torch.Tensor, alpha: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make w orthogonal to the basis, in place: what α_j gains by that, and β_j = ‖w‖;
        (n_v,) each.
        """
        j, basis = self.scalars.step, None
        self.scalars.alphas[:, j] = alpha
        if self.V is not None:
            self.V[:, j] = self.q[:, self.rows]
            basis = self.V[:, : j + 1]
        return self.reorthogonalize(
            w, basis, self.q, self.q_before, self.scalars.alphas, self.scalars.betas
        )

    def _move_on(self, w: torch.Tensor, beta: torch.Tensor) -> None:
        """q_{j+1} = w / β_j. A run that has stopped has its residual as one more vector, and then
        zeros.

        No branch, so no look at the scalars on a GPU.
        """
        shrink = torch.where(self.scalars.alive & (beta > 0), 1.0 / beta, 0.0)
        self.q_before, self.q, self.spare = (
            self.q,
            w.mul_(shrink[:, None].to(w.dtype)),
            self.q_before,
        )

    def _check_symmetry(self) -> None:
        """q_1·A q_2 = q_2·A q_1 = β_1; a matrix that is not symmetric,
        or changes between products, fails.
        """
        (mirrored, size), beta = self.mirror, self.scalars.betas[:, 0]
        off = (mirrored - beta).abs()
        # a bfloat16 basis takes the precision from β_1
        coarse = (
            torch.float32 if self.V is not None and self.V.dtype == torch.bfloat16 else self.A.dtype
        )
        if bool((off > SYMMETRY[coarse] * (size + beta)).any()):
            v = self.q_before[int(off.argmax())].to(self.A.dtype)
            raise asymmetry_error(self.A, float(off.max()), float(size.max()), v)

    def _result(self, i: int, m: int) -> Tridiagonal:
        alphas, betas = (x[i, :m].cpu().numpy() for x in (self.scalars.alphas, self.scalars.betas))
        norm = float(betas[-1])
        if self.V is None or self.keepers.size > 1:
            return Tridiagonal(alphas, betas[:-1], None, None, norm)
        after = self.q[i] if m == self.scalars.step else self.V[i, m].to(self.q)
        return Tridiagonal(alphas, betas[:-1], self.V[i, :m].T, after * norm, norm)


def left_of(Q: torch.Tensor | None, starts: torch.Tensor) -> torch.Tensor:
    """The starts (n_v, p) without their parts in what a deflation has taken out, Q (p, k).

    Raises ValueError where nothing is left of one.
    """
    if Q is None or not bool(
        (norms(starts @ Q) > torch.finfo(Q.dtype).eps ** 0.5 * norms(starts)).any()
    ):
        return starts
    left = starts - (starts @ Q) @ Q.T
    left = left - (left @ Q) @ Q.T
    if bool((norms(left) <= torch.finfo(Q.dtype).eps ** 0.5 * norms(starts)).any()):
        raise ValueError("The start vector lies in what was deflated: any other will do.")
    return left


def _check_arguments(p: int, num_steps: int, starts: torch.Tensor, basis_dtype) -> None:
    if not 1 <= num_steps <= p:
        raise ValueError(f"{num_steps} Lanczos steps asked of dimension p = {p}: ask for 1 to {p}.")
    if basis_dtype is not None and basis_dtype not in BASIS_DTYPES:
        raise ValueError(f"basis_dtype is bfloat16, float32 or float64; got {basis_dtype}.")
    if not torch.isfinite(starts).all():
        raise ValueError("The start vector has entries that are not finite.")
    if not (starts != 0).any(1).all():
        raise ValueError("The start vector is zero: any other will do.")
