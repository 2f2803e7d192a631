"""G beside what it would be as a covariance.

Centred at three levels of means, in two ways (P19-2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from hspec.curvature import G0, G1, G3, ClassMeans, Risk, class_means, delta_means, gauss_newton
from hspec.curvature.classes.levels import BETWEEN
from hspec.experiments.facts import risk_facts
from hspec.experiments.measure import measure
from hspec.experiments.outliers import BEYOND, top_pairs
from hspec.experiments.quadrature import quadrature
from hspec.experiments.task import BATCH_PIXELS, Task
from hspec.linalg import LinearOperator, LowRank, deflate

LEVELS = ("global", "class", "cross")  # one mean of all; means by class; means by class and label


@dataclass(frozen=True)
class Centring:
    """G about the means of one level.

    subtracted: a covariance; projected: G without the directions of the means, None where these
    vectors do not fit in memory.
    """

    subtracted: LinearOperator
    projected: LinearOperator | None


@measure(version=2)
def second_moment(
    task: Task,
    *,
    epoch: int | None = None,
    split: str = "train",
    sample_per_class: int | None = None,
    num_steps: int = 30,
    num_probes: int = 1,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The spectra of G and of G centred: about one mean, the class means, the cross-class means.

    epoch: after which the net is taken; None for the last. sample_per_class: images per class over
    which the matrices are averaged; None for all of the split.

    Arrays: g_top and g_residuals (C + 3,); quadratures g_ of G and LEVEL_subtracted_ and
    LEVEL_projected_ of G centred at each of global, class and cross (the last is projected only
    where C² vectors fit in memory), and shuffled_subtracted_ and shuffled_projected_, by the means
    of as many groups of the same sizes as the classes, drawn at random; global_share, what the one
    mean gives to λ_1(G) at most, C‖δ‖²/λ_1; weighted_mean, the length of Σ p_{n,c'} g_{n,c'} over
    the sum of its terms' by class, which is zero to rounding; facts of the risk.
    Source: P19, section 3; P20, definitions 3.1 to 3.3 (both knock-outs).
    """
    step = task.step_after(epoch)
    risk = task.risk(split, step=step, per_class=sample_per_class)
    G, means = gauss_newton(risk), delta_means(risk)
    pairs = top_pairs(task, risk, G, risk.num_classes + BEYOND, None, seed)
    results = {"g_top": pairs.values, "g_residuals": pairs.residuals}
    centre = global_mean(means)
    results["global_share"] = (
        risk.num_classes * float(centre.double().square().sum()) / pairs.values[0]
    )
    results["weighted_mean"] = weighted_mean(risk)
    centrings = {level: centring(G, means, level, centre) for level in LEVELS}
    random = delta_means(shuffled(task, split, step, sample_per_class, seed))
    centrings["shuffled"] = centring(G, random, "class", centre)
    operators = {"g_": G}
    for level, found in centrings.items():
        operators[f"{level}_subtracted_"] = found.subtracted
        operators |= {} if found.projected is None else {f"{level}_projected_": found.projected}
    for prefix, operator in operators.items():
        results |= quadrature(task, operator, prefix, prefix, num_steps, num_probes, seed)
    return results | risk_facts(risk)


def centring(G: LinearOperator, means: ClassMeans, level: str, centre: torch.Tensor) -> Centring:
    """G about one mean, about the δ_c and δ_{c,c}, or about all δ_{c,c'}.

    With G = (1/N) Σ_n Σ_{c'} δ_{n,c'} δ_{n,c'}ᵀ, a second moment of N·C vectors over N:

        global   G − C δ δᵀ, δ the mean of all        class   G − G0 − G1        cross   G3
    """
    classes = means.risk.num_classes
    if level == "global":
        rank_one = LowRank(centre[:, None], centre.new_tensor([float(classes)]), name="C δδᵀ")
        return Centring(G - rank_one, deflate(G, centre))
    if level == "class":
        vectors = torch.cat([means.class_vectors, means.vectors("own")[:, 0]]).T
        return Centring(G - G0(means) - G1(means), deflate(G, vectors))
    fits = means.fits(means.weights.numel())
    vectors = means.vectors(BETWEEN).flatten(0, 1).T if fits else None
    return Centring(G3(means.risk, means), deflate(G, vectors) if fits else None)


def global_mean(means: ClassMeans) -> torch.Tensor:
    """δ (p,), the mean of δ_{n,c'} over all examples and labels.

    (1/C) Σ_c π_c ((C−1) δ_c + δ_{c,c}).
    """
    classes = means.risk.num_classes
    of_class = (classes - 1) * means.class_vectors + means.vectors("own")[:, 0]
    weights = (means.counts / means.counts.sum() / classes).to(of_class)
    return weights @ of_class


def weighted_mean(risk: Risk) -> float:
    """‖Σ_n Σ_{c'} p_{n,c'} g_{n,c'}‖ over Σ_c of the lengths of its parts.

    Each example's sum is zero.
    """
    means = class_means(risk)
    others = means.class_weights[:, None] * means.class_vectors
    own = means.own_weights[:, None] * means.vectors("own")[:, 0]
    lengths = torch.linalg.vector_norm(torch.cat([others, own]), dim=1, dtype=torch.float64)
    return float(
        torch.linalg.vector_norm((others + own).sum(0), dtype=torch.float64) / lengths.sum()
    )


def shuffled(task: Task, split: str, step: int | None, per_class: int | None, seed: int) -> Risk:
    """The same net and images with labels drawn at random among them.

    G is the same, its groups are not.
    """
    images = task.images(split, per_class).to(task.device)
    order = torch.randperm(len(images), generator=task.generator(seed)).to(task.device)
    images = replace(images, labels=images.labels[order])
    batches = images.batches(max(1, BATCH_PIXELS // images.image_size**2))
    return Risk.from_module(task.model(step), batches, images.num_classes)
