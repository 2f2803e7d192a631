"""Films: one measure, frame by frame, over the steps of one training run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hspec.batch_norm import check_mode
from hspec.experiments.experiment import Experiment, load_or_run_all
from hspec.experiments.loss_curves import loss_curves
from hspec.experiments.records import Record
from hspec.experiments.setting import Setting
from hspec.experiments.store import Store
from hspec.experiments.training_spectrum import Frame, training_spectrum
from hspec.keys import digest


def film(
    setting: Setting,
    steps: Iterable[int],
    *,
    batch_norm: str | None = None,
    store: Store | None = None,
    progress: bool = True,
    **options: object,
) -> list[Frame]:
    """The records of ``training_spectrum`` after each of the steps, in their order; each is stored
    by itself.

    batch_norm   the mode of the Hessian; None takes that of the training: see :func:`trained_mode`
    options      of the measure

    Raises ValueError, before anything runs, for a step that the setting keeps no checkpoint of, or
    an unknown mode.
    """
    steps = sorted(set(steps))
    check_steps(setting, steps)
    mode = batch_norm or trained_mode(setting)
    check_mode(mode)
    frames = [
        Experiment(training_spectrum, setting, {"step": s, "batch_norm": mode} | options)
        for s in steps
    ]
    return load_or_run_all(frames, store, progress=progress)


def check_steps(
    setting: Setting, steps: Iterable[int], *, frames: Iterable[int] | None = None
) -> None:
    """Refuse steps that cannot be measured, before anything is trained: one line at the head of a
    chapter.

    Raises ValueError for a step that the setting keeps no checkpoint of, or that is not one of
    ``frames``.
    """
    for step in steps:
        if step not in setting.checkpoints:
            raise ValueError(
                f"no checkpoint is kept at step {step}: the setting keeps {setting.checkpoints}"
            )
        if frames is not None and step not in frames:
            raise ValueError(
                f"step {step} is not one of the frames, {list(frames)}: add it to them, or name "
                "another"
            )


def stills(settings: Iterable[Setting], step: int, **options: object) -> list[Frame]:
    """One frame of each setting, all after the same step;
    ``options`` are those of :func:`film`."""
    return [film(setting, [step], **options)[0] for setting in settings]


def trained_mode(setting: Setting) -> str:
    """The batch-norm mode of the loss that the setting's recipe trains;
    "eval" where there is no batch norm.
    """
    return setting.recipe.batch_norm if setting.norm == "batch" else "eval"


def loss_records(settings: Sequence[Setting], *, store: Store | None = None) -> list[Record]:
    """The loss curves of each setting's training."""
    return load_or_run_all([Experiment(loss_curves, setting) for setting in settings], store)


def with_seeds(setting: Setting, seeds: Iterable[int]) -> list[Setting]:
    """The setting with other initial weights and another order of the examples,
    once for each seed.
    """
    return [replace(setting, init_seed=s, recipe=replace(setting.recipe, seed=s)) for s in seeds]


def without_norm(setting: Setting, learning_rate: float) -> Setting:
    """The same net without normalisation layers, trained at a learning rate of its own."""
    return replace(with_recipe(setting, learning_rate=learning_rate), norm="none")


def rate_trials(setting: Setting, rates: Iterable[float], train_steps: int) -> list[Setting]:
    """The setting, trained for so many steps at each of the constant learning rates."""
    short = replace(setting, checkpoints="last")
    return [with_recipe(short, learning_rate=rate, steps=train_steps, drops=()) for rate in rates]


def stopped(setting: Setting, step: int) -> Setting:
    """The same training, stopped after so many updates: its weights are those of the whole one
    there, at less cost.

    Raises:
        ValueError: the recipe's drops are fractions of a length that would be another.
    """
    if any(isinstance(drop, float) for drop in setting.recipe.drops):
        raise ValueError(f"drops={setting.recipe.drops}: give them in steps, to stop at one")
    drops = tuple(drop for drop in setting.recipe.drops if drop < step)
    return replace(with_recipe(setting, steps=step, drops=drops), checkpoints=(step,))


def with_recipe(setting: Setting, **changes: object) -> Setting:
    """The setting, trained by a recipe with these changes."""
    return replace(setting, recipe=replace(setting.recipe, **changes))


def published_films(
    *, norm: str, batch_norm: str, statistics: str = "batch", store: Store | None = None
) -> list[list[Frame]]:
    """The films committed with the book, the longest of the largest nets and samples first; frames
    in order.

    norm        of the net; statistics  that it was trained with, where it has a norm; batch_norm
    the Hessian's mode
    """
    films: dict[str, list[Frame]] = {}
    for record in (store or Store()).published_records(training_spectrum):
        setting, mode = record.setting, record.options["batch_norm"]
        wanted = (setting.norm, setting.recipe.batch_norm, mode) == (norm, statistics, batch_norm)
        if wanted and setting.weights is None:  # a net that came trained has no film
            films.setdefault(film_key(record), []).append(record)
    in_order = [sorted(frames, key=lambda r: r.step) for frames in films.values()]
    return sorted(in_order, key=size, reverse=True)


def film_key(record: Frame) -> str:
    """The same for the frames of one film: everything but the step."""
    options = {k: v for k, v in record.options.items() if k != "step"}
    return digest({"setting": record.meta["setting"], "options": options})


def size(frames: list[Frame]) -> int:
    return len(frames) * frames[0].num_parameters * frames[0].num_examples
