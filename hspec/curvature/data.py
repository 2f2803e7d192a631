"""The sample: batches in a fixed order, whatever they are made of,
on the network's device and in its dtype.
"""

import contextlib
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hspec.curvature.contents import copied, dense, equal, mapped, moved, tensors

VERSION = operator.attrgetter("_version")
Forward = Callable[[nn.Module, object], tuple[Tensor, object]]


@dataclass(frozen=True)
class Batch:
    """One batch as it was given, but for device and dtype,
    and where its outputs stand in the sample.
    """

    index: int
    content: object
    rows: slice  # of the sample's positions; empty before the sample has been gone through once

    @property
    def where(self) -> str:
        """How errors name it."""
        return f"batch {self.index}"

    @property
    def num_numbers(self) -> int:
        """Entries of all its tensors, with which the bytes of a graph grow."""
        return sum(t.numel() for t in tensors(self.content))


class Data:
    """The batches of a sample, and the function that evaluates a module on one.

    batches: a sequence, or anything that can be gone through again and again to the same content.
    It is always gone through with the same state of PyTorch's global generator (which is given back
    as it was), so that a loader that shuffles by it repeats itself: `random_state`, the generator's
    own by default.
    """

    def __init__(
        self,
        batches: Iterable,
        forward: Forward | None,
        dtype: torch.dtype,
        device: torch.device,
        random_state: Tensor | None = None,
    ) -> None:
        self.source, self.forward, self.dtype, self.device = batches, forward, dtype, device
        self.random_state = torch.get_rng_state() if random_state is None else random_state
        self._watch()
        self.held: list | None = None  # the batches themselves, where they fit
        self.num_read = 0  # batches, once they have been read in
        self.ends: list[int] = []  # of each batch's rows
        self.sketch: Tensor | None = None
        self.counted: Tensor | None = None  # rows whose labels are not ignored; None for all
        self.rounding = torch.finfo(dtype).eps  # of outputs; more where products may be coarse
        self.needs_grad = False  # the module or the loss differentiates inside: fails under no_grad
        self.caches: tuple = ()  # of the module (see `engine.caches`), emptied at every evaluation
        self.is_written = False  # the module or the loss writes into its inputs: it is given copies

    def without_graph(self) -> contextlib.AbstractContextManager:
        """The grad mode to evaluate in where no derivative is wanted."""
        return torch.enable_grad() if self.needs_grad else torch.no_grad()

    @property
    def num_batches(self) -> int:
        """How many there are, once the sample has been gone through."""
        return len(self.ends)

    @property
    def largest_batch(self) -> int:
        """Positions of the largest batch."""
        return max((b - a for a, b in itertools.pairwise([0, *self.ends])), default=0)

    @property
    def is_paired(self) -> bool:
        """Whether batches are (x, y), x a tensor with an example in each row,
        and the outputs module(x).
        """
        return self.forward is None

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._watch()  # the copied tensors

    def _watch(self) -> None:
        """Of each tensor of a list's batches, how often PyTorch has written into it, or into
        another view of its memory. A loader's are its own affair: it makes them anew, or is found
        to change.
        """
        self.watched = []
        if self._is_list:
            self.watched = [t for c in self.source for t in tensors(c) if not t.is_inference()]
        self.versions = list(map(VERSION, self.watched))

    def refuse_written(self) -> None:
        """Raise ValueError where a batch has been written into since the risk was made: its loss is
        of what was there, and products would be of what is there now.
        """
        if list(map(VERSION, self.watched)) == self.versions:
            return
        written = {
            id(t) for t, v in zip(self.watched, self.versions, strict=True) if VERSION(t) != v
        }
        index = next(
            i for i, c in enumerate(self.source) if any(id(t) in written for t in tensors(c))
        )
        raise ValueError(
            f"batch {index} has been written into since the risk was made: products would be of "
            "other data than its loss. Make the risk of copies, (x.clone(), y.clone()), or make "
            "another one"
        )

    def __iter__(self) -> Iterator[Batch]:
        self.refuse_written()
        contents = enumerate(self.held) if self.held is not None else self._moved()
        for index, content in contents:
            start, stop = (self._end(i) for i in (index - 1, index))
            yield Batch(index, content, slice(start, stop))

    def _moved(self) -> Iterator[tuple[int, object]]:
        for index, content in self._read():
            yield index, self._moved_one(content)

    def _moved_one(self, content: object) -> object:
        """Where it is needed; never a source's own tensors, unless it is a list:
        it may fill them anew.
        """
        return moved(content, self.device, self.dtype, anew=not self._is_list)

    def _read(self) -> Iterator[tuple[int, object]]:
        """The batches as they are given, each drawn under this sample's own state of the
        generator.
        """
        mine, source, index = self.random_state, None, 0
        while True:
            users = torch.get_rng_state()
            torch.set_rng_state(mine)
            try:
                source = iter(self.source) if source is None else source
                content = next(source, _END)
            finally:
                mine = torch.get_rng_state()
                torch.set_rng_state(users)
            if content is _END:
                return
            yield index, content
            index += 1

    def _end(self, index: int) -> int:
        return self.ends[index] if 0 <= index < len(self.ends) else 0

    def read_in(self, budget: int, inspect: Callable[[str, object], None]) -> int:
        """Go through the source, `inspect` each batch as it is given, and hold them if they fit in
        `budget` bytes.

        Returns the bytes that this takes: a list whose tensors are already where they are needed
        costs nothing. Raises ValueError for a source that is read anew and has changed.
        """
        held, size = [], 0
        for index, content in self._read():
            inspect(f"batch {index}", content)
            self.num_read = index + 1
            if held is None:
                continue
            here = self._moved_one(content)
            given = {t.untyped_storage().data_ptr() for t in dense(content)}
            new = [t for t in dense(here) if t.untyped_storage().data_ptr() not in given]
            size += sum(t.nbytes for t in new)
            if size <= budget:
                held.append(here)
            else:
                held = None
        if held is None:
            return 0
        if not self._is_list:
            again = (content for _, content in self._moved())
            pairs = itertools.zip_longest(held, again)
            if not all(equal(first, second) for first, second in pairs):
                raise changed("")
        self.held = held
        return size

    @property
    def _is_list(self) -> bool:
        return isinstance(self.source, list | tuple)

    def lent(self, batch: Batch) -> Batch:
        """A copy, for the module to be evaluated on before it is known whether it writes
        into it.
        """
        return replace(batch, content=mapped(batch.content, copied))

    def look_for_writes(self, batch: Batch, lent: Batch) -> None:
        """Whether a batch that was lent has come back with other numbers:
        from now on only copies are given.
        """
        self.is_written |= not equal(batch.content, lent.content)

    def given(self, content: object) -> object:
        """What the module gets: containers of its own,
        and tensors of its own if it writes into them.
        """
        return mapped(content, copied if self.is_written else lambda t: t)

    def evaluate(self, module: nn.Module, batch: Batch) -> tuple[Tensor, object]:
        """(outputs, targets) of `module` on a batch."""
        content = self.given(batch.content)
        for cache in self.caches:
            cache.empty(module)
        if self.forward is not None:
            found = self.forward(module, content)
            if not (isinstance(found, tuple) and len(found) == 2):
                raise ValueError(
                    f"{batch.where}: forward gives {type(found).__name__}, a pair (outputs, "
                    "targets) is needed"
                )
            outputs, targets = found
        else:
            x, targets = content
            outputs = module(x)
        if not isinstance(outputs, Tensor):
            raise ValueError(
                f"{batch.where}: the module gives {type(outputs).__name__}, a tensor is needed: "
                "pick it out by "
                "forward=lambda module, batch: (module(...).logits, labels)"
            )
        return outputs, targets

    def first_few(self, count: int) -> Iterator[Batch]:
        """Smaller and smaller stand-ins for the sample: a few rows of the first batch,
        or all of it.
        """
        first = self._first_that_counts()
        if self.is_paired and len(first.content[1]) > count:
            x, y = first.content
            rows = self._counted(first)[:count] if y.dim() == 1 else slice(count)
            yield replace(first, content=(x[rows], y[rows]))
        yield first

    def _first_that_counts(self) -> Batch:
        """The first batch that has an example whose label is not ignored."""
        found = (batch for batch in self if len(self._counted(batch)))
        return next(found, None) or next(iter(self))

    def _counted(self, batch: Batch) -> Tensor:
        """Which of its rows have labels that are not ignored."""
        if self.counted is None:
            return torch.arange(batch.rows.stop - batch.rows.start)
        return self.counted[batch.rows].nonzero()[:, 0]

    def two_samples(self) -> Iterator[Batch]:
        """Two small samples of different examples; one, where there are no others."""
        first = next(iter(self))
        if self.is_paired and len(first.content[1]) > 3:
            for rows in (slice(0, 2), slice(2, 4)):
                yield replace(first, content=tuple(t[rows] for t in first.content))
        else:
            yield from itertools.islice(self, 2)

    def in_dtype(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """The batch with floating inputs and targets in another dtype."""
        return replace(batch, content=moved(batch.content, self.device, dtype))

    def of_class(self, c: int) -> Iterator[Tensor]:
        """The inputs of class c in their order,
        gathered into batches as large as the sample's largest.
        """
        waiting, count, size = [], 0, 0
        for batch in self:
            x, y = batch.content
            waiting.append(x[y == c])
            count, size = count + len(waiting[-1]), max(size, len(y))
            if count >= size:
                gathered = torch.cat(waiting)
                yield gathered[:size]
                waiting, count = [gathered[size:]], count - size
        if count:
            yield torch.cat(waiting)

    def verify(self, batch: Batch, outputs: Tensor) -> None:
        """Raise ValueError where a graph's outputs are not those that the sample was
        checked with.
        """
        if self.sketch is not None and not same(
            self.sketch[batch.rows], sketched(outputs), rounding=self.rounding
        ):
            raise ValueError(
                f"{batch.where}: the module gives other outputs when gradients are recorded than "
                "under torch.no_grad(), or it or the batch has changed since the risk was made: "
                "its derivatives would not be those of the loss. Remove what depends on "
                "torch.is_grad_enabled(), or on earlier calls"
            )


_END = object()


def sketched(outputs: Tensor) -> Tensor:
    """One number for each row of outputs (m, C), by a fixed random projection:
    enough to tell them apart.
    """
    generator = torch.Generator().manual_seed(outputs.shape[1])
    direction = torch.randn(outputs.shape[1], generator=generator, dtype=torch.float64)
    return outputs.detach() @ direction.to(outputs)


def same(a: Tensor, b: Tensor, least: float = 1.0, rounding: float | None = None) -> bool:
    """Whether two sketches agree, to the square root of rounding (their own) of their size, which
    is `least` at least.
    """
    if a.shape != b.shape:
        return False
    if not a.numel():
        return True
    tolerance = math.sqrt(rounding or torch.finfo(a.dtype).eps) * max(least, float(a.abs().max()))
    return float((a - b).abs().max()) <= tolerance


def changed(layer: str) -> ValueError:
    """Two passes saw different outputs: because of a layer of the module,
    or else because of the data.
    """
    found = (
        "two passes over the data gave different outputs or labels, so the matrix would change "
        "between "
        "products"
    )
    if layer:
        return ValueError(
            f"{found}: {layer} gives another output each time. Switch its randomness off, or what "
            "it updates at every pass: model.eval() does both for PyTorch's own layers"
        )
    return ValueError(
        f"{found}, though the module repeats itself: switch off shuffling and augmentation in the "
        "loader, "
        "or pass list(batches), which fixes one draw of them"
    )
