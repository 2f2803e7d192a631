"""Why a number varies: the same net and the same three numbers, one choice changed at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from hspec.curvature import Risk, hessian
from hspec.linalg import slq
from hspec.plotting import COLOURS, panels
from hspec.plotting.table import Table

CLASSES, SIZE = 4, 8  # of square images
SIGNAL = 0.6  # standard deviation of a class's pattern, beside noise of 1
TRAIN_BATCH, RATE = 32, 3e-3  # examples a step; Adam's learning rate
SMALL_BATCH = 32  # examples that stand for a mini-batch
SHARE = 0.1  # of the reference's λ_1: what lies above counts as an outlier
FLOOR = 1e-8  # below it all deviations are drawn at one place

Batches = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Numbers:
    """What papers print of a spectrum: λ_1, the trace, and how many eigenvalues stand out."""

    largest: float
    trace: float
    outliers: int


@dataclass(frozen=True)
class Cause:
    """One choice, the numbers under its alternatives, and what to do about it."""

    name: str
    varied: str
    found: tuple[Numbers, ...]
    rule: str

    def deviations(self, quantity: str, reference: Numbers) -> list[float]:
        """value / reference − 1, of "largest" or "trace", one for each alternative."""
        right = getattr(reference, quantity)
        return [getattr(one, quantity) / right - 1 for one in self.found]


@dataclass(frozen=True)
class Laboratory:
    """A population of images in four classes, and a net trained on a sample of it.

    num_examples: N; width: channels of the first convolution; epochs: of training.
    """

    num_examples: int
    width: int
    epochs: int

    def sample(self, seed: int) -> Batches:
        """One batch of N images: a pattern for each class, the same in all samples, and noise."""
        patterns = torch.randn(
            CLASSES, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2**31)
        )
        labels = torch.arange(self.num_examples) % CLASSES
        noise = torch.randn(
            self.num_examples, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)
        )
        return [(SIGNAL * patterns[labels] + noise, labels)]

    def trained(self, batches: Batches, seed: int) -> nn.Module:
        """Two convolutions with batch normalisation and a linear layer, after Adam, in eval mode;
        the seed is of initial weights and of the order of examples.
        """
        ((images, labels),) = batches
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            net = _net(self.width)
            optimiser = torch.optim.Adam(net.parameters(), RATE)
            for _ in range(self.epochs):
                for rows in torch.randperm(len(labels)).split(TRAIN_BATCH):
                    optimiser.zero_grad()
                    nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
                    optimiser.step()
        return net.eval()


def _net(width: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, 2 * width, 3, 2), nn.BatchNorm2d(2 * width), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(2 * width * 4, CLASSES)),
    )


def causes(laboratory: Laboratory, repeats: int, seed: int) -> tuple[Numbers, list[Cause]]:
    """The numbers of the reference, and every cause, the one that moves λ_1 most first.

    The reference: the net that `seed` gives, on the sample that it was trained on, in eval mode, in
    float64, all p eigenvalues. Each cause changes one of these.
    """
    batches = laboratory.sample(seed)
    net = laboratory.trained(batches, seed)
    H = matrix(net, batches)
    reference = numbers(H, None)
    cut = SHARE * reference.largest
    others = range(seed + 1, seed + 1 + repeats)
    found = [
        *of_the_question(laboratory, net, batches, others, cut),
        *of_the_arithmetic(net, batches, cut),
        *of_the_quadrature(H.float(), others, cut),
    ]
    return reference, sorted(found, key=lambda cause: -_size(cause, reference))


def of_the_question(
    laboratory: Laboratory, net: nn.Module, batches: Batches, seeds: Iterable[int], cut: float
) -> Iterator[Cause]:
    """Another net, another sample, another meaning of batch normalisation: another matrix."""
    ((images, labels),) = batches
    small = list(zip(images.split(SMALL_BATCH), labels.split(SMALL_BATCH), strict=True))
    yield Cause(
        "seed of the training",
        "other initial weights and order, the same sample",
        tuple(numbers(matrix(laboratory.trained(batches, s), batches), cut) for s in seeds),
        "Train several nets; the spread over them is the error bar of a statement about nets.",
    )
    yield Cause(
        "sample",
        "as many other examples of the population",
        tuple(numbers(matrix(net, laboratory.sample(s)), cut) for s in seeds),
        "Say which examples, and whether the net was trained on them. Compare nets on one sample.",
    )
    yield Cause(
        "batch size",
        f"one batch of {SMALL_BATCH} in the place of the sample",
        tuple(numbers(matrix(net, [batch]), cut) for batch in small[: len(tuple(seeds))]),
        "Sum over all batches. A batch is a small sample, and its λ₁ is too large on average: the "
        "largest eigenvalue is convex.",
    )
    yield Cause(
        "batch normalisation",
        f"the whole sample's own statistics, differentiated; those of each batch of {SMALL_BATCH}; "
        "the whole sample's as constants",
        tuple(
            numbers(matrix(net, of, batch_norm=mode), cut)
            for mode, of in (("batch", batches), ("batch", small), ("population", batches))
        ),
        "Name the mode, and in batch mode the batch: they are three matrices. Running statistics "
        "are those of the end of the training.",
    )


def of_the_arithmetic(net: nn.Module, batches: Batches, cut: float) -> Iterator[Cause]:
    """The same matrix, rounded."""
    yield Cause(
        "float32",
        "products in float32",
        (numbers(matrix(net, batches, dtype=torch.float32), cut),),
        "Enough for λ₁ and the trace. The smallest eigenvalues drown in rounding at 10⁻⁷ ‖A‖.",
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fast = {"dtype": torch.float32, "precision": "fast", "device": device}
    yield Cause(
        "TF32",
        "float32 as fast as this machine multiplies it: TF32 on a GPU; on a CPU bfloat16, where it "
        f"is faster (here: {device})",
        (numbers(matrix(net, batches, **fast), cut),),
        'For densities at most: precision="fast". PyTorch may be set to it for the whole process; '
        "hspec sets it back within its products.",
    )
    yield Cause(
        "mixed precision",
        "forward and backward under torch.autocast in bfloat16",
        (numbers(matrix_under_autocast(net, batches), cut),),
        "Measure outside of autocast, whatever the training used; hspec leaves it by itself.",
    )
    yield Cause(
        "bfloat16 weights",
        "the weights rounded to bfloat16 and back, all else in float64",
        (numbers(matrix(copy.deepcopy(net).bfloat16().float(), batches), cut),),
        "Measure the weights that were trained: rounded ones are another point θ.",
    )


def of_the_quadrature(H: Tensor, seeds: Iterable[int], cut: float) -> Iterator[Cause]:
    """The same matrix H (p, p), seen through a few products."""

    def seen(steps: int, probes: int, seed: int, reorthogonalize: str = "full") -> Numbers:
        generator = torch.Generator().manual_seed(seed)
        options = {"generator": generator, "reorthogonalize": reorthogonalize}
        measure = slq(H, min(steps, len(H)), probes, **options)
        nodes = measure.nodes[0]
        return Numbers(measure.support[1], measure.trace()[0], int((nodes > cut).sum()))

    for probes in (1, 10):
        yield Cause(
            f"{probes} probe{'s' * (probes > 1)}",
            f"60 steps, {probes} random start vector{'s' * (probes > 1)}",
            tuple(seen(60, probes, s) for s in seeds),
            "Take several: their spread is the error bar. λ₁ does not need them, the trace and the "
            "bulk do.",
        )
    for steps in (5, 15):
        yield Cause(
            f"{steps} steps",
            f"{steps} products from one random vector",
            tuple(seen(steps, 1, s) for s in seeds),
            "Print the residual beside λ₁: too few steps give too small a value, never too large. "
            "What has converged no longer depends on the probe, and the trace gains by it.",
        )
    yield Cause(
        "no reorthogonalisation",
        "90 steps, the bare recurrence in float32",
        tuple(seen(90, 1, s, "none") for s in seeds),
        "Values stay right, but come several times. Never count eigenvalues without it.",
    )


def matrix(
    net: nn.Module,
    batches: Batches,
    *,
    dtype: torch.dtype = torch.float64,
    batch_norm: str = "eval",
    precision: str = "exact",
    device: str = "cpu",
) -> Tensor:
    """The Hessian (p, p), symmetric, in float64 on the CPU, whatever it was computed in."""
    risk = Risk.from_module(
        copy.deepcopy(net).to(device),
        batches,
        dtype=dtype,
        batch_norm=batch_norm,
        precision=precision,
    )
    return _symmetric(hessian(risk).to_dense())


def matrix_under_autocast(net: nn.Module, batches: Batches) -> Tensor:
    """The same by two backward passes of plain PyTorch, row by row, under autocast."""
    ((images, labels),), parameters = batches, list(net.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        loss = nn.functional.cross_entropy(net(images), labels)
        gradient = torch.cat(
            [g.flatten() for g in torch.autograd.grad(loss, parameters, create_graph=True)]
        )
        rows = [torch.autograd.grad(g, parameters, retain_graph=True) for g in gradient]
    return _symmetric(torch.stack([torch.cat([r.flatten() for r in row]) for row in rows]))


def _symmetric(H: Tensor) -> Tensor:
    H = H.double().cpu()
    return (H + H.T) / 2


def numbers(H: Tensor, cut: float | None) -> Numbers:
    """Those of a dense matrix, from all eigenvalues; outliers above the cut, or SHARE of λ_1."""
    values = torch.linalg.eigvalsh(H)
    cut = SHARE * float(values[-1]) if cut is None else cut
    return Numbers(float(values[-1]), float(values.sum()), int((values > cut).sum()))


def _size(cause: Cause, reference: Numbers) -> float:
    return max(map(abs, cause.deviations("largest", reference)))


def draw_causes(reference: Numbers, found: list[Cause]) -> Figure:
    """|value / reference − 1| of every alternative, a row for each cause; λ_1 left, trace right."""
    figure, axes = panels(1, 2, width=4.6, height=4.4, sharey=True)
    for axis, (quantity, title, colour) in zip(
        axes, (("largest", "$\\lambda_1$", "Hess"), ("trace", "trace", "G")), strict=True
    ):
        for row, cause in enumerate(found):
            off = [max(abs(d), FLOOR) for d in cause.deviations(quantity, reference)]
            axis.plot(off, [row] * len(off), "o", color=COLOURS[colour], alpha=0.6)
        axis.set(xscale="log", xlabel="|value / reference − 1|", title=title)
    axes[0].set_yticks(range(len(found)), [cause.name for cause in found])
    axes[0].invert_yaxis()
    return figure


def causes_table(reference: Numbers, found: list[Cause]) -> Table:
    """One row a cause: from the smallest to the largest value over the reference's, and the
    rule.
    """

    def span(cause: Cause, quantity: str) -> str:
        off = cause.deviations(quantity, reference)
        return " to ".join(dict.fromkeys([_percent(min(off)), _percent(max(off))]))

    def counts(cause: Cause) -> str:
        found = [one.outliers for one in cause.found]
        return " to ".join(dict.fromkeys([str(min(found)), str(max(found))]))

    rows = [
        (c.name, c.varied, span(c, "largest"), span(c, "trace"), counts(c), c.rule) for c in found
    ]
    first = ("reference", "", f"{reference.largest:.4g}", f"{reference.trace:.4g}")
    headers = ("what varies", "how", "λ₁", "trace", "outliers", "rule")
    return Table(headers, ((*first, str(reference.outliers), ""), *rows))


def _percent(deviation: float) -> str:
    """+12 %, −0.3 %; below a millionth only that it is."""
    if abs(deviation) < 1e-6:
        return "< 10⁻⁶"
    digits = 2 if abs(deviation) < 1 else 3
    return f"{100 * deviation:+.{digits}g} %".replace("-", "−")
