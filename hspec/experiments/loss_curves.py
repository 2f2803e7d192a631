"""How a net trained: its losses over the steps, kept small enough to publish."""

from __future__ import annotations

import numpy as np

from hspec.experiments.measure import measure
from hspec.experiments.task import Task
from hspec.training import Diverged

EVALUATIONS = ("epoch_step", "train_loss", "train_error", "test_loss", "test_error")


@measure(version=1)
def loss_curves(task: Task, *, points: int = 400) -> dict[str, np.ndarray]:
    """Training and test losses; the loss of each mini-batch averaged over at most ``points``
    stretches of steps.

    A run whose loss stops being finite is a result, not an error: ``diverged`` is then true and the
    curves are empty.

    Arrays: step and step_loss (≤ points,); epoch_step, train_loss, train_error, test_loss and
    test_error, one a pass through the data; diverged; num_examples, num_parameters.
    """
    images, model = task.images("train"), task.new_model()
    facts = {
        "num_examples": len(images.labels),
        "num_parameters": sum(p.numel() for p in model.parameters()),
    }
    try:
        history = task.run.history
    except Diverged:
        return (
            {name: [] for name in ("step", "step_loss", *EVALUATIONS)} | facts | {"diverged": True}
        )
    stretches = np.array_split(history["step_loss"], min(points, len(history["step_loss"])))
    ends = np.cumsum([len(s) for s in stretches])
    return {
        "step": ends - np.array([len(s) - 1 for s in stretches]) / 2,
        "step_loss": [s.mean() for s in stretches],
        **{name: history[name] for name in EVALUATIONS},
        "diverged": False,
        **facts,
    }
