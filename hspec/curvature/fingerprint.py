"""One short name for a net, its data and its loss:
what tells a computation's checkpoint from another's.
"""

import hashlib
from collections.abc import Iterable

from torch import Tensor

from hspec.curvature.contents import parts, tensors
from hspec.curvature.engine.gathered import named_parameters, whole
from hspec.curvature.risk import Risk


def fingerprint(risk: Risk) -> str:
    """16 hexadecimal digits of all numbers that the risk is made of, bit by bit.

    θ and which parameters it consists of, all other parameters and buffers, every tensor of every
    batch, the loss's name and its value to six digits (a function has no numbers of its own). It is
    the same on all ranks, and on another number of them: the order of batches does not count.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(4, 3)
        >>> batch = torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1])
        >>> one, other = (Risk.from_module(net, [batch]) for _ in range(2))
        >>> fingerprint(one) == fingerprint(other)
        True
    """
    module = risk.network.module
    said = (
        list(risk.parameter_slices),
        risk.loss_function.name,
        f"{risk.loss():.5e}",
        risk.precision,
    )
    with risk.ranks.agreed():
        batches = [_digest(tensors(batch.content)) for batch in risk.data]
    everybodys = sorted(name for names in risk.ranks.gather(batches) for name in names)
    parameters = [whole(q.detach()) for _, q in named_parameters(module)]
    network = _digest([*parameters, *module.buffers()])
    return hashlib.sha256(repr((said, network, everybodys)).encode()).hexdigest()[:16]


def _digest(numbers: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for t in numbers:
        digest.update(f"{tuple(t.shape)} {t.dtype}".encode())
        for part in parts(t):
            digest.update(part.detach().cpu().contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()
