"""The scalars of Lanczos runs in lock-step, and when a run has come to its end."""

import torch

from hspec.linalg.operator import LinearOperator

# β below this share of ‖T‖ is rounding: the subspace is invariant. The recurrence amplifies the
# products' own rounding by orders of magnitude. Stopping early would cost the bulk, whose width may
# be a millionth of ‖T‖, so the float32 value is hardly above the products' rounding; missing a stop
# is harmless there, for what follows enters with weight zero.
INVARIANT = {torch.float32: 1e-6, torch.float64: 1e-12}
GPU_LOOK = 8  # steps between two looks at the scalars on a GPU, where each look stops the stream


class Scalars:
    """α_j and β_j of n_v runs, (n_v, m) float64 on the device, and which of the runs go on."""

    def __init__(self, num_probes: int, num_steps: int, A: LinearOperator) -> None:
        self.A, self.share = A, INVARIANT[A.dtype]
        self.alphas = torch.zeros(num_probes, num_steps, dtype=torch.float64, device=A.device)
        self.betas = torch.zeros_like(self.alphas)
        self.alive = torch.ones(
            num_probes, dtype=torch.bool, device=A.device
        )  # all βs exceed rounding
        self.scale = torch.zeros_like(self.alphas[:, 0])  # the largest |α_j| + β_{j−1} + β_j so far
        self.step = 0

    def record(self, alpha: torch.Tensor, beta: torch.Tensor) -> None:
        """The scalars (n_v,) of one step more."""
        j = self.step
        self.alphas[:, j], self.betas[:, j] = alpha, beta
        size = alpha.abs() + self.betas[:, j - 1] + beta if j else alpha.abs() + beta
        torch.maximum(self.scale, size, out=self.scale)
        self.alive &= beta > self.share * self.scale
        self.step += 1

    def _norm_estimate(self) -> torch.Tensor:
        """|α_j| + β_{j−1} + β_j, whose largest bounds ‖T‖ from above and is at most 3 ‖T‖;
        (n_v, m).
        """
        before = torch.nn.functional.pad(self.betas, (1, 0))[:, :-1]
        return self.alphas.abs() + before + self.betas

    def all_stopped(self) -> bool:
        """Whether no run goes on; on a GPU looked at every few steps."""
        if self.step == 0 or (self.A.device.type != "cpu" and self.step % GPU_LOOK):
            return False
        return not bool(self.alive.any())

    def lengths(self) -> list[int]:
        """Steps of each run, up to the one whose β is rounding; a β that is nan counts as it.

        Raises FloatingPointError if a product was not finite by then.
        """
        scale = self._norm_estimate()[:, : self.step].cummax(1).values
        large = (self.betas[:, : self.step] > self.share * scale).long().cumprod(1)
        lengths = (large.sum(1) + 1).clamp(max=self.step).tolist()
        for alphas, betas, m in zip(self.alphas, self.betas, lengths, strict=True):
            if not torch.isfinite(alphas[:m] + betas[:m]).all():
                raise FloatingPointError(
                    f"{self.A} @ v is not finite by step {m}: look for overflow or nan in the "
                    "operator "
                    "(a diverged network, a loss in low precision)."
                )
        return lengths
