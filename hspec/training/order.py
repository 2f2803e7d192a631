"""The order of the examples, a function of (seed, epoch) alone:
there is no shuffling state to lose.
"""

import torch


def epoch_batches(
    num_examples: int, steps_per_epoch: int, batch_size: int, seed: int, epoch: int
) -> tuple[torch.Tensor, ...]:
    """Index tensors of the mini-batches of one epoch, a random partition of all examples."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    order = torch.randperm(num_examples, generator=generator)
    cuts = [batch_size * k for k in range(1, steps_per_epoch)]
    return order.tensor_split(cuts)
