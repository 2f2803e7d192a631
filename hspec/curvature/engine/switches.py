"""What a sweep back through one kept graph passes and skips:
one graph serves several matrices."""

import contextlib
from collections.abc import Iterator


class Switches:
    """Read by the graph's own nodes while a sweep runs. All on: the sweep computes Hess v.

    through_loss: pass through the derivative of z = ∂ℓ/∂f in the outputs f; off, the sweep over θ
        computes H v.
    to_forward: hand derivatives to the forward pass (activations, parameters). Off for J v, which
        needs none of them; autograd does not tell a custom node that nobody waits for its results.
    single: one cotangent is under way. Off for a block of them, whose matrix products are worth
        folding into one.
    """

    def __init__(self) -> None:
        self.through_loss = self.to_forward = self.single = True

    @contextlib.contextmanager
    def off(self, name: str) -> Iterator[None]:
        """Switch `name` off for a while."""
        setattr(self, name, False)
        try:
            yield
        finally:
            setattr(self, name, True)
