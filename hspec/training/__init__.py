"""Training by the papers' recipe: repeatable to the bit, resumable after a kill,
with checkpoints.
"""

from hspec.extras import need

need("hspec.training", "tqdm")


from hspec.training.checkpoints import CheckpointError
from hspec.training.loop import ladder_epochs, train
from hspec.training.recipe import PUBLISHED_EPOCHS, Recipe
from hspec.training.run import TrainingRun, fingerprint
from hspec.training.trainer import Diverged, evaluate

__all__ = [
    "PUBLISHED_EPOCHS",
    "CheckpointError",
    "Diverged",
    "Recipe",
    "TrainingRun",
    "evaluate",
    "fingerprint",
    "ladder_epochs",
    "train",
]
