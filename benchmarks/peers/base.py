"""What is asked of a peer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from benchmarks.nets import Net
from hspec.linalg import SpectralMeasure

Product = Callable[[Tensor], Tensor]  # v (p,) → A v (p,)


@dataclass(frozen=True)
class Peer:
    """A way to compute curvature; None where it has no such function.

    hessian, gauss_newton   net → product; what is set up here is not timed
    quadrature              (net, num_steps, num_probes, seed) → nodes and weights, all of it timed
    reorthogonalizes        whether its Lanczos does
    """

    name: str
    hessian: Callable[[Net], Product]
    quadrature: Callable[[Net, int, int, int], SpectralMeasure]
    gauss_newton: Callable[[Net], Product] | None = None
    reorthogonalizes: bool = True


def plain_measure(nodes, weights, dimension: int) -> SpectralMeasure:
    """A peer's nodes and weights (n_v, m), in any order, as a spectral measure."""
    nodes, weights = np.asarray(nodes, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    order = np.argsort(nodes, axis=1)
    nodes, weights = np.take_along_axis(nodes, order, 1), np.take_along_axis(weights, order, 1)
    weights /= weights.sum(1, keepdims=True)
    return SpectralMeasure(nodes, weights, weights, dimension)
