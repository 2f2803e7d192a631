"""Derivatives against differences: what agrees, what is contradicted,
what kinks leave undecided.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Steps along v, relative to the size of θ: large ones lose no digits, small ones cross no kink.
STEPS = {torch.float64: (1e-5, 1e-8), torch.float32: (1e-2, 1e-3)}
TOLERANCE = {torch.float64: 1e-5, torch.float32: 5e-2}
SMOOTH = 0.1  # differences to both sides agree to this share of what contradicts the derivative
STEADY = 0.5  # the two steps' differences agree to this share of it, or one of them is noise
NOISE = 100.0  # times rounding, of a difference of two evaluations
# A tensor of more entries is drawn by repeating so many of them (a prime, so that no two rows of a
# layer are alike) and compared by sums over its rows: new memory for millions of numbers costs more
# than a pass of the net.
LARGE = 65_537
SUMS = 4  # random ones, of every row
PIECE = 1 << 20  # entries that are converted at a time


@dataclass(frozen=True)
class Finding:
    """Of one derivative: "agrees", "contradicted" or "undecided" (kinks, or too small beside
    rounding).

    `off` is how far it is from differences, relative to its size.
    """

    verdict: str
    off: float

    @property
    def is_wrong(self) -> bool:
        """Whether differences contradict it."""
        return self.verdict == "contradicted"


def compare(
    derivatives: dict[str, tuple[Tensor, float]],
    evaluate: Callable[[float], dict[str, Tensor]],
    dtype: torch.dtype,
) -> dict[str, Finding]:
    """Each derivative along v, with its size, against the central differences of what it is the
    derivative of.

    evaluate(t) gives the quantities at θ + t v. Where a function is smooth, the differences to both
    sides agree, and a derivative that differs from both is wrong; where they disagree, a kink lies
    between them and nothing is said.
    """
    central, noise = ({kind: [] for kind in derivatives} for _ in range(2))
    ends = []
    for step in STEPS[dtype]:
        ahead, behind = evaluate(step), evaluate(-step)
        ends.append((step, ahead, behind))
        rounding = NOISE * torch.finfo(dtype).eps / step
        for kind in derivatives:
            central[kind].append((ahead[kind] - behind[kind]) / (2 * step))
            noise[kind].append(rounding * _size(ahead[kind]))
        findings = {
            kind: _judge(*derivatives[kind], central[kind], noise[kind], TOLERANCE[dtype])
            for kind in derivatives
        }
        if all(finding.verdict == "agrees" for finding in findings.values()):
            return findings
    wrong = [kind for kind, finding in findings.items() if finding.is_wrong]
    centre = evaluate(0.0) if wrong else {}
    for kind in wrong:
        sides = [((a[kind] - centre[kind]) / t, (centre[kind] - b[kind]) / t) for t, a, b in ends]
        if not _is_smooth(derivatives[kind][0], central[kind], sides):
            findings[kind] = Finding("undecided", findings[kind].off)
    return findings


def _judge(
    derivative: Tensor, size: float, central: list[Tensor], noise: list[float], tolerance: float
) -> Finding:
    """By central differences alone, as if there were no kink."""
    off = [_size(c - derivative) for c in central]
    sizes = [max(size, _size(c)) for c in central]
    relative = min(o / s if s else 0.0 for o, s in zip(off, sizes, strict=True))
    for o, s, n in zip(off, sizes, noise, strict=True):
        if o <= tolerance * s + n:
            return Finding("agrees" if o == 0 or n <= SMOOTH * s else "undecided", relative)
    return Finding("contradicted", relative)


def _is_smooth(derivative: Tensor, central: list[Tensor], sides: list) -> bool:
    """Whether differences to both sides, and those of both steps, agree by far better than with the
    derivative.
    """
    off = [_size(c - derivative) for c in central]
    smooth = any(_size(a - b) <= SMOOTH * o for (a, b), o in zip(sides, off, strict=True))
    return smooth and all(_size(c - central[0]) <= STEADY * min(off) for c in central[1:])


def _size(t: Tensor) -> float:
    pieces = real(t).reshape(-1).split(PIECE)
    return math.hypot(*(float(torch.linalg.vector_norm(piece.double())) for piece in pieces))


def real(t: Tensor) -> Tensor:
    """The numbers of a tensor, dense and real."""
    t = t.detach() if t.layout is torch.strided else t.detach().to_dense()
    return torch.view_as_real(t.resolve_conj()) if t.is_complex() else t


def sketch(pieces: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    """What is compared of a vector in pieces by parameter, zeros for None: all of its numbers, but
    of a large matrix a few random sums of every row, as large together as the matrix.

    Linear, and the same map for vectors of the same shapes; what differs in a row differs in its
    sums.
    """
    pairs = zip(pieces, parameters, strict=True)
    tensors = [real(torch.zeros_like(q) if t is None else t) for t, q in pairs]
    return torch.cat([_sums(t) if _is_large(t) else t.reshape(-1) for t in tensors])


def _is_large(t: Tensor) -> bool:
    return t.numel() > LARGE and t.dim() > 1 and len(t) > SUMS


def _sums(t: Tensor) -> Tensor:
    rows = t.reshape(len(t), -1)
    weights = rows.new_empty(rows.shape[1], SUMS)
    generator = torch.Generator().manual_seed(rows.shape[1])
    return (rows @ _normal(weights, generator)).reshape(-1) / math.sqrt(SUMS)


def direction(
    tensors: list[Tensor], generator: torch.Generator, share: float = 1e-3
) -> list[Tensor]:
    """Random tensors of these shapes, each as large as its own,
    and at least that share of the largest.
    """
    sizes = [_size(q) / max(1, q.numel()) ** 0.5 for q in tensors]
    least = share * max(sizes, default=0.0) or 1e-2
    return [
        _normal(q, generator).mul_(max(size, least)) for q, size in zip(tensors, sizes, strict=True)
    ]


def _normal(q: Tensor, generator: torch.Generator) -> Tensor:
    # Drawn in single precision, a quarter of the time: any direction is as good as its neighbour.
    dtype = torch.complex64 if q.is_complex() else torch.float32
    drawn = torch.randn(min(q.numel(), LARGE), generator=generator, dtype=dtype).to(q)
    return drawn.repeat(-(-q.numel() // LARGE))[: q.numel()].view(q.shape)
