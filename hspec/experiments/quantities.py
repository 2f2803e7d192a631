"""The spectral quantities that chapters report; the book's notation page defines them."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded when they are first used


def mean_and_interval(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the first axis, the probes, and the half-width of its Student-t interval; NaN for a single probe."""
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n < 2:
        return values[0], np.full(values[0].shape, np.nan)
    t = scipy.special.stdtrit(n - 1, 0.5 + level / 2)
    return values.mean(0), t * values.std(0, ddof=1) / np.sqrt(n)
