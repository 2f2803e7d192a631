"""The papers' recipe, as numbers."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from hspec.fields import check_fields, check_seed
from hspec.keys import Added

# Source: P20 (training recipe)
PUBLISHED_EPOCHS: dict[str, int] = {
    "MNIST": 200,
    "FashionMNIST": 200,
    "CIFAR10": 350,
    "CIFAR100": 350,
}

# Variances of fewer examples err by more than half: √(2/(n − 1)) > 1/2.
FEW_FOR_BATCH_NORM = 8


@dataclass(frozen=True)
class Recipe:
    """SGD with momentum and weight decay, the learning rate divided at given moments.

    The defaults are the papers', but for the budget and the learning rate, which they choose for
    each net and sample.

    Attributes:
        epochs: The budget, in passes over the set; or
        steps: the budget in updates. One of the two is given.
        batch_size: Examples in a mini-batch.
        learning_rate: The initial one.
        momentum: Of SGD, in [0, 1).
        weight_decay: Of SGD.
        drops: When the learning rate is multiplied by ``drop_factor``: fractions of the budget
            (floats between 0 and 1) or numbers of steps (ints ≥ 1). The update after so many steps
            is the first at the lower rate.
        drop_factor: 0.1 divides by ten.
        batch_norm: "batch" (each mini-batch's own statistics, differentiated through) or
            "population" (statistics of the training set, constants in the gradient).
        population_every: Steps after which population statistics are computed anew.
        population_size: From so many examples, the first of the set; None: from all.
        seed: Draws the order of the examples.
        smallest_batch: A last batch of fewer examples joins the one before it. Batch norm on two
            examples spoils the running statistics, which are what the net is used with afterwards:
            `train` warns below `FEW_FOR_BATCH_NORM`.

    Raises:
        ValueError: A value is out of its range, or the budget is given twice or not at all.

    Example:
        >>> recipe = Recipe(epochs=200)
        >>> recipe.total_steps(num_examples=1360)  # the last 80 make a batch of their own
        2200

    Source: P20 (training recipe), GKX19 (population statistics)
    """

    epochs: int | None = None
    batch_size: int = 128
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    drops: tuple[int | float, ...] = (1 / 3, 2 / 3)
    drop_factor: float = 0.1
    steps: int | None = None
    batch_norm: str = "batch"
    population_every: int = 1
    population_size: int | None = None
    seed: int = 0
    smallest_batch: Annotated[int, Added(2)] = 2

    def __post_init__(self):
        check_fields(self)
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give the budget either as epochs=… or as steps=…")
        for name in ("epochs", "steps", "population_size"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name}={value!r}: a whole number, not negative")
        for name, least in (("batch_size", 1), ("population_every", 1), ("smallest_batch", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: at least {least}")
        for name in ("learning_rate", "drop_factor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)}: a positive number")
        if not 0 <= self.momentum < 1 or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"momentum={self.momentum} lies in [0, 1), weight_decay={self.weight_decay} is ≥ 0"
            )
        if self.batch_norm not in ("batch", "population"):
            raise ValueError(f"unknown batch_norm {self.batch_norm!r}: 'batch' or 'population'")
        check_seed("seed", self.seed)
        for drop in self.drops:
            if not (
                (isinstance(drop, int) and drop >= 1) or (isinstance(drop, float) and 0 < drop < 1)
            ):
                raise ValueError(
                    f"drops={self.drops}: fractions between 0 and 1, or whole numbers of steps"
                )

    def steps_per_epoch(self, num_examples: int) -> int:
        """Mini-batches in one pass over the set."""
        full, rest = divmod(num_examples, self.batch_size)
        return max(1, full + (rest >= self.smallest_batch))

    def last_batch_size(self, num_examples: int) -> int:
        """Examples in the last mini-batch of an epoch: those left over,
        or a whole batch and they.
        """
        return num_examples - (self.steps_per_epoch(num_examples) - 1) * self.batch_size

    def total_steps(self, num_examples: int) -> int:
        """The budget in steps."""
        return (
            self.steps
            if self.steps is not None
            else self.epochs * self.steps_per_epoch(num_examples)
        )

    def drop_steps(self, num_examples: int) -> tuple[int, ...]:
        """After how many steps the learning rate drops:
        where to look "before and after the drop".
        """
        total = self.total_steps(num_examples)
        return tuple(sorted(round(d * total) if isinstance(d, float) else d for d in self.drops))

    def rate_after(self, step: int, num_examples: int) -> float:
        """Learning rate of the update that follows `step` updates."""
        drops = sum(step >= drop for drop in self.drop_steps(num_examples))
        return self.learning_rate * self.drop_factor**drops

    def decay(self, num_examples: int, steps: int | None = None) -> float:
        """By what factor weight decay alone shrinks the weights in so many updates (None: all),

            exp(−λ/(1 − μ) Σ_t η_t),

        with rates η_t, momentum μ and weight decay λ. In front of batch norm the size of a weight w
        does not matter to the net, but to its curvature: there G and Hess are homogeneous of degree
        −2 in w, so that they grow by the factor's inverse square.

        Example:
            >>> recipe = Recipe(steps=136_850, learning_rate=0.0106)
            >>> print(f"{recipe.decay(100):.3f}, {recipe.decay(100, steps=350):.3f}")
            0.068, 0.982
        """
        end = self.total_steps(num_examples) if steps is None else steps
        moments = (0, *(min(drop, end) for drop in self.drop_steps(num_examples)), end)
        total = sum(
            (last - first) * self.rate_after(first, num_examples)
            for first, last in pairwise(moments)
            if last > first
        )
        return math.exp(-self.weight_decay / (1 - self.momentum) * total)
