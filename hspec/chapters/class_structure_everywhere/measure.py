"""Features, errors, gradients and weights with and without class means (P20-1, P20-2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hspec.curvature import LayerData, layer_data
from hspec.curvature.classes.levels import Levels
from hspec.curvature.layer_gradients import gradient_knock_outs
from hspec.curvature.layers import error_means, feature_means, knocked_out_weight
from hspec.experiments.facts import performance
from hspec.experiments.measure import measure
from hspec.experiments.perceptrons import require_perceptron
from hspec.experiments.task import Task
from hspec.linalg.deflation import orthonormal_basis

KINDS = ("features", "errors", "gradients")  # of vectors, which weights are not
SHUFFLES = 10  # of the wrong labels, over which chance is averaged
ALL_RANKS, PER_OCTAVE = 64, 16  # of a spectrum's ranks: kept up to this one, and so many beyond


@measure(version=5)
def layer_structure(
    task: Task, *, split: str = "train", gradient_per_class: int | None = None, seed: int = 0
) -> dict[str, np.ndarray]:
    """Spectra of every layer's second moments and weights, and of what class means leave of them.

    gradient_per_class: images per class for the spectra of gradients, of matrices of N·C rows; None
        for all of the split. Few images overstate what is left within classes.

    Arrays, with L layers: layers (L,) names; sizes (L, 2), d_out and d_in. For layer l and each of
    :data:`KINDS`, l0_features_… and so on, eigenvalues at the ranks (R,) that :func:`kept_ranks`
    names, of which a shorter spectrum has the first (of gradients the largest alone, see
    :func:`gradient_knock_outs`): all; subtracted, of what is left of the second moment without the
    part that class means make; where there is a label c', which features have not, cross, of the
    part that cross-class means make, and within, of what is left without all parts that means
    make; projected, of the second moment outside of the span of the class means; random, outside
    of a random subspace of the same dimension. l0_weights_all, _projected, _random: singular
    values, likewise. errors_cross, gradients_cross (L,), see :func:`cross_beyond_chance`.
    global_cosine (L,), of the first eigenvector of the features' moment and their global mean;
    without_global (L,), its largest eigenvalue outside of the global mean. Of features and errors
    class_within, ratio and cosines (L,), see :func:`depth_numbers`. start_cosine (L,), of a layer's
    weights and those that it began with. Facts of the risk.
    Raises ValueError for a net with convolutions.
    Source: P20, sections 3 and 7, figures 7 to 10 and 13.
    """
    require_perceptron(task.setting)
    risk = task.risk(split)
    small = layer_data(task.risk(split, per_class=gradient_per_class)) if gradient_per_class else {}
    results, rows = {}, {}
    generator = task.generator(seed)
    layers, start = layer_data(risk), task.new_model().state_dict()
    with task.counting("layers", len(layers)) as advance:
        for place, (name, data) in enumerate(layers.items()):
            tables = {
                "features": (data.feature_table, data.feature_levels),
                "errors": (data.error_table, data.error_levels),
            }
            spectra = {kind: knock_outs(*of, generator) for kind, of in tables.items()}
            spectra["gradients"] = gradient_knock_outs(small.get(name, data), generator)
            spectra["weights"] = weight_knock_outs(data, generator)
            for kind, of in spectra.items():
                results |= {f"l{place}_{kind}_{which}": values for which, values in of.items()}
            row = {"sizes": np.array(data.weight.shape)} | about_the_mean(data)
            row["start_cosine"] = cosine(data.weight, start[f"{name}.weight"])
            h = data.features[:, 0]
            row["errors_cross"] = cross_beyond_chance(data, torch.ones_like(h[:, :1]), generator)
            row["gradients_cross"] = cross_beyond_chance(data, h, generator)
            for kind, means in (
                ("features", feature_means(data)),
                ("errors", error_means(data)[0]),
            ):
                numbers = depth_numbers(means, data, kind)
                row |= {f"{kind}_{key}": value for key, value in numbers.items()}
            for key, value in row.items():
                rows.setdefault(key, []).append(value)
            advance()
    ranks = kept_ranks(max(map(len, results.values())))
    results = {name: drawn(values, ranks) for name, values in results.items()} | {"ranks": ranks}
    results |= {key: np.stack(values) for key, values in rows.items()}
    return results | {"layers": np.array(list(layers))} | performance(task, risk, None)


def kept_ranks(longest: int) -> np.ndarray:
    """Ranks 1 to :data:`ALL_RANKS`, and from there :data:`PER_OCTAVE` an octave, evenly along a
    logarithmic axis: what a figure by rank can show.
    """
    octaves = np.arange(20 * PER_OCTAVE) / PER_OCTAVE  # of a matrix that fits no machine
    thinned = (ALL_RANKS * 2**octaves).round().astype(int)
    ranks = np.union1d(np.arange(1, ALL_RANKS + 1), thinned)
    return ranks[ranks <= longest]


def drawn(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Of a descending spectrum the values at these ranks, as far as it has them, in float32."""
    return values[ranks[ranks <= len(values)] - 1].astype(np.float32)


def knock_outs(table: Tensor, levels: Levels, generator: torch.Generator) -> dict[str, np.ndarray]:
    """Eigenvalues of (1/N) Σ p v vᵀ of a table v (d, N, L), whole and after knock-outs.

    Source: P20, definitions 3.1 to 3.3 (subtraction and projection).
    """
    rooted = levels.root.double() * table.double()
    cells = levels.means(table.double())
    means = (levels.shares * cells).sum(-1)  # (d, K)
    found = {
        "all": rooted,
        "subtracted": rooted - levels.project("class", rooted),
        "projected": outside(means, rooted),
        "random": outside(random_like(means, generator), rooted),
    }
    if table.shape[2] > 1:
        found |= {level: levels.project(level, rooted) for level in ("cross", "within")}
    return {which: moment_eigenvalues(of) for which, of in found.items()}


def cross_beyond_chance(data: LayerData, h: Tensor, generator: torch.Generator) -> float:
    """tr B1, the spread of the cross-class means of v = ε hᵀ, over what chance gives.

    h: (N, k); the features for gradients, ones (N, 1) for errors.

    Chance is its mean over :data:`SHUFFLES` tables in which the wrong labels c' ≠ c of each example
    have changed places, with their vectors and weights: what a class shares stays as it is, and so
    does all that an example has of its own, but no label means the same for two examples. Of few
    images chance makes nearly all of the trace, whatever the net has learned: take many.
    Source: ours; the part is P20's, equation 6.4.
    """
    shuffled = [shuffled_wrong_labels(data.error_levels, generator) for _ in range(SHUFFLES)]
    unchanged = shuffled[0].sort(1).values
    found, *chance = (cross_trace(data, h, order) for order in (unchanged, *shuffled))
    return found / float(np.mean(chance))


def shuffled_wrong_labels(levels: Levels, generator: torch.Generator) -> Tensor:
    """(N, C): of each example the labels in a random order, the true one in its place."""
    wrong = ~levels.own[levels.index]
    N, C = wrong.shape
    labels = torch.arange(C, device=wrong.device).expand(N, C)
    others = labels[wrong].view(N, C - 1)
    drawn = torch.rand(N, C - 1, generator=generator).to(wrong.device)
    return labels.scatter(1, others, others.gather(1, drawn.argsort(1)))


def cross_trace(data: LayerData, h: Tensor, order: Tensor) -> float:
    """tr B1 = (1/N) Σ_c Σ_{c'≠c} p_{c,c'} ‖v_{c,c'} − v_c‖² of v = ε hᵀ, h (N, k), with the labels
    of each example in an order (N, C).

    By the lengths of the sums p_{c,c'} v_{c,c'} = Σ_n p_{n,c'} v_{n,c'}, and of p_c v_c, their sum
    over c', alone: Σ_{c'} ‖p_{c,c'} v_{c,c'}‖²/p_{c,c'} − ‖p_c v_c‖²/p_c for each class.
    """
    levels, h = data.error_levels, h.double()
    p = data.log_probabilities.double().exp().gather(1, order)
    total = 0.0
    for row in range(len(levels.classes)):
        of, wrong = levels.index == row, ~levels.own[row]
        e = data.errors[of, :, 0].double()
        e = e.gather(1, order[of][..., None].expand(e.shape))
        weights = p[of][:, wrong].clamp(min=torch.finfo(p.dtype).tiny)
        sums = weights[..., None] * e[:, wrong]  # (n, C − 1, d_out)
        lengths = torch.stack([squared_length(part, h[of]) for part in sums.unbind(1)])
        total += float((lengths / weights.sum(0)).sum())
        total -= float(squared_length(sums.sum(1), h[of]) / weights.sum())
    return total / len(levels.index)


def squared_length(e: Tensor, h: Tensor) -> Tensor:
    """‖Σ_n ε_n h_nᵀ‖² of ε (n, d), h (n, k), by the smaller matrices."""
    if h.shape[1] <= len(h):
        return (e.T @ h).square().sum()
    return ((e @ e.T) * (h @ h.T)).sum()


def moment_eigenvalues(table: Tensor) -> np.ndarray:
    """Eigenvalues of (1/N) Σ v vᵀ that can be nonzero, descending,
    by the smaller Gram matrix."""
    V = table.flatten(1)
    gram = V @ V.T if V.shape[0] <= V.shape[1] else V.T @ V
    return (torch.linalg.eigvalsh(gram).flip(0) / table.shape[1]).clamp(min=0).cpu().numpy()


def outside(vectors: Tensor, table: Tensor) -> Tensor:
    """(I − QQᵀ) v, Q an orthonormal basis of the vectors (d, k), v a table (d, N, L)."""
    Q = orthonormal_basis(vectors)
    return table - torch.einsum("dk,ek,enl->dnl", Q, Q, table)


def random_like(vectors: Tensor, generator: torch.Generator) -> Tensor:
    """As many directions as the vectors have (d, k), uniformly at random."""
    drawn = torch.randn(vectors.shape, generator=generator, dtype=torch.float64)
    return drawn.to(vectors.device)


def weight_knock_outs(data: LayerData, generator: torch.Generator) -> dict[str, np.ndarray]:
    """Singular values of W, of W without its class directions, and without random ones.

    Source: P20, figure 13.
    """
    W, (d_out, d_in), k = data.weight.double(), data.weight.shape, len(data.classes)
    P, Q = (
        orthonormal_basis(random_like(W.new_zeros(d, min(d, k)), generator)) for d in (d_out, d_in)
    )
    rest = W - P @ (P.T @ W)
    found = {
        "all": W,
        "projected": knocked_out_weight(data).double(),
        "random": rest - (rest @ Q) @ Q.T,
    }
    return {name: torch.linalg.svdvals(M).cpu().numpy() for name, M in found.items()}


def about_the_mean(data: LayerData) -> dict[str, float]:
    """The features' global mean h_G beside their first eigenvector, and λ_1 outside of h_G."""
    h = data.features[:, 0].double()
    mean = h.mean(0)
    first = torch.linalg.eigh(h.T @ h).eigenvectors[:, -1]
    left = moment_eigenvalues(outside(mean[:, None], h.T[..., None]))
    return {"global_cosine": abs(cosine(first, mean)), "without_global": float(left[0])}


def cosine(a: Tensor, b: Tensor) -> float:
    """⟨a, b⟩ / (‖a‖ ‖b‖)."""
    a, b = a.double().flatten(), b.double().flatten()
    return float(a @ b / (torch.linalg.vector_norm(a) * torch.linalg.vector_norm(b)))


def depth_numbers(means: Tensor, data: LayerData, kind: str) -> dict[str, float]:
    """What depth is said to do to class means (K, d): three numbers of a layer.

    class_within: the trace that classes make over that within. Features: of the means about the
    global mean; errors: the class part over the within part. ratio: features λ_2/λ_K of
    Σ π_c h_c h_cᵀ, whose λ_1 is the global mean's; errors λ_1/λ_{K−1} of Σ (p_c/N) ε_c ε_cᵀ, whose
    K-th belongs to their sum. It is 1 for orthogonal means of one length. cosines: the root mean
    square distance of the cosines of centred means from −1/(K−1), that of a simplex.
    Source: P20, section 7 (λ_2/λ_C); the others are ours.
    """
    means, K = means.double(), len(means)
    if kind == "features":
        weights, table, levels = data.shares.double(), data.feature_table, data.feature_levels
    else:
        weights = data.error_levels.class_weights.double() / len(data.error_levels.index)
        table, levels = data.error_table, data.error_levels
    centred = means - means.mean(0)
    values = torch.linalg.svdvals(weights.sqrt()[:, None] * means) ** 2
    within = levels.project("within", levels.root.double() * table.double())
    spread = float((within**2).sum()) / len(levels.index)
    of_classes = weights @ ((centred if kind == "features" else means) ** 2).sum(1)
    first, last = (1, K - 1) if kind == "features" else (0, K - 2)
    unit = centred / torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    off = (unit @ unit.T)[~torch.eye(K, dtype=torch.bool, device=unit.device)] + 1 / (K - 1)
    return {
        "class_within": float(of_classes) / spread,
        "ratio": float(values[first] / values[last]) if len(values) > last else float("nan"),
        "cosines": float((off**2).mean() ** 0.5),
    }
