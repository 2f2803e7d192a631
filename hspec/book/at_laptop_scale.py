"""What the laptop-scale results that come with the book say of the claims that no larger one
decides: as their chapters' pages do, from the same records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hspec.chapters.learning_rate_drop.verdict import verdict_drop
from hspec.chapters.population_batch_norm.verdict import verdict_modes, verdict_population
from hspec.experiments import Record, Setting, Store, Verdict
from hspec.experiments.films import stopped, with_recipe
from hspec.experiments.loss_curves import loss_curves
from hspec.experiments.training_spectrum import Frame, training_spectrum
from hspec.keys import digest

Found = Iterator[tuple[Record, list[Verdict]]]
LEAST = 2  # seeds that are compared
KINDS = ("batch", "population", "none")  # statistics that a net is trained with


def laptop_verdicts(store: Store) -> Found:
    """A record of each net, with the verdicts on it and its like."""
    frames = [
        frame for frame in store.laptop_records(training_spectrum) if frame.setting.weights is None
    ]
    yield from _drops(frames)
    yield from _populations(frames, store.laptop_records(loss_curves))


def _drops(frames: Sequence[Frame]) -> Found:
    """GKX-4: seeds with a drop of the learning rate, just before it, and without it."""
    seeds = _by(frames, lambda frame: (_seedless(frame.setting), _how(frame), frame.step))
    for (net, how, step), dropped in seeds.items():
        if not net.recipe.drops or len(dropped) < LEAST:
            continue
        before = seeds.get((net, how, net.recipe.drops[0]), [])
        kept = seeds.get((with_recipe(net, drops=()), how, step), [])
        if len(before) == len(kept) == len(dropped) and step > before[0].step:
            yield dropped[0], verdict_drop(before, dropped, kept)


def _populations(frames: Sequence[Frame], curves: Sequence[Record]) -> Found:
    """GKX-7: one net trained with either statistics, in both modes; then seeds of both, and the
    losses of these and of nets without a norm.
    """
    losses = _by(curves, lambda curve: (_alike(curve.setting), _kind(curve.setting)))
    looks = _by(frames, lambda f: (_alike(f.setting), _kind(f.setting), *_mode(f), f.step))
    for (net, kind, mode, how, step), batch in looks.items():
        if (kind, mode) != ("batch", "batch"):
            continue
        crossed = {
            f"trained with {kind} statistics": tuple(
                looks.get((net, kind, mode, how, step), [None])[0] for mode in KINDS[:2]
            )
            for kind in KINDS[:2]
        }
        short = _alike(stopped(batch[0].setting, step))
        seeds = [looks.get((short, kind, kind, how, step), []) for kind in KINDS[:2]]
        curves_of = [losses.get((short, kind), []) for kind in KINDS]
        whole = all(frame for pair in crossed.values() for frame in pair)
        if whole and len(seeds[0]) >= LEAST and len(set(map(len, (*seeds, *curves_of)))) == 1:
            rows = verdict_modes(crossed) + verdict_population(*seeds, curves_of)
            yield seeds[0][0], rows


def _by(records, key):
    """The records by key, each group in the order of its seeds."""
    groups = {}
    for record in sorted(records, key=lambda record: record.setting.init_seed):
        groups.setdefault(key(record), []).append(record)
    return groups


def _seedless(setting: Setting) -> Setting:
    return with_recipe(replace(setting, init_seed=0), seed=0)


def _alike(setting: Setting) -> Setting:
    """The same of nets that differ in their seeds, norm, statistics and learning rate only."""
    plain = dict(batch_norm="batch", learning_rate=1.0, population_size=None)
    return with_recipe(replace(_seedless(setting), norm="batch"), **plain)


def _kind(setting: Setting) -> str:
    return setting.recipe.batch_norm if setting.norm == "batch" else "none"


def _how(frame: Frame) -> str:
    return digest({k: v for k, v in frame.options.items() if k != "step"})


def _mode(frame: Frame) -> tuple[str, str]:
    """The mode of a frame's Hessian, and its other options but the step."""
    rest = {k: v for k, v in frame.options.items() if k not in ("step", "batch_norm")}
    return frame.options["batch_norm"], digest(rest)
