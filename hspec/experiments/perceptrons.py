"""For measures of layers that see one vector an example: which nets have no others."""

from __future__ import annotations

from hspec.experiments.setting import Setting
from hspec.models.mlp import is_perceptron


def require_perceptron(setting: Setting) -> None:
    """Raise ValueError for a net with convolutions, before it is trained."""
    if not is_perceptron(setting.model):
        raise ValueError(
            f"{setting.model} has convolutions, which see an example at many positions: take a "
            "perceptron, model='mlp:64x8', say; P20's definitions are of its layers"
        )
