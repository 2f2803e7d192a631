"""Which examples: random classes and balanced samples, by seed."""

import numpy as np


def choose_classes(num_classes: int, wanted: int | None, seed: int) -> np.ndarray:
    """`wanted` random classes in increasing order, (wanted,); all of them when `wanted` is None."""
    if wanted is None:
        return np.arange(num_classes)
    if not 2 <= wanted <= num_classes:
        raise ValueError(f"classes={wanted}: choose between 2 and the {num_classes} classes there are")
    return np.sort(np.random.default_rng([seed, num_classes]).permutation(num_classes)[:wanted])


def choose_examples(labels: np.ndarray, classes: np.ndarray, per_class: int | None, seed: int) -> np.ndarray:
    """Indices of `per_class` examples of each class (all where None), in an order drawn by `seed`.

    Samples of one seed are nested: the examples for a small `per_class` are among those for a larger one.
    The order mixes the classes, so that every stretch of it is a fair mini-batch.
    """
    if per_class is not None and per_class < 1:
        raise ValueError(f"per_class={per_class}: at least 1")
    chosen = [_choose_in_class(labels, c, per_class, seed) for c in classes]
    return np.random.default_rng([seed, len(classes)]).permutation(np.concatenate(chosen))


def _choose_in_class(labels, c, per_class, seed):
    members = np.flatnonzero(labels == c)
    if per_class is not None and len(members) < per_class:
        raise ValueError(
            f"per_class={per_class}: class {c} has only {len(members)} examples; "
            f"choose per_class ≤ {len(members)}"
        )
    return np.random.default_rng([seed, c]).permutation(members)[:per_class]
