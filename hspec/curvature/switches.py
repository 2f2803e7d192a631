"""What a sweep back through one kept graph passes and skips: one graph serves several matrices."""

import contextlib


class Switches:
    """Read by the graph's own nodes while a sweep runs. All on: the sweep computes Hess v.

    through_softmax: pass through the derivative of z = p − y in the logits; off, the sweep over θ computes H v.
    to_forward: hand derivatives to the forward pass (activations, parameters). Off for J v, which needs none of them;
        autograd does not tell a custom node that nobody waits for its results.
    single: one cotangent is under way. Off for a block of them, whose matrix products are worth folding into one.
    """

    def __init__(self):
        self.through_softmax = self.to_forward = self.single = True

    @contextlib.contextmanager
    def off(self, name: str):
        """Switch `name` off for a while."""
        setattr(self, name, False)
        try:
            yield
        finally:
            setattr(self, name, True)
