"""Why means make outliers: the second moment of vectors that scatter around the means of
their classes.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from matplotlib.figure import Figure

from hspec.plotting import COLOURS, panels


def clustered(
    num_classes: int, per_class: int, dimension: int, strength: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """N = C n vectors (N, p), standard normal around class means, and the means (C, p), orthogonal.

    A mean is so long that it alone would make the eigenvalue `strength` of the second moment:
    ‖μ_c‖² = C strength.
    """
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(
        torch.randn(dimension, num_classes, dtype=torch.float64, generator=generator)
    )
    means = basis.T * (num_classes * strength) ** 0.5
    noise = torch.randn(
        num_classes * per_class, dimension, dtype=torch.float64, generator=generator
    )
    return noise + means.repeat_interleave(per_class, 0), means


def second_moment(vectors: torch.Tensor) -> torch.Tensor:
    """(1/N) Σ x xᵀ: (p, p)."""
    return vectors.T @ vectors / len(vectors)


def eigenvalues(vectors: torch.Tensor) -> torch.Tensor:
    """Of the second moment, descending."""
    return torch.linalg.eigvalsh(second_moment(vectors)).flip(0)


def without_class_means(vectors: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Every vector less the mean of its class, as the sample has it."""
    groups = vectors.reshape(num_classes, -1, vectors.shape[1])
    return (groups - groups.mean(1, keepdim=True)).reshape(vectors.shape)


def bulk_edge(dimension: int, num_vectors: int) -> float:
    """(1 + √γ)², γ = p/N: where the second moment of noise alone ends, for large p and N.

    Source: Marchenko and Pastur (1967).
    """
    return (1 + (dimension / num_vectors) ** 0.5) ** 2


def expected_outlier(strength: float, dimension: int, num_vectors: int) -> float:
    """Where an outlier stands: (1 + s)(1 + γ/s) for s > √γ, and at the bulk's edge for weaker
    means.

    Source: Baik and Silverstein (2006).
    """
    gamma = dimension / num_vectors
    if strength <= gamma**0.5:
        return bulk_edge(dimension, num_vectors)
    return (1 + strength) * (1 + gamma / strength)


def draw_with_and_without(vectors: torch.Tensor, num_classes: int) -> Figure:
    """Histograms of the spectrum as it is (left) and with the class means taken out (right)."""
    figure, axes = panels(1, 2, width=4.8, sharex=True, sharey=True)
    edge = bulk_edge(vectors.shape[1], len(vectors))
    both = {"with their means": vectors, "without": without_class_means(vectors, num_classes)}
    for axis, (title, cloud) in zip(axes, both.items(), strict=True):
        axis.hist(eigenvalues(cloud).numpy(), bins=80, color=COLOURS["G"], log=True)
        axis.axvline(edge, color=COLOURS["exact"], linestyle="--", label="edge of pure noise")
        axis.set(xlabel="eigenvalue", title=title)
    axes[0].set_ylabel("number of eigenvalues")
    axes[1].legend()
    return figure


def growth(
    strengths: Iterable[float], num_classes: int, per_class: int, dimension: int, seed: int
) -> list[tuple[float, float, float]]:
    """(strength, mean of λ_1 … λ_C, λ_{C+1}): C outliers, where they are, and the next one,
    as the means grow.
    """
    found = []
    for strength in strengths:
        vectors, _ = clustered(num_classes, per_class, dimension, strength, seed)
        values = eigenvalues(vectors)
        found.append((strength, float(values[:num_classes].mean()), float(values[num_classes])))
    return found


def draw_growth(
    found: list[tuple[float, float, float]], dimension: int, num_vectors: int
) -> Figure:
    """The mean of λ_1 … λ_C, and λ_{C+1}, over the strength of the means,
    with the theory of large matrices.
    """
    figure, (axes,) = panels(1, 1, width=6.4)
    strengths, largest, following = zip(*found, strict=True)
    expected = [expected_outlier(s, dimension, num_vectors) for s in strengths]
    axes.plot(
        strengths, largest, "o", color=COLOURS["A1"], label="mean of $\\lambda_1 \\dots \\lambda_C$"
    )
    axes.plot(strengths, following, "s", color=COLOURS["B1"], label="$\\lambda_{C+1}$")
    axes.plot(strengths, expected, color=COLOURS["exact"], label="theory, large matrices")
    axes.axvline(
        (dimension / num_vectors) ** 0.5,
        color=COLOURS["neutral"],
        linestyle=":",
        label="$\\sqrt{p/N}$",
    )
    axes.set(xlabel="strength of the means", ylabel="eigenvalue")
    axes.legend()
    return figure
