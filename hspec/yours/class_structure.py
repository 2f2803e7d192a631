"""The class structure beside a spectrum: which parts of G are computed, what they take, and their
eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hspec.curvature import A1, B1, Risk, class_means
from hspec.curvature.risk import has_classes
from hspec.yours.progress import Report

PARTS = {"A1": (A1, "class"), "B1": (B1, "cross")}  # name: (part of means, its level)
MOST_CLASSES = {"A1": 100, "B1": 32}  # above which a part is left out
OVER_COUNT = 2.0  # seconds over those of the products with G that are counted: 1.3 to 2.8, measured


@dataclass(frozen=True)
class ClassCost:
    """What the class structure takes: about so many products with G, and bytes of vectors."""

    products: float = 0.0
    num_bytes: int = 0


def class_parts(risk: Risk) -> list[str]:
    """Names of the parts that there are: none where the loss has no classes, or too many."""
    if not has_classes(risk):
        return []
    return [name for name, most in MOST_CLASSES.items() if risk.num_classes <= most]


def class_cost(risk: Risk) -> ClassCost:
    """The cost of `class_values`, before it is paid.

    Raises:
        MemoryError: tables of (N, C) numbers do not fit.
    """
    names = class_parts(risk)
    if not names:
        return ClassCost()
    means = class_means(risk)
    levels = [PARTS[name][1] for name in names]
    vectors = max(means.levels.vector_weights(level).numel() for level in levels)
    num_bytes = vectors * risk.num_parameters * risk.dtype.itemsize
    products = OVER_COUNT * sum(map(means.num_products, levels))
    return ClassCost(products, min(num_bytes, risk.memory_budget))


def class_values(risk: Risk, report: Report) -> dict[str, np.ndarray]:
    """{part: its eigenvalues, descending}."""
    names = class_parts(risk)
    if not names:
        return {}
    means, found = class_means(risk), {}
    for done, name in enumerate(names):
        report("class structure", done, len(names))
        found[name] = PARTS[name][0](means).eigenvalues()
    report("class structure", len(names), len(names))
    return found
