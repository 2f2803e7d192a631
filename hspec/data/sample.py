"""Which examples: random classes and balanced samples, by seed."""

from collections.abc import Callable

import numpy as np


def choose_classes(num_classes: int, wanted: int | None, seed: int) -> np.ndarray:
    """`wanted` random classes in increasing order, (wanted,);
    all of them when `wanted` is None."""
    if wanted is None:
        return np.arange(num_classes)
    if not 2 <= wanted <= num_classes:
        raise ValueError(
            f"classes={wanted}: choose between 2 and the {num_classes} classes there are"
        )
    return np.sort(np.random.default_rng([seed, num_classes]).permutation(num_classes)[:wanted])


def choose_examples(
    labels: np.ndarray,
    classes: np.ndarray,
    per_class: int | None,
    seed: int,
    subset: str = "nested",
) -> np.ndarray:
    """Indices of `per_class` examples of each class (all where None), in an order drawn by `seed`.

    subset: the rule of `SUBSETS` that draws the examples of a class. The order mixes the classes,
    so that every stretch of it is a fair mini-batch.
    """
    if per_class is not None and per_class < 1:
        raise ValueError(f"per_class={per_class}: at least 1")
    if subset not in SUBSETS:
        raise ValueError(f"unknown subset {subset!r}: choose one of {', '.join(SUBSETS)}")
    chosen = [_choose_in_class(labels, c, per_class, seed, subset) for c in classes]
    return np.random.default_rng([seed, len(classes)]).permutation(np.concatenate(chosen))


def _choose_in_class(labels, c, per_class, seed, subset):
    members = np.flatnonzero(labels == c)
    if per_class is not None and len(members) < per_class:
        raise ValueError(
            f"per_class={per_class}: class {c} has only {len(members)} examples; "
            f"choose per_class ≤ {len(members)}"
        )
    return SUBSETS[subset](members, c, per_class, seed)


def _nested(members: np.ndarray, c: int, per_class: int | None, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, c]).permutation(members)[:per_class]


def _published(members: np.ndarray, c: int, per_class: int | None, seed: int) -> np.ndarray:
    size = len(members) if per_class is None else per_class
    return np.random.RandomState(seed).choice(members, size, replace=False)


# How the examples of a class are drawn. Both rules are nested: of one seed, the examples of a
# smaller sample are among those of a larger one.
SUBSETS: dict[str, Callable[[np.ndarray, int, int | None, int], np.ndarray]] = {
    "nested": _nested,  # a random order of its own for each class
    # Source: P19 (released code): the generator starts afresh for each class, seed 0
    "P19": _published,
}
