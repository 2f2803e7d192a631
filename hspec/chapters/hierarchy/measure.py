"""Where the class means g_c and the cross-class means g_{c,c'} lie (P18-6)."""

from __future__ import annotations

import numpy as np

from hspec.curvature import class_means
from hspec.experiments.clusters import (
    METRICS,
    distances,
    inner_products,
    permuted_silhouettes,
    silhouettes,
    tsne,
)
from hspec.experiments.facts import performance
from hspec.experiments.measure import measure
from hspec.experiments.task import Task


@measure(version=1)
def class_geometry(
    task: Task,
    *,
    epoch: int | None = None,
    perplexity: float = 15.0,
    num_permutations: int = 199,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """t-SNE of the g_c and g_{c,c'}, c' ≠ c, and how well the g_{c,c'} cluster by their class c in
    the original space.

    epoch             after which the net is taken; None: the last
    perplexity        of t-SNE; cut to a third of the number of points, beyond which it means
    nothing
    num_permutations  of the class labels, for the baseline
    seed              of t-SNE and of the permutations

    The means g_{c,c} are left out: they are collinear with the g_c. Distances are plain (not
    squared) and come from inner products summed in float64; no C²p numbers are held.

    Arrays, with n = C(C − 1) means g_{c,c'}: class_names (C,); true_class and other_class (n,), c
    and c'; for each metric METRIC_silhouette (n,) under label c, METRIC_other_silhouette (n,) under
    label c', METRIC_permuted (num_permutations,), mean silhouettes under shuffled labels,
    METRIC_nearest (n,), the class k whose g_k is nearest, METRIC_map (C + n, 2), the t-SNE, first
    the g_c; perplexity; norms (C + n,); loss, error_rate, test_loss, test_error; num_classes,
    num_examples, num_parameters.
    Source: P18a, P20 (t-SNE of class and cross-class means).
    """
    risk = task.risk(step=task.step_after(epoch))
    if risk.num_classes < 3:
        raise ValueError(
            f"clusters of cross-class means need at least 3 classes, got {risk.num_classes}"
        )
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
