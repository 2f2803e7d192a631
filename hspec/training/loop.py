"""`train`: the loop around the updates that saves, resumes and reports."""

import time
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hspec.data import ImageSet
from hspec.training import checkpoints as files
from hspec.training.progress import progress_bar
from hspec.training.recipe import Recipe
from hspec.training.run import TrainingRun, run_identity
from hspec.training.trainer import Diverged, Trainer, float32_in_full

_STATE = "state.pt"


def train(
    model: nn.Module,
    train_set: ImageSet,
    recipe: Recipe,
    folder: str | Path,
    *,
    checkpoints: int | str | Iterable[int | str] = "last",
    test_set: ImageSet | None = None,
    progress: bool = True,
    save_every: float = 30.0,
) -> TrainingRun:
    """Train a copy of `model`, on its device, by `recipe`; checkpoints and state go to `folder`.

    Called again after any interruption, a kill included, it goes on from the last saved state and
    ends with the same bits as an uninterrupted run on the same machine; called after the end, it
    returns at once. Asked then for a checkpoint that was not kept, it trains again from the start.

    Args:
        model: Is left as it was.
        train_set: What it is trained on.
        recipe: How.
        folder: For checkpoints and state; made where it is not there.
        checkpoints: Steps to keep: numbers of updates (0 is the initial net), "epoch" (the end of
            each), "ladder" (the ends of epochs 1, 2, 5, 10, 20, 50, …), "last", or several of
            these. The last is always kept.
        test_set: Evaluated after each epoch.
        progress: Draw a bar.
        save_every: Seconds between two savings of the state.

    Raises:
        Diverged: The loss stops being finite; the last good state is kept.
        CheckpointError: The folder cannot be written, or holds a damaged file or another run.
        ValueError: A checkpoint lies beyond the run.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from hspec.data import load
        >>> digits = load("digits", per_class=5, image_size=8)
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> with TemporaryDirectory() as folder:
        ...     run = train(net, digits, Recipe(epochs=2), folder, progress=False)
        >>> run.steps, run.history["train_loss"].shape
        ((2,), (2,))

    Source: P20 (training recipe)
    """
    folder = Path(folder)
    wanted = wanted_steps(checkpoints, recipe, len(train_set))
    files.prepare_folder(folder)
    identity = run_identity(model, train_set, test_set, recipe)
    with float32_in_full():  # statistics of the population are made at once
        trainer = Trainer(model, train_set, test_set, recipe)
    with _repeatable(trainer.device, recipe.seed):
        state = _resumable_state(folder, identity, wanted)
        if state is not None:
            trainer.restore(state)
        _run(trainer, folder, identity, wanted, progress, save_every)
    history = {name: np.array(values) for name, values in trainer.history.items()}
    return TrainingRun(folder, recipe, tuple(sorted(wanted)), history, identity)


def wanted_steps(
    checkpoints: int | str | Iterable[int | str], recipe: Recipe, num_examples: int
) -> set[int]:
    """The steps meant by `checkpoints`; raises where one lies beyond the run."""
    total, per_epoch = recipe.total_steps(num_examples), recipe.steps_per_epoch(num_examples)
    wanted = {total}
    for item in [checkpoints] if isinstance(checkpoints, int | str) else checkpoints:
        if item == "epoch":
            wanted.update(range(per_epoch, total, per_epoch))
        elif item == "ladder":
            wanted.update(epoch * per_epoch for epoch in ladder_epochs(total // per_epoch))
        elif isinstance(item, int | np.integer) and 0 <= item <= total:
            wanted.add(int(item))
        elif item != "last":
            raise ValueError(
                f"checkpoint {item!r}: 'last', 'epoch', 'ladder', or a step between 0 and the "
                f"run's {total}"
            )
    return wanted


def ladder_epochs(epochs: int) -> tuple[int, ...]:
    """1, 2, 5, 10, 20, 50, … up to `epochs`, which ends it: moments of a training,
    even in their logarithms.

    Example:
        >>> ladder_epochs(30)
        (1, 2, 5, 10, 20, 30)
    """
    rungs = (first * 10**power for power in range(len(str(epochs))) for first in (1, 2, 5))
    return (*(rung for rung in rungs if rung < epochs), epochs)


@contextmanager
def _repeatable(device: torch.device, seed: int):
    """Deterministic kernels, float32 in full, and a random state (for dropout) of the run's own;
    all are given back.
    """
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with forked, float32_in_full(deterministic=True):
        torch.manual_seed(seed)
        yield


def _resumable_state(folder: Path, identity: dict, wanted: set[int]) -> dict | None:
    """The saved state, unless a wanted checkpoint lies before it that was not kept."""
    if not (folder / _STATE).exists():
        return None
    state = files.read(folder / _STATE, identity)
    if state["step"] > max(wanted) or not {"optimiser", "history", "random"} <= state.keys():
        raise files.CheckpointError(
            f"{folder / _STATE} is no state of this run of {max(wanted)} steps: delete it and "
            "train again"
        )
    missing = [
        s for s in wanted if s <= state["step"] and not files.checkpoint_path(folder, s).exists()
    ]
    return None if missing else state


def _run(
    trainer: Trainer,
    folder: Path,
    identity: dict,
    wanted: set[int],
    progress: bool,
    save_every: float,
):
    first, saved_at = trainer.step, time.monotonic()
    saved_step = first if first > 0 else None
    try:
        with progress_bar("training", trainer.total, done=first, shown=progress) as bar:
            while True:
                resumed_here = trainer.step == first and first > 0
                due = trainer.step in wanted or time.monotonic() - saved_at >= save_every
                if due and not resumed_here:
                    _save(trainer, folder, identity, wanted)
                    saved_at, saved_step = time.monotonic(), trainer.step
                if trainer.step == trainer.total:
                    return
                trainer.advance()
                bar.update()
    except (Diverged, KeyboardInterrupt) as error:
        kept = (
            f"the state after step {saved_step} is kept in {folder}"
            if saved_step is not None
            else "nothing was saved yet"
        )
        if isinstance(error, Diverged):
            raise Diverged(f"{error}; {kept}") from None
        error.add_note(
            f"Training stopped at step {trainer.step}: {kept}; the same call goes on from there."
        )
        raise


def _save(trainer: Trainer, folder: Path, identity: dict, wanted: set[int]) -> None:
    trainer.check_finite()
    state = trainer.state() | {"identity": identity}
    if trainer.step in wanted:
        snapshot = {key: state[key] for key in ("identity", "step", "model")}
        files.write(files.checkpoint_path(folder, trainer.step), snapshot)
    files.write(folder / _STATE, state)
