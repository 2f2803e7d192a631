"""The papers' networks, at any width, with or without batch normalisation,
initialised from a generator.
"""

from hspec.models.layers import ACTIVATIONS, INITS, NORMS
from hspec.models.registry import MODELS, build, check_net, count_parameters, model_version
from hspec.models.weights import WeightsError, load_weights

__all__ = [
    "ACTIVATIONS",
    "INITS",
    "MODELS",
    "NORMS",
    "WeightsError",
    "build",
    "check_net",
    "count_parameters",
    "load_weights",
    "model_version",
]
