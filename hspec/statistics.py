"""Means over repetitions and how far they may be off: the same four lines everywhere."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded when they are first used
from numpy.typing import ArrayLike


def mean_and_error(values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the first axis, and its standard error s/√n, s² with the divisor n − 1.

    Args:
        values: (n, …) repetitions, such as probes or seeds.

    Returns:
        Two arrays (…), numbers where `values` is one-dimensional. The error is NaN where n = 1: one
        value says nothing about its own spread.

    Raises:
        ValueError: no values.

    Example:
        >>> mean, error = mean_and_error([1.0, 2.0, 3.0, 4.0])
        >>> print(mean, error.round(4))
        2.5 0.6455
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or not len(values):
        raise ValueError(f"A mean needs at least one value; got an array of shape {values.shape}.")
    n = len(values)
    error = values.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full(values.shape[1:], np.nan)[()]
    return values.mean(0), error


def mean_and_interval(values: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the first axis, and the half-width of its Student-t interval; NaN where n = 1.

    The interval mean ± half-width covers the expectation with probability `level`, where the values
    are independent and normal; so with few values it is wider than ± 2 standard errors.

    Example:
        >>> mean, half = mean_and_interval([1.0, 2.0, 3.0, 4.0])
        >>> print(mean, half.round(3))
        2.5 2.054
    """
    mean, error = mean_and_error(values)
    return mean, student_factor(len(np.asarray(values)), level) * error


def student_factor(n: int, level: float = 0.95) -> float:
    """Standard errors in the half-width of a Student-t interval from n values; NaN for one.

    Example:
        >>> print(student_factor(5).round(3))
        2.776
    """
    return scipy.special.stdtrit(n - 1, 0.5 + level / 2) if n > 1 else np.float64(np.nan)


def normal_factor(level: float = 0.95) -> float:
    """Standard deviations in the half-width of a normal interval.

    Example:
        >>> print(round(normal_factor(), 3))
        1.96
    """
    return float(scipy.special.ndtri(0.5 + level / 2))


def interval(mean: float, error: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Ends of the Student-t interval, from a mean and its standard error over n values; NaN for
    one.

    Example:
        >>> low, high = interval(2.0, 0.5, 5)
        >>> print(low.round(3), high.round(3))
        0.612 3.388
    """
    half = student_factor(n, level) * error
    return mean - half, mean + half


def p_value(values: ArrayLike) -> float:
    """Two-sided p of Student's t-test that the expectation is zero; of differences, the paired
    test. NaN for one.

    Example:
        >>> print(round(p_value([1.0, 2.0, 3.0, 4.0]), 4))
        0.0305
    """
    mean, error = mean_and_error(values)
    n = len(np.asarray(values))
    if error == 0:
        return float(mean == 0)
    return float(2 * scipy.special.stdtr(n - 1, -abs(mean) / error)) if n > 1 else float("nan")


def ratio_and_error(part: ArrayLike, whole: ArrayLike) -> tuple[float, float]:
    """mean(part)/mean(whole) of paired values (n,), and its standard error to first order.

    The error is that of the mean of part − ratio · whole, over |mean(whole)|: the two are measured
    by the same repetitions, so most of their scatter cancels. NaN for one pair.

    Source: the delta method.
    """
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    ratio = part.mean() / whole.mean()
    _, error = mean_and_error(part - ratio * whole)
    return float(ratio), float(error / abs(whole.mean()))
