"""The steps of the Lanczos recurrence, for one start vector or several in lock-step."""

import torch

from hspec.linalg import reorthogonalization
from hspec.linalg.checkpoint import Checkpoint, checksum
from hspec.linalg.inner_products import inner, norms
from hspec.linalg.symmetry import SYMMETRY, asymmetry_error
from hspec.linalg.tridiagonal import Tridiagonal

BASIS_DTYPES = (torch.bfloat16, torch.float32, torch.float64)
GPU_LOOK = 8  # steps between two looks at the scalars on a GPU, where each look stops the stream
# β below this share of ‖T‖ is rounding: the subspace is invariant. The recurrence amplifies the products' own
# rounding by orders of magnitude. Stopping early would cost the bulk, whose width may be a millionth of ‖T‖, so the
# float32 value is hardly above the products' rounding; missing a stop is harmless there, for what follows enters
# with weight zero.
INVARIANT = {torch.float32: 1e-6, torch.float64: 1e-12}


class Recurrence:
    """Lanczos runs from n_v start vectors in lock-step: one product with a block of n_v columns a step.

    The machinery below `lanczos` and `slq`. State: basis rows V (n_v, m, p), scalars (n_v, m) on the device,
    the current unit vectors q and the ones before (n_v, p).
    """

    def __init__(
        self,
        A,
        starts,
        num_steps,
        *,
        reorthogonalize,
        basis_dtype=None,
        check=True,
        keep_basis=True,
        buffer=None,
    ):
        num_probes, p = starts.shape
        _check_arguments(p, num_steps, starts, basis_dtype)
        basis_dtype = basis_dtype or A.dtype
        self.A, self.num_steps, self.check = A, num_steps, check
        working = torch.promote_types(A.dtype, basis_dtype)  # bfloat16 bases work in A's precision
        self.eps = torch.finfo(A.dtype).eps
        self.reorthogonalize = reorthogonalization.make(reorthogonalize, num_probes, num_steps, self.eps)
        self.Q = None if A.removed_basis is None else A.removed_basis.to(working)
        starts = left_of(self.Q, starts.to(working))
        self.q = starts / norms(starts)[:, None].to(working)
        self.q_before, self.spare = torch.zeros_like(self.q), torch.empty_like(self.q)
        keep = keep_basis or self.reorthogonalize.needs_basis
        self.V = None
        if keep:  # in the buffer of a run of the same shape that is over, or in memory of its own
            shape = (num_probes, num_steps, p)
            self.V = torch.empty(shape, dtype=basis_dtype, device=A.device) if buffer is None else buffer
        self.alphas = starts.new_zeros((num_probes, num_steps), dtype=torch.float64)
        self.betas = torch.zeros_like(self.alphas)
        self.step = self.saved = 0
        self.alive = torch.ones(
            num_probes, dtype=torch.bool, device=starts.device
        )  # whose βs all exceed rounding
        self.checkpoint, self.checkpoint_every = None, num_steps
        self.fingerprint = {
            "operator": f"{A.name} {A.shape} {A.dtype}",
            "start": checksum(starts),
            "settings": f"{num_steps} steps, reorthogonalize={reorthogonalize}, {basis_dtype}, basis kept={keep}",
        }

    def finish(self, callback=None) -> list[Tridiagonal]:
        """Run to the end; one result per start vector."""
        while self.step < self.num_steps and not self._all_stopped():
            self._advance()
            if self.step == 2 and self.check:
                self._check_symmetry()
            if self.step - self.saved >= self.checkpoint_every or self.step == self.num_steps:
                self._save()
            if callback is not None:
                callback(self.step, self.num_steps)
        return self._results()

    def _advance(self) -> None:
        j, q, dtype = self.step, self.q, self.q.dtype
        w = self._product(q)
        if j == 1 and self.check:
            self.mirror = inner(self.q_before, w), norms(w)
        alpha = inner(q, w)
        # Into a buffer of the run's own: w may be the operator's, and fresh memory for long vectors is slow.
        w = torch.addcmul(w, alpha[:, None].to(dtype), q, value=-1, out=self.spare)
        if j:
            w.addcmul_(self.betas[:, j - 1 : j].to(dtype), self.q_before, value=-1)
        if self.Q is not None:  # rounding must not lead back to what a deflation took out
            w -= (w @ self.Q) @ self.Q.T
        self.alphas[:, j] = alpha
        if self.V is not None:
            self.V[:, j] = q
        basis = None if self.V is None else self.V[:, : j + 1]
        correction, beta = self.reorthogonalize(w, basis, self.q_before, self.alphas, self.betas)
        self.alphas[:, j] += correction
        self.betas[:, j] = beta
        # A stopped run has its residual as one more vector, and then zeros: no branch, so no look at the scalars.
        shrink = torch.where(self.alive & (beta > 0), 1.0 / beta, 0.0)
        self.q_before, self.q, self.spare = q, w.mul_(shrink[:, None].to(dtype)), self.q_before
        self.alive &= beta > INVARIANT[self.A.dtype] * self._norm_estimate().amax(1)
        self.step += 1

    def _product(self, q: torch.Tensor) -> torch.Tensor:
        q = q.to(self.A.dtype)
        w = self.A @ q[0] if len(q) == 1 else (self.A @ q.T).T
        return w.reshape(q.shape).to(self.q.dtype).contiguous()  # one layout, so that a resumed run repeats

    def _norm_estimate(self) -> torch.Tensor:
        """|α_j| + β_{j−1} + β_j, whose largest bounds ‖T‖ from above and is at most 3 ‖T‖; (n_v, m)."""
        before = torch.nn.functional.pad(self.betas, (1, 0))[:, :-1]
        return self.alphas.abs() + before + self.betas

    def _alive_at(self) -> torch.Tensor:
        """Whether no β up to and with each step was rounding, (n_v, steps done) bool; a β that is nan counts as it."""
        scale = self._norm_estimate()[:, : self.step].cummax(1).values
        return (self.betas[:, : self.step] > INVARIANT[self.A.dtype] * scale).long().cumprod(1).bool()

    def _lengths(self) -> list[int]:
        """Steps per probe, up to the one whose β is rounding.

        Raises FloatingPointError if a product was not finite by then.
        """
        lengths = (self._alive_at().sum(1) + 1).clamp(max=self.step).tolist()
        for alphas, betas, m in zip(self.alphas, self.betas, lengths, strict=True):
            if not torch.isfinite(alphas[:m] + betas[:m]).all():
                raise FloatingPointError(
                    f"{self.A} @ v is not finite by step {m}: look for overflow or nan in the operator "
                    "(a diverged network, a loss in low precision)."
                )
        return lengths

    def _all_stopped(self) -> bool:
        if self.step == 0 or (self.q.device.type != "cpu" and self.step % GPU_LOOK):
            return False
        return not bool(self.alive.any())

    def _check_symmetry(self) -> None:
        """q_1·A q_2 = q_2·A q_1 = β_1; a matrix that is not symmetric, or changes between products, fails."""
        mirrored, size = self.mirror
        off = (mirrored - self.betas[:, 0]).abs()
        tolerance = SYMMETRY[self.A.dtype] * (size + self.betas[:, 0])
        if bool((off > tolerance).any()):
            worst, v = float(off.max()), self.q_before[int(off.argmax())].to(self.A.dtype)
            raise asymmetry_error(self.A, worst, float(size.max()), v)

    def resume_from(self, folder, every: int) -> None:
        """Save the state in `folder` every so many steps, and start from what is there."""
        if every < 1:
            raise ValueError(f"checkpoint_every must be at least 1; got {every}.")
        self.checkpoint, self.checkpoint_every = Checkpoint(folder, self.fingerprint), every
        for step, piece in self.checkpoint.load():
            if "V" in piece:
                self.V[:, self.step : step] = piece["V"].to(self.V)
            self.step = self.saved = step
        if self.step:
            self._restore(piece)

    def _restore(self, piece: dict[str, torch.Tensor]) -> None:
        self.alphas[:, : self.step] = piece["alphas"].to(self.alphas)
        self.betas[:, : self.step] = piece["betas"].to(self.betas)
        self.q, self.q_before = piece["q"].to(self.q), piece["q_before"].to(self.q)
        self.reorthogonalize.restore(piece)
        self.alive = self._alive_at()[:, -1]
        alpha = inner(self.q_before, self._product(self.q_before))
        off = (alpha - self.alphas[:, self.step - 1]).abs()
        if bool((off > SYMMETRY[self.A.dtype] * self._norm_estimate().amax(1)).any()):
            raise ValueError(
                f"{self.A} is no longer the matrix whose run {self.checkpoint.folder} holds: "
                "delete that folder, or name another."
            )

    def _save(self) -> None:
        if self.checkpoint is not None:
            rows = {} if self.V is None else {"V": self.V[:, self.saved : self.step]}
            self.checkpoint.save(self.step, self._state() | rows)
            self.saved = self.step

    def _state(self) -> dict[str, torch.Tensor]:
        return {
            "alphas": self.alphas[:, : self.step],
            "betas": self.betas[:, : self.step],
            "q": self.q,
            "q_before": self.q_before,
            **self.reorthogonalize.state(),
        }

    def forget_basis(self) -> None:
        """Leave of a finished run's checkpoint the scalars only: kilobytes, from which its result is known."""
        if self.checkpoint is not None:
            self.checkpoint.save(self.step, self._state())
            self.checkpoint.keep_only(self.step)

    def _results(self) -> list[Tridiagonal]:
        return [self._result(i, m) for i, m in enumerate(self._lengths())]

    def _result(self, i: int, m: int) -> Tridiagonal:
        alphas, betas = self.alphas[i, :m].cpu().numpy(), self.betas[i, :m].cpu().numpy()
        norm = float(betas[-1])
        if self.V is None:
            return Tridiagonal(alphas, betas[:-1], None, None, norm)
        after = self.q[i] if m == self.step else self.V[i, m].to(self.q)
        return Tridiagonal(alphas, betas[:-1], self.V[i, :m].T, after * norm, norm)


def left_of(Q: torch.Tensor | None, starts: torch.Tensor) -> torch.Tensor:
    """The starts (n_v, p) without their parts in what a deflation has taken out, Q (p, k).

    Raises ValueError where nothing is left of one.
    """
    if Q is None or not bool((norms(starts @ Q) > torch.finfo(Q.dtype).eps ** 0.5 * norms(starts)).any()):
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
