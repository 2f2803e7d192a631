"""A spectrum as a measure: nodes and weights, kilobytes; pictures are drawn from it later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hspec.linalg import smoothing
from hspec.statistics import mean_and_error, mean_and_interval, normal_factor

# A Ritz pair converges the sooner the more of it is in the probe. Once it weighs 1/p, what is left
# for the pairs next to it is light on average, in every probe alike, by up to this share of a
# probe's standard deviation (measured on falling spectra of which a third to a half has converged);
# the spread over probes does not show it.
ALIKE = 0.2


@dataclass(frozen=True)
class SpectralMeasure:
    """An estimate of φ(t) = (1/p) Σ_i δ(t − λ_i): one row of nodes and weights per probe, φ their
    mean.

    Attributes:
        nodes: (n_v, m) float64, ascending in each row; rows that stopped early end in NaN.
        weights: (n_v, m) the estimate; each row sums to 1, padding is 0.
        plain_weights: (n_v, m) the Gauss rule's own weights, to which the rigorous band belongs.
        dimension: number of eigenvalues measured: p, or p − k of a deflated operator.
        exact: (n_v, m) bool: nodes that are known eigenvalues with known weights, not quadrature
            nodes.

    Example:
        >>> SpectralMeasure.from_eigenvalues([-1.0, 1.0, 3.0]).trace()
        (3.0, 0.0)
    """

    nodes: np.ndarray
    weights: np.ndarray
    plain_weights: np.ndarray
    dimension: int
    exact: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("nodes", "weights", "plain_weights"):
            object.__setattr__(
                self, name, np.atleast_2d(np.asarray(getattr(self, name), dtype=np.float64))
            )
        exact = (
            np.zeros(self.nodes.shape, bool) if self.exact is None else np.atleast_2d(self.exact)
        )
        object.__setattr__(self, "exact", exact.astype(bool))
        object.__setattr__(self, "dimension", int(self.dimension))
        shapes = {x.shape for x in (self.nodes, self.weights, self.plain_weights, self.exact)}
        if len(shapes) > 1:
            raise ValueError(f"Nodes and weights must have one shape; got {sorted(shapes)}.")
        padding = np.isnan(self.nodes)
        if (
            np.isinf(self.nodes).any()
            or not np.isfinite(self.weights).all()
            or (self.weights[padding] != 0).any()
        ):
            raise ValueError("Nodes are finite, or NaN with weight zero; weights are finite.")
        if not np.allclose(self.weights.sum(1), 1.0, atol=1e-8) or (self.weights < 0).any():
            raise ValueError("The weights of each probe must be non-negative and sum to one.")

    @classmethod
    def from_eigenvalues(cls, values: ArrayLike) -> SpectralMeasure:
        """The exact measure of known eigenvalues (p,): one row, weights 1/p."""
        values = np.sort(np.asarray(values, dtype=np.float64).ravel())
        if not len(values) or not np.isfinite(values).all():
            raise ValueError("Finite eigenvalues are needed, at least one.")
        weights = np.full((1, len(values)), 1.0 / len(values))
        return cls(values[None], weights, weights, len(values), np.ones((1, len(values)), bool))

    def with_spikes(self, values: ArrayLike) -> SpectralMeasure:
        """(1 − k/p) · self + (1/p) Σ δ(t − λ_i): the k deflated eigenvalues put back, p =
        self.dimension + k.

        `self` measures the p − k eigenvalues that `deflate` left, so nothing is counted twice.
        Source: P18a, P20 (low-rank deflation).
        """
        values = np.asarray(values, dtype=np.float64).ravel()
        p = self.dimension + len(values)
        rows = len(self.nodes)
        spikes = np.broadcast_to(values, (rows, len(values)))
        share, mass = self.dimension / p, np.full(spikes.shape, 1.0 / p)
        nodes = np.hstack([self.nodes, spikes])
        order = np.argsort(nodes, axis=1)  # NaN last

        def merged(mine, theirs):
            return np.take_along_axis(np.hstack([mine, theirs]), order, axis=1)

        return SpectralMeasure(
            merged(self.nodes, spikes),
            merged(share * self.weights, mass),
            merged(share * self.plain_weights, mass),
            p,
            merged(self.exact, np.ones(spikes.shape, bool)),
        )

    @property
    def num_probes(self) -> int:
        """n_v, the rows."""
        return self.nodes.shape[0]

    @property
    def num_steps(self) -> int:
        """m, the nodes of the longest row."""
        return self.nodes.shape[1]

    @property
    def support(self) -> tuple[float, float]:
        """(smallest, largest) node, from inside the ends of the spectrum."""
        return float(np.nanmin(self.nodes)), float(np.nanmax(self.nodes))

    def mean_and_sem(self, f: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
        """Mean over probes of Σ_k τ_k f(θ_k), an estimate of (1/p) tr f(A), and its standard error.

        The standard error is over probes, and of what converged weights shift in all of them alike
        (see `ALIKE`): NaN with one probe, and 0 for an exact spectrum.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.where(self.weights > 0, self.weights * f(self.nodes), 0.0).sum(1)
        mean, error = mean_and_error(values)
        if (self.weights != self.plain_weights).any():
            error *= (1 + self.num_probes * ALIKE**2) ** 0.5
        return float(mean), 0.0 if self._is_exact else float(error)

    @property
    def _is_exact(self) -> bool:
        return bool(self.exact[self.weights > 0].all())

    def moment(self, k: int) -> float:
        """(1/p) tr A^k."""
        return self.mean_and_sem(lambda t: t**k)[0]

    def trace(self) -> tuple[float, float]:
        """tr A and its standard error."""
        mean, sem = self.mean_and_sem(lambda t: t)
        return self.dimension * mean, self.dimension * sem

    def log_determinant(self, shift: float = 0.0) -> tuple[float, float]:
        """log det(A + δI) = Σ_i log(λ_i + δ), δ = `shift`, and its standard error.

        Of a deflated operator that of the eigenvalues left. The sum is ruled by the smallest
        eigenvalues, which Lanczos resolves last: δ well above the distance of the lowest nodes is
        what it is good for.

        Raises:
            ValueError: A + δI is not positive definite, as far as the nodes show.

        Source: UCS17 section 4 (log-determinants).
        """
        low, _ = self.support
        if not low + shift > 0:
            raise ValueError(
                f"A + {shift:g} I is not positive definite: the smallest node is {low:.4g}, so the "
                "shift must "
                f"be larger than {-low:.4g}."
            )
        mean, error = self.mean_and_sem(lambda t: np.log(t + shift))
        return self.dimension * mean, self.dimension * error

    def cdf(self, t: ArrayLike) -> np.ndarray:
        """Φ(t), the share of eigenvalues ≤ t, mean over probes; t of any shape."""
        return self.probe_cdfs(t).mean(0)

    def probe_cdfs(self, t: ArrayLike) -> np.ndarray:
        """Each probe's Φ(t): (n_v, *t.shape)."""
        return self._cumulative(self.weights, t)

    def cdf_bounds(self, t: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Rigorous bounds on each probe's weighted CDF F(t) = Σ_i (v·q_i)² [λ_i ≤ t]: two (n_v,
        *t.shape).

        By the Chebyshev-Markov-Stieltjes inequalities Σ_{j<k} τ_j ≤ F(θ_k) ≤ Σ_{j≤k} τ_j at the
        node θ_k, so between the nodes Σ_{j<k} τ_j ≤ F(t) ≤ Σ_{j≤k+1} τ_j for θ_k < t < θ_{k+1}. τ
        are the plain weights; exact nodes (spikes) enter as they are. The band is about the probe,
        not about Φ: for that, `confidence_band`.
        Source: CTU21; Chebyshev, Markov and Stieltjes for the inequalities.
        """
        t = np.asarray(t, dtype=np.float64)
        known = self._cumulative(np.where(self.exact, self.plain_weights, 0.0), t)
        lower, upper = np.zeros_like(known), np.zeros_like(known)
        for i, (nodes, weights, exact) in enumerate(
            zip(self.nodes, self.plain_weights, self.exact, strict=True)
        ):
            sampled = np.isfinite(nodes) & ~exact
            theta, sums = nodes[sampled], np.r_[0.0, np.cumsum(weights[sampled])]
            at_or_before = np.searchsorted(theta, t, side="right")
            before = np.searchsorted(theta, t, side="left")
            lower[i] = sums[np.maximum(at_or_before - 1, 0)]
            upper[i] = sums[np.minimum(before + 1, len(theta))]
        return known + lower, known + upper

    def share_below(self, t: float, level: float = 0.95) -> tuple[float, float, float]:
        """Φ(t), the share of eigenvalues ≤ t, and the ends of an interval that holds both of its
        errors.

        It goes from the mean of the rigorous lower bounds to that of the upper ones (`cdf_bounds`),
        and is widened by their Student-t interval over probes: the node nearest to t stands for
        eigenvalues on both sides of it, which no spread over probes tells. A single probe has none;
        there the standard deviation of a random probe's F(t) is (2Φ(1 − Φ)/(p + 2))^½, with Φ the
        upper bound.
        Source: CTU21, for the variance; Chebyshev, Markov and Stieltjes for the bounds.
        """
        share = float(self.cdf(t))
        if self._is_exact:
            return share, share, share
        (low, below), (high, above) = (
            mean_and_interval(bound, level) for bound in self.cdf_bounds(t)
        )
        if self.num_probes == 1:
            most = min(float(high), 0.5)  # where the variance is largest
            below = above = (
                normal_factor(level) * (2 * most * (1 - most) / (self.dimension + 2)) ** 0.5
            )
        return (
            share,
            float(min(share, max(low - below, 0.0))),
            float(max(share, min(high + above, 1.0))),
        )

    def confidence_band(self, t: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Pointwise Student-t band for Φ(t) over probes, within [0, 1]: the sampling error. Two of
        t's shape.

        Raises ValueError for a single probe of an inexact measure, which says nothing about its own
        spread.
        """
        mean, half = mean_and_interval(self.probe_cdfs(t), level)
        if self._is_exact:
            return mean, mean
        if self.num_probes < 2:
            raise ValueError(
                "A confidence band needs at least two probes; cdf_bounds works with one."
            )
        return np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)

    def density(self, t: ArrayLike, width: float) -> np.ndarray:
        """Σ_k τ_k N(t; θ_k, width²), mean over probes; see `smoothing.density`."""
        return smoothing.density(self, t, width)

    def log_density(
        self, log10_t: ArrayLike, sign: int, width: float, epsilon: float = smoothing.EPSILON
    ) -> np.ndarray:
        """The density per decade of the positive or the negative branch;
        see `smoothing.log_density`.
        """
        return smoothing.log_density(self, log10_t, sign, width, epsilon)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a file; `from_arrays` takes them back."""
        names = ("nodes", "weights", "plain_weights", "exact")
        return {name: getattr(self, name) for name in names} | {
            "dimension": np.array(self.dimension)
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> SpectralMeasure:
        """The measure that `to_arrays` wrote."""
        names = ("nodes", "weights", "plain_weights", "dimension", "exact")
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ValueError(f"Not the arrays of a spectral measure: {', '.join(missing)} missing.")
        return cls(*(arrays[name] for name in names))

    def _cumulative(self, weights: np.ndarray, t: ArrayLike) -> np.ndarray:
        t = np.asarray(t, dtype=np.float64)
        result = np.empty((len(self.nodes), *t.shape))
        for i, (nodes, w) in enumerate(zip(self.nodes, weights, strict=True)):
            sums = np.r_[0.0, np.cumsum(w)]
            result[i] = sums[
                np.searchsorted(nodes, t, side="right")
            ]  # NaN sorts last: padding is never reached
        return np.minimum(result, 1.0)
