"""P18-5: whether G's outliers come from A1."""

from __future__ import annotations

import numpy as np

from hspec.experiments.claims import Verdict, outcome
from hspec.experiments.store import Record

NEAR = 2.0  # factor within which every one of A1's C eigenvalues lies from G's
SPACE = 0.9  # mean squared cosine between the span of the g_c and G's top C eigenspace

ROUNDING = 1e-3  # relative: the residual to which λ_C is known


def verdict_class_structure(record: Record) -> list[Verdict]:
    """Three numbers: A1's eigenvalues against G's, the two spaces, and what is left of the outliers without A1."""
    classes = int(record["num_classes"])
    top, a1 = record["g_top"][:classes], record["a1"][:classes]
    ratios = a1 / top
    left, largest = survivors(record)
    verdicts = [
        Verdict(
            "P18-5",
            "A1's eigenvalues over G's, λ_i(A1)/λ_i(G), i ≤ C: smallest and largest (A1 exact)",
            f"{ratios.min():.2f} … {ratios.max():.2f}",
            f"all between {1 / NEAR:g} and 1 (A1 ≤ G: never above)",
            outcome(bool((ratios >= 1 / NEAR).all())),
        ),
        Verdict(
            "P18-5",
            f"eigenvalues of G − A1 above λ_C(G), of {classes} before",
            f"{left} (largest {largest:.2f} λ_C)",
            "none: the outliers are gone",
            outcome(left == 0),
        ),
    ]
    if "cosines" in record:
        overlap = float(np.mean(record["cosines"] ** 2))
        space = Verdict(
            "P18-5",
            "span of the g_c against G's top C eigenspace (mean squared cosine)",
            f"{overlap:.3f}",
            f"≥ {SPACE:g}",
            outcome(overlap >= SPACE),
        )
        verdicts.insert(1, space)
    return verdicts


def survivors(record: Record, suffix: str = "_a1") -> tuple[int, float]:
    """How many eigenvalues of G without A1 (or more, by ``suffix``) lie above λ_C(G), and the largest over λ_C(G).

    Ritz values of the probe that shows most of them: each is at most the eigenvalue it stands for, and at this end of
    the spectrum they have converged.
    """
    edge = record["g_top"][int(record["num_classes"]) - 1]
    nodes = np.nan_to_num(record[f"g{suffix}_nodes"])
    return int((nodes > edge * (1 + ROUNDING)).sum(axis=1).max()), float(nodes.max() / edge)
