"""The softmax side of the loss, computed so that nothing is lost when it saturates.

Late in training p_top rounds to 1 and 1 − p_top to 0, while the Hessian lives on exactly that
difference. Everything here is written in the small probabilities, which log-softmax keeps to full
relative accuracy: 1 − p_top is the sum of the others, and the weighted mean of t is taken after
subtracting t_top.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Softmax:
    """Softmax probabilities p of n logit rows, with the maps they induce. Tensors t,
    a have shape (..., n, C).
    """

    log_p: Tensor  # (n, C)
    p: Tensor  # (n, C)
    top: Tensor  # (n, C) bool, one True a row: the largest probability
    at: Tensor  # (n, 1): its class

    @classmethod
    def of(cls, logits: Tensor) -> "Softmax":
        """Softmax of logits (n, C); no gradient flows through it."""
        log_p = logits.detach().log_softmax(-1)
        classes = torch.arange(log_p.shape[-1], device=log_p.device)
        at = log_p.argmax(-1, keepdim=True)
        return cls(log_p, log_p.exp(), at == classes, at)

    def __getitem__(self, rows) -> "Softmax":
        """The same of some of the rows."""
        return Softmax(self.log_p[rows], self.p[rows], self.top[rows], self.at[rows])

    def surprise(self) -> Tensor:
        """−log p (n, C), of the largest as −log(1 − Σ of the others):
        to full relative accuracy."""
        others = (self.p * ~self.top).sum(-1, keepdim=True)
        return torch.where(self.top, -torch.log1p(-others), -self.log_p)

    def centre(self, t: Tensor) -> Tensor:
        """(e_{c'} − p)ᵀ t for every c': the slope t_{c'} − Σ_j p_j t_j seen by label c'."""
        t = t - t.gather(-1, self.at.expand(*t.shape[:-1], 1))
        return t - (self.p * t).sum(-1, keepdim=True)

    def spread(self, a: Tensor) -> Tensor:
        """Σ_{c'} a_{c'} (e_{c'} − p): the adjoint of `centre`."""
        a_top = (a * self.top).sum(-1, keepdim=True)
        others = (a * ~self.top).sum(-1, keepdim=True)
        p_others = (self.p * ~self.top).sum(-1, keepdim=True)  # 1 − p_top
        at_top = a_top * p_others - (1 - p_others) * others
        return torch.where(self.top, at_top, a - self.p * (a_top + others))

    def middle(self, t: Tensor) -> Tensor:
        """(diag p − p pᵀ) t, the second derivative of the cross-entropy in the logits."""
        return self.p * self.centre(t)

    def residual(self, labels: Tensor) -> Tensor:
        """p − y (n, C), the first derivative of the cross-entropy in the logits."""
        own = torch.zeros_like(self.p, dtype=torch.bool).scatter_(1, labels[:, None], True)
        return torch.where(own, -(self.p * ~own).sum(-1, keepdim=True), self.p)
