"""The ladder of checkpoints: even in the logarithm, and ended by the last epoch."""

import pytest

from hspec.training import Recipe, ladder_epochs
from hspec.training.loop import wanted_steps


@pytest.mark.parametrize(
    ("epochs", "ladder"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (7, (1, 2, 5, 7)),
        (20, (1, 2, 5, 10, 20)),
        (350, (1, 2, 5, 10, 20, 50, 100, 200, 350)),
    ],
)
def test_ladder_ends_with_the_last_epoch(epochs, ladder):
    assert ladder_epochs(epochs) == ladder


def test_ladder_is_kept_at_the_ends_of_its_epochs():
    recipe = Recipe(epochs=12, batch_size=8)  # 40 examples: five steps an epoch
    assert wanted_steps("ladder", recipe, 40) == {5, 10, 25, 50, 60}
