"""Points by two labels: distances from inner products, silhouettes, and maps in the plane."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from sklearn.manifold import TSNE
from torch import Tensor

METRICS = ("euclidean", "cosine")


def inner_products(gram: Tensor, shares: Tensor) -> np.ndarray:
    """Between all class means, then all cross-class means, c' ≠ c (c major): float64 (C + C(C − 1),
    the same).

    gram   of the g_{c,c'}, c' = c included, (C², C²)
    shares ρ_{c,c'} (C, C)
    """
    c = len(shares)
    gram, shares = gram.cpu().numpy(), shares.double().cpu().numpy()
    to_class = np.zeros((c, c, c))
    to_class[np.arange(c), np.arange(c)] = shares  # g_c = Σ_{c'} ρ_{c,c'} g_{c,c'}
    to_class = to_class.reshape(c, c * c)
    cross = np.flatnonzero(~np.eye(c, dtype=bool))
    between = to_class @ gram
    return np.block(
        [
            [between @ to_class.T, between[:, cross]],
            [between[:, cross].T, gram[np.ix_(cross, cross)]],
        ]
    )


def distances(inner: np.ndarray, metric: str) -> np.ndarray:
    """Distances (n, n) from inner products.

    Euclidean, or between the vectors' directions ("cosine": 1 − cos).
    """
    squares = np.diagonal(inner)
    if metric == "cosine":
        root = np.sqrt(np.maximum(squares, np.finfo(float).tiny))
        found = 1 - inner / np.outer(root, root)
    else:
        found = np.sqrt(np.maximum(squares[:, None] + squares - 2 * inner, 0))
    found = np.maximum((found + found.T) / 2, 0)
    np.fill_diagonal(found, 0)
    return found


def silhouettes(d: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(b − a)/max(a, b) of each point (n,): a its mean distance to its own cluster, b to the
    nearest other one.

    d  distances (n, n), symmetric; every label at least twice. One sparse product that reads d
    once: a loop over points would take hours at C = 100.
    """
    clusters, index = np.unique(labels, return_inverse=True)
    points = np.arange(len(d))
    member = scipy.sparse.csr_array(
        (np.ones(len(d)), (index, points)), shape=(len(clusters), len(d))
    )
    sums, counts = (member @ d).T, np.bincount(index)
    own = np.take_along_axis(sums, index[:, None], 1)[:, 0] / (counts[index] - 1)
    to_others = sums / counts
    to_others[points, index] = np.inf
    other = to_others.min(1)
    larger = np.maximum(own, other)
    return np.divide(other - own, larger, out=np.zeros(len(d)), where=larger > 0)


def permuted_silhouettes(d: np.ndarray, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Mean silhouettes (count,) of the same points under shuffled labels.

    What no structure would give.
    """
    rng = np.random.default_rng(seed)
    return np.array([silhouettes(d, rng.permutation(labels)).mean() for _ in range(count)])


def tsne(d: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """A map (n, 2) that keeps neighbourhoods.

    Distances only are given, so it starts at random, from ``seed``.
    """
    embedding = TSNE(metric="precomputed", init="random", perplexity=perplexity, random_state=seed)
    return embedding.fit_transform(d)
