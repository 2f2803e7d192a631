"""Multinomial logistic regression on Gaussian classes: the Fisher information's spectrum in closed
form.

Features x = t e_c + z of class c, z ~ N(0, I_D), C classes alike, D ≥ C; the model's probabilities
are taken to be 1 − α on the true class and β = α/(C−1) on each other one, whatever z. With s = t²,
U^c = diag p − p pᵀ of class c and Ū their mean, the logits W x have

    E G = (1/C) Σ_c E[x xᵀ | c] ⊗ U^c = (s/C) blkdiag(U¹, …, U^C, 0) + I_D ⊗ Ū.

Source: P20, section 8.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hspec.linalg.autocast import without_autocast

REACH, POINTS = (
    12.0,
    4001,
)  # of the trapezoidal rule, exact to rounding for what vanishes at both ends


@dataclass(frozen=True)
class FisherSpectrum:
    """Three eigenvalues and their multiplicities; D more are zero. Made by `fisher_spectrum`."""

    num_classes: int
    dimension: int
    outliers: float
    mini_bulk: float
    bulk: float

    @property
    def multiplicities(self) -> tuple[int, int, int]:
        """C outliers, C(C−2) of the mini-bulk, (D−C)(C−1) of the bulk."""
        C, D = self.num_classes, self.dimension
        return C, C * (C - 2), (D - C) * (C - 1)

    def eigenvalues(self) -> np.ndarray:
        """All (C·D,), descending."""
        values = np.repeat([self.outliers, self.mini_bulk, self.bulk], self.multiplicities)
        return np.sort(np.pad(values, (0, self.dimension)))[::-1]


def fisher_spectrum(num_classes: int, dimension: int, t: float, alpha: float) -> FisherSpectrum:
    """β(s(1−α) + m), β(s/C + m) and β m, with β = α/(C−1), m = 2 − αC/(C−1), s = t².

    Outliers over bulk, 1 + s(1−α)/m, grows with t, as misclassification falls.

    Raises:
        ValueError: unless 2 ≤ C ≤ D and 0 < α < 1.

    Source: P20, theorem 8.1.

    Example:
        >>> found = fisher_spectrum(10, 30, t=2.0, alpha=0.328)
        >>> found.multiplicities, round(found.outliers / found.bulk, 2)
        ((10, 80, 180), 2.64)
    """
    C, s = _checked(num_classes, dimension, alpha), t**2
    beta, m = alpha / (C - 1), 2 - alpha * C / (C - 1)
    values = beta * (s * (1 - alpha) + m), beta * (s / C + m), beta * m
    return FisherSpectrum(C, dimension, *values)


@without_autocast
def expected_fisher(num_classes: int, dimension: int, t: float, alpha: float) -> Tensor:
    """E G (C·D, C·D), float64: (s/C) blkdiag(U¹, …, U^C, 0) + I_D ⊗ Ū, features major.

    Raises as `fisher_spectrum` does.

    Source: P20, lemma 8.1.
    """
    C = _checked(num_classes, dimension, alpha)
    beta = alpha / (C - 1)
    p = torch.full((C, C), beta, dtype=torch.float64).fill_diagonal_(1 - alpha)
    rest = torch.full_like(p, 1 - beta).fill_diagonal_(alpha)  # 1 − p, without its rounding
    U = -p[:, :, None] * p[:, None]
    U.diagonal(dim1=1, dim2=2).copy_(p * rest)
    total = torch.kron(torch.eye(dimension, dtype=torch.float64), U.mean(0))
    total[: C * C, : C * C] += t**2 / C * torch.block_diag(*U)
    return total


def group_means(values: np.ndarray, num_classes: int, dimension: int) -> tuple[float, float, float]:
    """Means of the largest eigenvalues in groups of the theorem's multiplicities: (outliers,
    mini-bulk, bulk).

    For spectra that are not exactly three-valued, such as that of the true posterior, which has C −
    1 clear outliers. NaN for an empty group.

    Raises:
        ValueError: for fewer than D(C−1) values.
    """
    sizes = FisherSpectrum(num_classes, dimension, 0.0, 0.0, 0.0).multiplicities
    values = np.sort(np.asarray(values, dtype=np.float64))[::-1]
    if len(values) < sum(sizes):
        raise ValueError(f"{len(values)} eigenvalues are too few for groups of {sizes}")
    groups = np.split(values, np.cumsum(sizes))[:3]
    return tuple(float(group.mean()) if len(group) else float("nan") for group in groups)


def misclassification(num_classes: int, t: float) -> float:
    """1 − ∫ φ(z) Φ(z + t)^(C−1) dz, the share that the best classifier gets wrong, t ≥ 0.

    Source: P20, section 8.

    Example:
        >>> round(misclassification(10, 2.0), 3)
        0.326
    """
    z = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64)
    wrong = -torch.expm1((num_classes - 1) * torch.special.log_ndtr(z + t))
    return float(torch.trapezoid(wrong * torch.exp(-(z**2) / 2), z)) / math.sqrt(2 * math.pi)


@without_autocast
def gaussian_classes(
    num_classes: int, dimension: int, t: float, per_class: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A sample (x (n, D) float64, y (n,)), n = C · per_class, of x = t e_y + z; classes in turn.

    The true posterior is softmax(t x_1, …, t x_C): a linear layer with weight t (I_C 0).

    Source: P20, section 8.
    """
    y = torch.arange(num_classes).repeat(per_class)
    z = torch.randn(len(y), dimension, generator=generator, dtype=torch.float64)
    return z + t * torch.eye(dimension, dtype=torch.float64)[y], y


def _checked(num_classes: int, dimension: int, alpha: float) -> int:
    if not 2 <= num_classes <= dimension or not 0 < alpha < 1:
        raise ValueError(
            f"C={num_classes}, D={dimension}, alpha={alpha}: the theorem is about 2 ≤ C ≤ D and 0 "
            "< alpha < 1"
        )
    return num_classes
