"""Where the means δ_{c,c'} lie after an epoch.

Silhouettes under two labels, analysis of variance, a map (P19-3).
"""

from __future__ import annotations

import numpy as np

from hspec.curvature import delta_means
from hspec.experiments.clusters import METRICS, distances, inner_products, silhouettes, tsne
from hspec.experiments.facts import performance
from hspec.experiments.measure import measure
from hspec.experiments.task import Task

EFFECTS = ("class", "logit", "both")


@measure(version=1)
def delta_geometry(
    task: Task, *, epoch: int | None = None, perplexity: float | None = None, seed: int = 0
) -> dict[str, np.ndarray]:
    """How the δ_{c,c'}, c' ≠ c, cluster by c and by c', and how additive the two effects are.

    epoch: after which the net is taken; None for the last. perplexity: of t-SNE; None for C, as in
    P19's code, and never above a third of the points. seed: of t-SNE.

    Distances are plain (P19's code passes their squares). Nothing of size C² p is held.

    Arrays, with n = C(C − 1) means: class_names (C,); true_class and other_class (n,), c and c';
    for each METRIC of euclidean and cosine METRIC_silhouette (n,) under label c,
    METRIC_other_silhouette (n,) under label c', METRIC_effects (3,), what the class explains beside
    the logit, the logit beside the class, and both together, as shares of the variance of the means
    (for cosine: of their directions); map (C + n, 2), t-SNE of the δ_c and the δ_{c,c'};
    perplexity; facts of the net on both samples.
    Source: P19, figures 3 and 5; the analysis of variance is this book's.
    """
    risk = task.risk(step=task.step_after(epoch))
    c = risk.num_classes
    if c < 3:
        raise ValueError(f"clusters of cross-class means need at least 3 classes, got {c}")
    means = delta_means(risk)
    with task.counting("inner products of the means") as advance:
        inner = inner_products(means.gram(callback=advance), means.shares)
    true_class, other_class = np.nonzero(~np.eye(c, dtype=bool))
    neighbours = min(c if perplexity is None else perplexity, (len(inner) - 1) / 3)
    arrays = {
        "class_names": np.array(task.images("train").class_names),
        "true_class": true_class,
        "other_class": other_class,
        "perplexity": neighbours,
        "map": tsne(distances(inner, "euclidean"), neighbours, seed),
    }
    for metric in METRICS:
        between = np.ascontiguousarray(distances(inner, metric)[c:, c:])
        products = inner[c:, c:] if metric == "euclidean" else 1 - between
        arrays |= {
            f"{metric}_silhouette": silhouettes(between, true_class),
            f"{metric}_other_silhouette": silhouettes(between, other_class),
            f"{metric}_effects": effects(products, true_class, other_class),
        }
    return arrays | performance(task, risk, epoch)


def effects(inner: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Shares of the variance of vectors that two labels explain: the first beside the second, the
    reverse, both.

    With P the projections of functions on the n vectors, K their inner products, 1 the constants
    and T = tr((I − P_1) K):

        tr((P_{1,2} − P_2) K)/T,    tr((P_{1,2} − P_1) K)/T,    tr((P_{1,2} − P_const) K)/T

    The first two do not add up to the third, since no mean has c' = c and the labels are not
    orthogonal. Labels without any effect explain 2(C − 1)/(n − 1) together, on average.

    Args:
        inner: (n, n).
        first, second: (n,) labels.
    """
    one = np.ones((len(inner), 1))
    tables = [(labels[:, None] == np.unique(labels)).astype(float) for labels in (first, second)]
    constant, of_first, of_second, of_both = (
        explained(inner, table) for table in (one, *tables, np.hstack(tables))
    )
    whole = np.trace(inner) - constant
    return np.array([of_both - of_second, of_both - of_first, of_both - constant]) / whole


def explained(inner: np.ndarray, table: np.ndarray) -> float:
    """tr(P K), P the projection on the columns of the table (n, k)."""
    U, sigma, _ = np.linalg.svd(table, full_matrices=False)
    Q = U[:, sigma > 1e-10 * sigma[0]]
    return float(np.sum(Q * (inner @ Q)))
