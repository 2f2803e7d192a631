"""A finished training: its history and its checkpoints."""

import copy
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import nn

from hspec.data import ImageSet
from hspec.keys import distinguishing
from hspec.training.checkpoints import CheckpointError, checkpoint_path, read
from hspec.training.recipe import Recipe


@dataclass(frozen=True)
class TrainingRun:
    """What `train` leaves behind.

    Attributes:
        folder: Where the checkpoints are.
        recipe: As trained.
        steps: The steps that can be loaded, in order; the last one is always among them.
        history: Arrays over the T steps: "step_loss" and "step_error" of the mini-batch before its
            update, and "learning_rate" of that update; and over the E evaluations, at the end of
            each epoch and of the run: "epoch_step", "train_loss" and "train_error" (means over the
            epoch's mini-batches, as trained) and, with a test set, "test_loss" and "test_error"
            (eval mode).
        identity: What makes two runs the same: recipe, initial model, data.
    """

    folder: Path
    recipe: Recipe
    steps: tuple[int, ...]
    history: dict[str, np.ndarray] = field(repr=False)
    identity: dict = field(repr=False)

    def load(self, step: int | str, model: nn.Module) -> nn.Module:
        """A copy of `model`, in eval mode, with parameters and buffers after `step` updates
        ("last": all).

        Raises:
            CheckpointError: The file is missing, damaged, of another run, or holds NaN.
        """
        step = self.steps[-1] if step == "last" else step
        path = checkpoint_path(self.folder, step)
        if step not in self.steps or not path.is_file():
            raise CheckpointError(
                f"no checkpoint of step {step} in {self.folder}: there are {self.steps}; "
                f"train again with checkpoints=[…, {step}]"
            )
        loaded = copy.deepcopy(model).eval()
        try:
            loaded.load_state_dict(read(path, self.identity)["model"])
        except RuntimeError as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{path} was made by another model: {error}") from error
        return loaded


def run_identity(
    model: nn.Module, train_set: ImageSet, test_set: ImageSet | None, recipe: Recipe
) -> dict:
    """What makes two runs the same to the bit, on one machine: recipe, initial model, data.

    Of the recipe, only what distinguishes it (:mod:`hspec.keys`): a run half done goes on when
    recipes have grown.
    """
    return distinguishing(Recipe, vars(recipe)) | {
        "initial model": fingerprint(model),
        "training set": train_set.fingerprint,
        "test set": test_set.fingerprint if test_set is not None else "none",
        "device": next(model.parameters()).device.type,
    }


def fingerprint(model: nn.Module) -> str:
    """Of all parameters and buffers, bit by bit: a sha256 in hexadecimal digits.

    Example:
        >>> one, other = nn.Linear(3, 2), nn.Linear(3, 2)
        >>> fingerprint(one) == fingerprint(other)
        False
        >>> fingerprint(one) == fingerprint(copy.deepcopy(one))
        True
    """
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()
