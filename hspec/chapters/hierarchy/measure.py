"""Where the class means g_c and the cross-class means g_{c,c'} lie (P18-6)."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from sklearn.manifold import TSNE
from torch import Tensor

from hspec.curvature import class_means
from hspec.experiments.facts import performance
from hspec.experiments.measure import measure
from hspec.experiments.task import Task

METRICS = ("euclidean", "cosine")


@measure(version=1)
def class_geometry(
    task: Task,
    *,
    epoch: int | None = None,
    perplexity: float = 15.0,
    num_permutations: int = 199,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """t-SNE of the g_c and g_{c,c'}, c' ≠ c, and how well the g_{c,c'} cluster by their class c in the original space.

    epoch             after which the net is taken; None: the last
    perplexity        of t-SNE; cut to a third of the number of points, beyond which it means nothing
    num_permutations  of the class labels, for the baseline
    seed              of t-SNE and of the permutations

    The means g_{c,c} are left out: they are collinear with the g_c. Distances are plain (not squared) and come from
    inner products summed in float64; no C²p numbers are held.

    Arrays, with n = C(C − 1) means g_{c,c'}: class_names (C,); true_class and other_class (n,), c and c'; for each
    metric METRIC_silhouette (n,) under label c, METRIC_other_silhouette (n,) under label c', METRIC_permuted
    (num_permutations,), mean silhouettes under shuffled labels, METRIC_nearest (n,), the class k whose g_k is
    nearest, METRIC_map (C + n, 2), the t-SNE, first the g_c; perplexity; norms (C + n,); loss, error_rate,
    test_loss, test_error; num_classes, num_examples, num_parameters.
    Source: P18a, P20 (t-SNE of class and cross-class means).
    """
    risk = task.risk(step=task.step_after(epoch))
    if risk.num_classes < 3:
        raise ValueError(f"clusters of cross-class means need at least 3 classes, got {risk.num_classes}")
    means, c = class_means(risk), risk.num_classes
    with task.counting("inner products of class means") as advance:
        inner = inner_products(means.gram(callback=advance), means.shares)
    true_class, other_class = np.nonzero(~np.eye(c, dtype=bool))
    neighbours = min(perplexity, (len(inner) - 1) / 3)
    arrays = {
        "class_names": np.array(task.images("train").class_names),
        "true_class": true_class,
        "other_class": other_class,
        "norms": np.sqrt(np.diagonal(inner)),
        "perplexity": neighbours,
    }
    for metric in METRICS:
        d = distances(inner, metric)
        between = np.ascontiguousarray(d[c:, c:])
        arrays |= {
            f"{metric}_silhouette": silhouettes(between, true_class),
            f"{metric}_other_silhouette": silhouettes(between, other_class),
            f"{metric}_permuted": permuted_silhouettes(between, true_class, num_permutations, seed),
            f"{metric}_nearest": d[c:, :c].argmin(1),
            f"{metric}_map": tsne(d, neighbours, seed),
        }
    return arrays | performance(task, risk, epoch)


def inner_products(gram: Tensor, shares: Tensor) -> np.ndarray:
    """Between all g_c, then all g_{c,c'} with c' ≠ c (c major): float64 (C + C(C − 1), the same).

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
    """Distances (n, n) from inner products: Euclidean, or between the vectors' directions ("cosine": 1 − cos)."""
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
    """(b − a)/max(a, b) of each point (n,): a its mean distance to its own cluster, b to the nearest other one.

    d  distances (n, n), symmetric; every label at least twice. One sparse product that reads d once: a loop over points
    would take hours at C = 100.
    """
    clusters, index = np.unique(labels, return_inverse=True)
    points = np.arange(len(d))
    member = scipy.sparse.csr_array((np.ones(len(d)), (index, points)), shape=(len(clusters), len(d)))
    sums, counts = (member @ d).T, np.bincount(index)
    own = np.take_along_axis(sums, index[:, None], 1)[:, 0] / (counts[index] - 1)
    to_others = sums / counts
    to_others[points, index] = np.inf
    other = to_others.min(1)
    larger = np.maximum(own, other)
    return np.divide(other - own, larger, out=np.zeros(len(d)), where=larger > 0)


def permuted_silhouettes(d: np.ndarray, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Mean silhouettes (count,) of the same points under shuffled labels: what no structure would give."""
    rng = np.random.default_rng(seed)
    return np.array([silhouettes(d, rng.permutation(labels)).mean() for _ in range(count)])


def tsne(d: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """A map (n, 2) that keeps neighbourhoods. Distances only are given, so it starts at random, from ``seed``."""
    embedding = TSNE(metric="precomputed", init="random", perplexity=perplexity, random_state=seed)
    return embedding.fit_transform(d)
