"""Eigenpairs with their residuals: what every eigensolver of the package returns."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class EigenPairs:
    """k eigenpairs of a symmetric matrix A, and how far each is from being one.

    Attributes:
        values: (k,) float64 numpy, descending.
        vectors: (p, k) tensor with orthonormal columns, on the operator's device.
        residuals: (k,) float64 numpy, ‖A q_i − λ_i q_i‖: some eigenvalue of A is within that
            distance of λ_i.
        num_products: products A @ v spent (a block of k columns counts as k).
        chance_missed: an upper bound on the chance that an eigenvalue belongs among these (beyond
            the last one by more than the tolerance) and is not there, such as one more copy of a
            multiple one; NaN where none was looked for.
    """

    values: np.ndarray
    vectors: torch.Tensor
    residuals: np.ndarray
    num_products: int = 0
    chance_missed: float = float("nan")

    def __len__(self) -> int:
        return len(self.values)

    def top(self, k: int) -> "EigenPairs":
        """The k largest of these pairs."""
        if k > len(self):
            raise ValueError(
                f"top({k}) asked of {len(self)} eigenpairs: compute more, or ask for fewer."
            )
        return EigenPairs(
            self.values[:k],
            self.vectors[:, :k],
            self.residuals[:k],
            self.num_products,
            self.chance_missed,
        )
