"""The shares of several processes in one sample: batches that each of them evaluates its own of."""

from collections.abc import Iterable, Iterator
from itertools import islice

import torch.distributed as dist
from torch.utils.data import DataLoader, DistributedSampler

from hspec.curvature.contents import tensors
from hspec.distributed import ranks_of
from hspec.linalg.checkpoint import checksum


class _Share:
    """Every size-th batch, from the rank-th on, each time it is gone through."""

    def __init__(self, batches: Iterable, rank: int, size: int) -> None:
        self.batches, self.rank, self.size = batches, rank, size

    def __iter__(self) -> Iterator:
        return islice(self.batches, self.rank, None, self.size)


def shard(batches: Iterable, group: dist.ProcessGroup | None = None) -> Iterable:
    """This rank's share of the batches: every W-th, so that shares differ by one batch at most.

    Batches stay whole, and none is repeated or left out (as `DistributedSampler` does, to make
    shares equal): the sample is what it is in one process. A rank may be left without batches. All
    ranks must call this, with the same batches in the same order: lists are compared.

    Args:
        batches: a list, or a DataLoader: each rank then loads all batches and evaluates its own.
        group: None for all processes.

    Returns:
        Of a list or tuple one of the same kind; of a DataLoader an iterable, which can be gone
        through again and again.

    Raises:
        ValueError: before `dist.init_process_group()`; for an iterator, which can be gone through
            once only; in a process that is no member of the group; and, on all ranks, where the
            list of one is another: together the shares would be no sample, some examples twice in
            it and some left out.
        TypeError: for a group that is no process group.
        ConnectionError: where lists are compared, for ranks that have ended or do not answer.

    Example:
        >>> import tempfile
        >>> meeting = f"file://{tempfile.mkdtemp()}/meeting"
        >>> dist.init_process_group("gloo", init_method=meeting, rank=0, world_size=1)
        >>> shard([1, 2, 3])  # of one rank; the second of two would have [2]
        [1, 2, 3]
        >>> dist.destroy_process_group()
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise ValueError(
            "there are no ranks to share batches between: call dist.init_process_group() first"
        )
    if hasattr(batches, "__next__"):
        raise ValueError(
            "batches is an iterator, spent after one pass: give a sequence, list(batches)"
        )
    ranks = ranks_of(group or dist.group.WORLD)
    if not isinstance(batches, list | tuple):
        return _Share(batches, ranks.rank, ranks.size)
    ranks.same(
        "batches",
        lambda: [[checksum(t) for t in tensors(batch)] for batch in batches],
        "give what draws or shuffles them the same seed on all, and each rank the whole list",
    )
    return batches[ranks.rank :: ranks.size]


def refuse_padding(batches: Iterable) -> None:
    """Raise ValueError for a DataLoader whose sampler makes shares equal by repeating or
    dropping examples.
    """
    sampler = batches.sampler if isinstance(batches, DataLoader) else None
    if isinstance(sampler, DistributedSampler) and sampler.total_size != len(sampler.dataset):
        raise ValueError(
            f"DistributedSampler makes {sampler.total_size} of {len(sampler.dataset)} examples, to "
            "have shares of one "
            "size: the risk would be that of another sample. Use a plain DataLoader, and "
            "shard(loader)"
        )
