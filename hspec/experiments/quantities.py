"""The spectral quantities that chapters report (mathematics: section "Spectral quantities" of the book's notation page)."""

from __future__ import annotations

import numpy as np


def outlier_count(eigenvalues: np.ndarray, num_classes: int) -> tuple[int, float]:
    """Number of outliers: the position k ≤ 3C of the largest ratio λ_k / λ_{k+1}, and that ratio.

    eigenvalues  the largest eigenvalues, in any order; at least two must be positive
    Only positive eigenvalues are compared: a ratio across zero says nothing.
    """
    top = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    top = top[top > 0][: 3 * num_classes + 1]
    if len(top) < 2:
        raise ValueError(f"counting outliers needs at least two positive eigenvalues, got {len(top)}")
    ratios = top[:-1] / top[1:]
    k = int(ratios.argmax())
    return k + 1, float(ratios[k])
