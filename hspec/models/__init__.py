"""The papers' networks, at any width, with or without batch normalisation, initialised from a generator."""

from hspec.models.layers import ACTIVATIONS, NORMS
from hspec.models.registry import MODELS, build, count_parameters

__all__ = ["ACTIVATIONS", "MODELS", "NORMS", "build", "count_parameters"]
