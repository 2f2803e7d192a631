"""What is measured: a net, the recipe that trained it, and the images it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from hspec.data import SUBSETS
from hspec.data.normalization import find_normalization
from hspec.data.registry import find
from hspec.fields import check_fields, check_seed, unchecked
from hspec.keys import Added, completed, digest
from hspec.models import check_net, model_version
from hspec.training import Recipe

CHECKPOINTS = ("last", "epoch", "ladder")
TRAINING_VERSION = 1  # raise it when a change to models or training changes the trained weights


@dataclass(frozen=True)
class Setting:
    """A trained network, by everything that determines it.

    Two settings that compare equal give bit-for-bit the same network on one machine, so a training
    run is shared by every experiment with the same setting. How to add a field without changing the
    keys of what is stored: :mod:`hspec.keys`.

    Attributes:
        dataset: A name of ``hspec.data.DATASETS``, or ``"folder:NAME"``.
        model: A name that :func:`hspec.models.build` knows.
        width: Factor on every hidden width; 1.0 is the papers' net.
        norm: "batch" or "none".
        classes: So many classes drawn at random by data_seed; None takes all.
        image_size: Height and width of the images, in pixels.
        per_class: Training examples per class; None takes all there are.
        test_per_class: Test examples per class; None takes all there are.
        recipe: How it is trained.
        checkpoints: Steps to keep: "last", "epoch", "ladder" (after epochs 1, 2, 5, 10, …), or a
            tuple of steps.
        init_seed: Seed of the initial weights.
        data_seed: Seed of the balanced subset.
        subset: How the subset is drawn: a rule of ``hspec.data.SUBSETS``.
        normalization: A name of ``hspec.data.NORMALIZATIONS``; None takes the data set's own.
        weights: File of the weights that training starts from, in the data's folder
            (``hspec.data.data_root``); with ``Recipe(epochs=0)`` the net is measured as it comes.
            None: the initial ones.
        weights_sha256: Of that file: another one is refused.
        init: Rule of ``hspec.models.INITS`` for the initial weights.
        model_version: Set by itself: which meaning of the model's name this is
            (:func:`hspec.models.model_version`).
    """

    dataset: str = "digits"
    model: str = "vgg11"
    width: float = 0.125
    norm: str = "batch"
    classes: int | None = None
    image_size: int = 32
    per_class: int | None = 100
    test_per_class: int | None = 40
    recipe: Recipe = Recipe(epochs=20)
    checkpoints: str | tuple[int, ...] = "last"
    init_seed: int = 0
    data_seed: int = 0
    subset: Annotated[str, Added("nested")] = "nested"
    normalization: Annotated[str | None, Added(None)] = None
    weights: Annotated[str | None, Added(None)] = None
    weights_sha256: Annotated[str | None, Added(None)] = None
    init: Annotated[str, Added("He")] = "He"
    model_version: Annotated[int, Added(1)] = 1

    def __post_init__(self):
        object.__setattr__(self, "model_version", model_version(self.model))
        check_fields(self)
        find(self.dataset)  # refuses an unknown name
        if self.normalization is not None:
            find_normalization(self.normalization)
        if self.subset not in SUBSETS:
            raise ValueError(f"unknown subset {self.subset!r}: choose one of {', '.join(SUBSETS)}")
        check_net(self.model, self.image_size, self.width, self.norm, self.init)
        if (self.weights is None) != (self.weights_sha256 is None):
            raise ValueError(
                f"weights={self.weights!r} and weights_sha256={self.weights_sha256!r}: give both "
                "or none, "
                "for a result must say which file it is of"
            )
        for name, least in (("classes", 2), ("per_class", 1), ("test_per_class", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, or None for all; got {value}")
        check_seed("init_seed", self.init_seed)
        check_seed("data_seed", self.data_seed)
        steps = () if isinstance(self.checkpoints, str) else self.checkpoints
        if (isinstance(self.checkpoints, str) and self.checkpoints not in CHECKPOINTS) or min(
            steps, default=0
        ) < 0:
            raise ValueError(
                f"checkpoints must be {', '.join(map(repr, CHECKPOINTS))} or steps from 0 on, got "
                f"{self.checkpoints!r}"
            )

    @classmethod
    def from_canonical(cls, form: Mapping[str, Any]) -> Setting:
        """The setting whose canonical form, as it stands in a record's ``meta["setting"]``, this
        is.

        It is not held against today's rules and names: it tells what was measured.
        """
        recipe = unchecked(Recipe, completed(Recipe, form["recipe"]))
        return unchecked(cls, completed(cls, form) | {"recipe": recipe})

    @property
    def training_key(self) -> str:
        """Names the training run, which settings with the same key share."""
        return digest({"training": TRAINING_VERSION, "setting": self})
