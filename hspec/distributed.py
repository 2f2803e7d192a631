"""Several processes, one risk each on its share of the data: `torch.distributed`, and what all must
agree on.

Start the processes with torchrun, give each its share (`hspec.curvature.shares`), and leave the
rest of the script as it is:

    dist.init_process_group()
    risk = Risk.from_module(net, shard(batches), group=dist.group.WORLD)
    slq(hessian(risk), 90, 10, generator=generator)

Sums over the data then are sums over all ranks, by one all-reduce a product, and every rank has the
same numbers to the last bit. What one rank finds wrong is raised on all of them. A rank that was
killed is noticed when the others next meet: at once with gloo, after the process group's timeout at
the latest (`init_process_group(timeout=…)`). Programs that torchrun starts join by `launched`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hspec.errors import CommandError

T = TypeVar("T")
# told to other ranks
KINDS = (ValueError, TypeError, MemoryError, FloatingPointError, OSError, CommandError)
# numbers that travel with every sum: whether a rank failed, and two moments of what was asked
TAIL = 3
# of ranks that wait while the first one trains; one that ends is noticed at once
PATIENCE = timedelta(days=7)
BACKENDS = ("gloo", "NCCL")  # named in the errors of collectives
# Seconds in which gloo's thread lets go of the tensors of a sum that has failed, for which it needs
# the interpreter: where that is ending already, C++ aborts the process.
LETTING_GO = 1.0
APART = 100  # times the square of rounding: products asked for on different ranks differ


class Alone:
    """One process: every agreement is its own, every sum what it has.
    Also what `Ranks` offers."""

    rank, size = 0, 1
    group: dist.ProcessGroup | None = None
    in_step = False  # whether the ranks need each other for every evaluation

    def __str__(self) -> str:
        return ""

    def agreed(self) -> contextlib.AbstractContextManager:
        """A block of local work; an error in it on one rank is raised on all,
        when all have come to its end.
        """
        return contextlib.nullcontext()

    def step(self) -> contextlib.AbstractContextManager:
        """The same within a block that is agreed, where ranks are `InStep`; else nothing."""
        return contextlib.nullcontext()

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in their order; any object that pickle takes,
        tensors on the CPU."""
        return [value]

    def told(self, compute: Callable[[], T]) -> T:
        """compute() of rank 0 alone, told to all (any object that pickle takes),
        as is an error in it.
        """
        return compute()

    def led(self, compute: Callable[[], T]) -> T:
        """compute() on rank 0, then on the others, which find on disk what it has left there."""
        return compute()

    def same(self, what: str, value: Callable[[], object], remedy: str) -> None:
        """Raise ValueError on every rank where value() of one is not that of rank 0."""

    def total(
        self, compute: Callable[[], Tensor | None], shape: Sequence[int], like: Tensor
    ) -> Tensor:
        """Σ over ranks of compute() (shape), None standing for zeros;
        an error in it is raised on all ranks.
        """
        return compute()

    def sum(self, t: Tensor) -> Tensor:
        """Σ over ranks of t, in place."""
        return t

    def largest(self, t: Tensor) -> Tensor:
        """The largest of all ranks' t, entry by entry, in place."""
        return t

    def first(self, t: Tensor) -> Tensor:
        """Rank 0's t, in place."""
        return t

    def rows(self, p: int) -> slice:
        """The coordinates, of p, that this rank keeps where a basis is cut up between all."""
        return slice(0, p)

    def join(self, w: Tensor) -> Tensor:
        """w (n, p), in place, with every rank's own `rows` of it."""
        return w


ALONE = Alone()


class Ranks(Alone):
    """The ranks of a process group of `torch.distributed`."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        if self.rank < 0:
            raise ValueError(
                "this process is no member of the group given: leave it out, or make another group"
            )

    def __str__(self) -> str:
        return f", rank {self.rank} of {self.size}"

    def __reduce__(self):
        raise TypeError(
            "what belongs to one rank of several cannot be pickled: save arrays instead"
        )

    @contextlib.contextmanager
    def agreed(self) -> Iterator[None]:
        try:
            yield
        except ConnectionError:
            raise
        except Exception as error:
            self._tell(error)
            raise
        self._tell(None)

    def gather(self, value: T) -> list[T]:
        found = [None] * self.size
        self._meet(dist.all_gather_object, found, value)
        return found

    def told(self, compute: Callable[[], T]) -> T:
        found = [None]
        with self.agreed():
            if self.rank == 0:
                found = [compute()]
        self._meet(dist.broadcast_object_list, found, group_src=0)
        return found[0]

    def led(self, compute: Callable[[], T]) -> T:
        found = None
        for first in (True, False):
            with self.agreed():
                if (self.rank == 0) == first:
                    found = compute()
        return found

    def same(self, what: str, value: Callable[[], object], remedy: str) -> None:
        for rank, other in enumerate(found := self.gather(value())):
            if other != found[0]:
                raise ValueError(f"rank {rank} has other {what} than rank 0: {remedy}")

    def total(
        self, compute: Callable[[], Tensor | None], shape: Sequence[int], like: Tensor
    ) -> Tensor:
        """As for one process; the sum, the flag of an error and the check below go by one
        all-reduce.

        `like`, of the dtype and device wanted, is what the product is asked for: the same on all
        ranks.
        """
        mine, error = None, None
        try:
            mine = compute()
        except Exception as met:
            error = met
        sample = like.flatten()[:: max(1, like.numel() // 64)].sum()
        tail = torch.stack([sample.new_tensor(float(error is not None)), sample, sample.square()])
        mine = like.new_zeros(tuple(shape)) if mine is None else mine
        summed = torch.cat([mine.flatten(), tail])
        self._meet(dist.all_reduce, summed)
        failures, first, second = summed[-TAIL:].tolist()
        if failures:
            self._tell(error)
        if self.size * second - first**2 > APART * torch.finfo(like.dtype).eps * self.size * second:
            raise ValueError(
                "the ranks ask for different products at the same time: give them the same "
                "vectors, drawn by "
                "generators of the same seed, and let them call the same functions in the same "
                "order"
            )
        return summed[:-TAIL].view(tuple(shape))

    def sum(self, t: Tensor) -> Tensor:
        self._meet(dist.all_reduce, t := t.contiguous())
        return t

    def largest(self, t: Tensor) -> Tensor:
        self._meet(dist.all_reduce, t := t.contiguous(), dist.ReduceOp.MAX)
        return t

    def first(self, t: Tensor) -> Tensor:
        t = t.contiguous()
        self._meet(dist.broadcast, t, group_src=0)
        return t

    def rows(self, p: int) -> slice:
        each = -(-p // self.size)
        return slice(min(p, self.rank * each), min(p, (self.rank + 1) * each))

    def join(self, w: Tensor) -> Tensor:
        p = w.shape[1]
        mine = w[:, self.rows(p)]
        padded = torch.nn.functional.pad(mine, (0, -(-p // self.size) - mine.shape[1]))
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        self._meet(dist.all_gather, parts, padded)
        return w.copy_(torch.cat(parts, 1)[:, :p])

    def _tell(self, error: Exception | None) -> None:
        """Raise, on every rank, the error that one of them has met."""
        kind = next((kind for kind in KINDS if isinstance(error, kind)), RuntimeError)
        found = self.gather(None if error is None else (kind, str(error)))
        if error is not None:
            raise error
        for rank, told in enumerate(found):
            if told is not None:
                kind, text = told
                raise kind(f"rank {rank}: {text}")

    def _meet(self, collective: Callable, *arguments, **options) -> None:
        try:
            collective(*arguments, group=self.group, **options)
        except RuntimeError as error:
            raise unanswered(self.rank, self.size, error) from None  # it says what was met


def unanswered(rank: int, size: int, error: RuntimeError) -> ConnectionError:
    """What a rank raises for whom a collective has failed."""
    time.sleep(LETTING_GO)
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ConnectionError(
        f"rank {rank} of {size} waits for another that has ended or does not answer ({said}). "
        "Start all of them again: runs with a checkpoint go on from there"
    )


class InStep(Ranks):
    """Ranks that hold each other's weights, so that they need each other for every evaluation.

    Where a module fails on one of them, it cannot tell the others, who wait for its weights: it
    raises, and they learn of it when it ends. What is found wrong afterwards is told (`step`).
    """

    in_step = True

    @contextlib.contextmanager
    def agreed(self) -> Iterator[None]:
        """Nothing but that a rank which has ended is told as it is elsewhere: PyTorch meets that
        within a product, where weights are gathered.
        """
        try:
            yield
        except RuntimeError as error:
            if not any(backend in str(error) for backend in BACKENDS):
                raise
            raise unanswered(self.rank, self.size, error) from None

    def step(self) -> contextlib.AbstractContextManager:
        return super().agreed()

    def total(
        self, compute: Callable[[], Tensor | None], shape: Sequence[int], like: Tensor
    ) -> Tensor:
        with self.agreed():
            mine = compute()
        return super().total(lambda: mine, shape, like)


def ranks_of(group: dist.ProcessGroup | None) -> Alone:
    """The ranks of a process group; of None, this process alone.

    Raises TypeError for anything else, ValueError where this process is no member.
    """
    if group is None:
        return ALONE
    if not (dist.is_available() and isinstance(group, dist.ProcessGroup)):
        raise TypeError(
            f"group is a {type(group).__name__}: pass dist.group.WORLD after "
            "dist.init_process_group(), "
            "or what dist.new_group(…) gives"
        )
    return Ranks(group)


@contextlib.contextmanager
def launched(device: str = "cpu") -> Iterator[dist.ProcessGroup | None]:
    """The processes that torchrun has started this one among; None where it is alone.

    They meet on entering and part on leaving: with gloo on the CPU, with NCCL too on GPUs, of which
    each takes the one of its LOCAL_RANK. A group that the program has made already is taken, and
    left as it is.

    Args:
        device: where products will be made: "cpu" or "cuda".

    Example:
        >>> with launched() as group:  # not under torchrun
        ...     print(group)
        None
    """
    if dist.is_available() and dist.is_initialized():
        yield dist.group.WORLD
    elif not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        yield None
    else:
        if on_gpu := device.startswith("cuda"):
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        dist.init_process_group(None if on_gpu else "gloo", timeout=PATIENCE)
        try:
            yield dist.group.WORLD
        finally:
            dist.destroy_process_group()
