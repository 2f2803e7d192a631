"""A private copy of the user's module: the function θ ↦ outputs,
with θ a chosen set of its parameters.
"""

import contextlib
import copy
import fnmatch
import itertools
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from hspec.curvature.contents import COMPLEX, is_finite, parts
from hspec.curvature.engine import gathered
from hspec.curvature.engine.copying import Detaching, private_copy, unwrapped
from hspec.curvature.engine.kept import Snapshot
from hspec.linalg.checkpoint import checksum


class Network:
    """A detached deep copy of a module whose chosen parameters are the coordinates of θ ∈ R^p, in
    order.

    Tied parameters are one block of coordinates; frozen ones (requires_grad False) are constants. A
    complex parameter has two coordinates an entry, its real and its imaginary part. Parameters may
    be cut up between ranks (see `gathered`): θ and its vectors are then whole on every rank, and
    what `flat` gives are summands, one a rank.
    """

    def __init__(
        self,
        module: nn.Module,
        parameters: str | Tensor | Iterable | None,
        dtype: torch.dtype | str | None,
    ) -> None:
        self.module, self.computed = private_copy(module)
        self._originals = [
            (name, weakref.ref(q))
            for name, q in unwrapped(module).named_parameters()
            if q.requires_grad
        ]
        chosen = _choose(self.module, parameters, unwrapped(module))
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        self.dtype = _common_dtype(self.module, dtype)
        _convert(self.module, self.dtype)
        named = [pair for pair in gathered.named_parameters(self.module) if pair[0] in chosen]
        self.gather = gathered.of(self.module)
        self.device = named[0][1].device
        self._lay_out(named)
        for q in self.parameters:
            q.requires_grad_(True)
        self.given: Snapshot | None = Snapshot(self.module)  # until caches have been looked for
        self.recurrent = any(isinstance(part, nn.RNNBase) for part in self.module.modules())

    def __deepcopy__(self, memo: dict) -> "Network":
        """What the last forward pass left in attributes (old weight_norm, kept features)
        goes along as values.
        """
        other = copy.copy(self)
        memo[id(self)] = other
        with Detaching():
            vars(other).update(copy.deepcopy(vars(self), memo))
        return other

    def __getstate__(self) -> dict:
        """Without the references to what was copied, which belong to this process."""
        return vars(self) | {"_originals": []}

    def originals(self) -> Iterator[tuple[str, Tensor]]:
        """The trainable parameters of the module that was copied, as long as they live."""
        for name, reference in self._originals:
            if (q := reference()) is not None:
                yield name, q

    def _lay_out(self, named: list[tuple[str, nn.Parameter]]) -> None:
        """θ consists of these, in this order."""
        self.parameters = [q for _, q in named]
        self.sizes = [num_coordinates(q) for q in self.parameters]
        ends = list(itertools.accumulate(self.sizes))
        self.slices = {
            name: slice(end - size, end)
            for (name, _), size, end in zip(named, self.sizes, ends, strict=True)
        }
        self.num_parameters = ends[-1]

    def restricted(self, names: Collection[str]) -> "Network":
        """The same module (not a copy), of whose θ only these parameters are coordinates,
        in θ's order.
        """
        other = copy.copy(self)
        named = zip(self.slices, self.parameters, strict=True)
        other._lay_out([(name, q) for name, q in named if name in names])
        return other

    def unflatten(self, flat: Tensor) -> list[Tensor]:
        """(..., p) to a list of (..., *shape), one per parameter: views where they can be."""
        lead, views = flat.shape[:-1], []
        for piece, q in zip(flat.split(self.sizes, -1), self.parameters, strict=True):
            if piece.storage_offset() % 2 and not piece.shape[-1] % 2:
                piece = piece.clone()  # pairs that begin there cannot be seen as complex numbers
            view = _complex(piece, q) if q.is_complex() else piece.reshape((*lead, *q.shape))
            views.append(view if self.gather is None else gathered.cut(q, view))
        return views

    def in_dtype(self, dtype: torch.dtype) -> "Network":
        """A copy in another dtype, whose θ may be changed."""
        other = copy.deepcopy(self)
        _convert(other.module, dtype)
        other.dtype = dtype
        return other

    def made_whole(self) -> "Network":
        """A copy of which nothing is cut up; ranks must ask for it together."""
        other = copy.deepcopy(self)
        gathered.make_whole(other.module)
        other.gather = None
        named = gathered.named_parameters(other.module)
        other._lay_out([(name, q) for name, q in named if name in self.slices])
        return other

    def recording(self) -> contextlib.AbstractContextManager:
        """What graphs are recorded in."""
        return contextlib.nullcontext() if self.gather is None else self.gather.keeping_rows()

    @torch.no_grad()
    def move_to(
        self, theta: Sequence[Tensor], v: Sequence[Tensor] | None = None, t: float = 0.0
    ) -> None:
        """Set θ, or θ + t v, in place."""
        for q, value in zip(self.parameters, theta, strict=True):
            q.copy_(value)
        if v is not None:
            for q, d in zip(self.parameters, v, strict=True):
                q.add_(d, alpha=t)

    def checksum(self) -> str:
        """Of all the module's numbers, bit by bit: those that are no part of θ count as well.

        But for weights that are cut up: no two ranks have the same ones.
        """
        named = [*self.module.named_parameters(), *self.module.named_buffers()]
        whole = [(name, t) for name, t in named if not gathered.is_sharded(t)]
        return " ".join(f"{name}:{checksum(part)}" for name, t in whole for part in parts(t))


def num_coordinates(q: Tensor) -> int:
    """Real coordinates of a parameter."""
    return q.numel() * (2 if q.is_complex() else 1)


def flat(
    pieces: Sequence[Tensor | None],
    parameters: Sequence[Tensor] | None = None,
    lead: tuple[int, ...] = (),
    out: Tensor | None = None,
) -> Tensor:
    """What belongs to each parameter, as real numbers one after another: (*lead, p), the inverse of
    `Network.unflatten`; zeros for None, if the parameters are given.
    """
    rows = []
    for t, q in zip(pieces, parameters or pieces, strict=True):
        t = gathered.zeros(q, lead) if t is None else t
        t = t if type(t) is Tensor else gathered.padded(t)
        t = t.to_dense() if t.layout is not torch.strided else t  # gradients of sparse embeddings
        t = torch.view_as_real(t.resolve_conj()) if t.is_complex() else t
        rows.append(t.reshape(*lead, -1))
    return torch.cat(rows, -1, out=out)


def _complex(piece: Tensor, q: Tensor) -> Tensor:
    return torch.view_as_complex(piece.reshape(*piece.shape[:-1], *q.shape, 2).contiguous())


def _convert(module: nn.Module, dtype: torch.dtype) -> None:
    """Floating numbers to `dtype`, complex ones to the complex dtype of that precision,
    in place.
    """

    def converted(t: Tensor) -> Tensor:
        if t.is_complex():
            return t.to(COMPLEX[dtype])
        return t.to(dtype) if t.is_floating_point() else t

    module._apply(converted)


def _choose(module: nn.Module, patterns, original: nn.Module) -> set[str]:
    """Canonical names of the trainable parameters that `patterns` name; None names all.

    A pattern is a name, a prefix ("layer1"), a glob ("*.bias", "*lora_A*"), or a parameter itself.
    """
    trainable = {name: q for name, q in gathered.named_parameters(module) if q.requires_grad}
    available = ", ".join(trainable) or "none"
    if patterns is None:
        if not trainable:
            raise ValueError(
                "the module has no trainable parameters: set requires_grad on those that θ "
                "consists of"
            )
        return set(trainable)
    patterns = _patterns(patterns, original)
    if not patterns:
        raise ValueError(f"parameters is empty. Available: {available}")
    canonical = {id(q): name for name, q in trainable.items()}
    # tied: several names
    every_name = dict(gathered.named_parameters(module, remove_duplicate=False))
    chosen = set()
    for pattern in patterns:
        found = {
            canonical[id(q)]
            for name, q in every_name.items()
            if id(q) in canonical and _matches(name, pattern)
        }
        if not found:
            raise ValueError(
                f"parameters={pattern!r} matches no trainable parameter. Available: {available}"
            )
        chosen |= found
    return chosen


def _matches(name: str, pattern: str) -> bool:
    prefix = name.startswith(pattern.rstrip(".") + ".")
    return name == pattern or prefix or fnmatch.fnmatchcase(name, pattern)


def _patterns(given: str | Tensor | Iterable, module: nn.Module) -> list[str]:
    """`parameters` as a list of names and patterns."""
    names = {id(q): name for name, q in gathered.named_parameters(module)}
    patterns = []
    for item in [given] if isinstance(given, str | Tensor) else _listed(given):
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Tensor):
            item = item[1]  # of named_parameters(), of a part perhaps, whose names are its own
        if isinstance(item, Tensor):
            if id(item) not in names:
                raise ValueError(
                    "parameters names a tensor that is no parameter of this module: "
                    "pass names, or module.parameters() of the module itself"
                )
            item = names[id(item)]
        if not isinstance(item, str):
            raise TypeError(
                f"parameters takes names, prefixes, globs or the module's own parameters; "
                f"got {type(item).__name__}"
            )
        patterns.append(item)
    return patterns


def _listed(given) -> list:
    try:
        return list(given)
    except TypeError:
        raise TypeError(
            f"parameters takes names, prefixes, globs or the module's own parameters; "
            f"got {type(given).__name__}"
        ) from None


def _common_dtype(module: nn.Module, dtype: torch.dtype | str | None) -> torch.dtype:
    """The floating dtype to compute in; refuses a module spread over devices, dtypes,
    or with non-finite numbers.
    """
    named = [*module.named_parameters(), *module.named_buffers()]
    devices = sorted({str(t.device) for _, t in named})
    if len(devices) > 1:
        raise ValueError(
            f"the module lives on several devices ({', '.join(devices)}): move it to one, "
            "model.to(device)"
        )
    if devices == ["meta"]:
        raise ValueError(
            "the module is on the meta device, without numbers: load its weights first"
        )
    floating = [(n, t) for n, t in named if t.is_floating_point() or t.is_complex()]
    dtypes = sorted({str(t.real.dtype).removeprefix("torch.") for _, t in floating})
    if len(dtypes) > 1 and dtype is None:
        raise ValueError(
            f"the module mixes dtypes ({', '.join(dtypes)}): convert it, or pass "
            "dtype=torch.float64"
        )
    dtype = _dtype(floating[0][1].real.dtype if dtype is None else dtype)
    for name, tensor in floating:
        if not is_finite(gathered.local(tensor)):
            raise ValueError(
                f"{name!r} holds non-finite numbers: the training diverged, or the checkpoint is "
                "damaged"
            )
    return dtype


def _dtype(dtype: torch.dtype | str) -> torch.dtype:
    named = getattr(torch, dtype.removeprefix("torch."), dtype) if isinstance(dtype, str) else dtype
    if named not in (torch.float32, torch.float64):
        raise ValueError(
            f"second derivatives need float32 or float64, not {dtype}: pass dtype=torch.float32"
        )
    return named
