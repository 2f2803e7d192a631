"""What every record tells of the risk it is about."""

from __future__ import annotations

from hspec.curvature import Risk
from hspec.experiments.task import Task


def risk_facts(risk: Risk) -> dict[str, float]:
    """What every record tells of the risk it is about."""
    return {
        "loss": risk.loss(),
        "error_rate": risk.error_rate(),
        "num_classes": risk.num_classes,
        "num_examples": risk.num_examples,
        "num_parameters": risk.num_parameters,
    }


def performance(task: Task, risk: Risk, epoch: int | None) -> dict[str, float | int]:
    """How well the net does at this moment of its training, and the sizes of the problem."""
    test = task.risk("test", step=task.step_after(epoch))
    return {
        "loss": risk.loss(),
        "error_rate": risk.error_rate(),
        "test_loss": test.loss(),
        "test_error": test.error_rate(),
        "num_classes": risk.num_classes,
        "num_examples": risk.num_examples,
        "num_parameters": risk.num_parameters,
    }
