"""A forecast before the work: seconds from one timed product of each kind, bytes,
and what to lower.
"""

import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from hspec.curvature import Risk, gauss_newton
from hspec.curvature.cost import GraphMemory, graph_memory, seconds_of_product
from hspec.linalg.autocast import without_autocast
from hspec.linalg.quadrature import LOCK_STEP
from hspec.yours.class_structure import class_cost
from hspec.yours.settings import MATRICES, Settings

BASIS_ROWS = 44  # of an eigensolver besides twice the pairs: eigsh's own default
PER_PAIR, AT_LEAST = (
    8,
    30,
)  # products of eigsh: measured on the book's nets, where a gap follows the last
UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


@dataclass(frozen=True)
class Plan:
    """What `spectrum` will take.

    Attributes:
        num_parameters, num_examples: p and N.
        products: {matrix: products with it}, about; those of the top pairs depend on the spectrum.
        seconds_per_product: {matrix: seconds}, measured.
        seconds: of everything, about.
        basis_bytes: of Lanczos and eigenvectors at their largest; graphs: the memory of kept
            graphs.
        class_seconds, class_bytes: of the class structure, in `seconds`; its vectors come when the
            basis is gone. Zero where there are no classes.
        advice: what to lower, where it does not fit or takes long. Empty where all is well.
    """

    num_parameters: int
    num_examples: int
    products: dict[str, int]
    seconds_per_product: dict[str, float]
    seconds: float
    basis_bytes: int
    graphs: GraphMemory
    class_seconds: float = 0.0
    class_bytes: int = 0
    advice: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the vectors fit in the memory that graphs leave."""
        return self.basis_bytes <= self.graphs.free - min(
            self.graphs.graph_bytes, self.graphs.budget
        )

    def __str__(self) -> str:
        graphs = self.graphs
        each = ", ".join(f"{n} of {s:.2g} s with {A}" for (A, n), s in self._columns())
        classes = f"; class structure {spoken(self.class_seconds)}" if self.class_bytes else ""
        means = f", class means {sized(self.class_bytes)}" if self.class_bytes else ""
        kept = f"{graphs.num_fitting} of {graphs.num_batches} graphs kept"
        return "\n".join(
            [
                f"p = {self.num_parameters:,}, N = {self.num_examples:,}: about "
                f"{spoken(self.seconds)}; "
                f"products: {each}{classes}",
                f"memory: vectors {sized(self.basis_bytes)}{means}, {kept} "
                f"({sized(graphs.graph_bytes)}, budget {sized(graphs.budget)}), free "
                f"{sized(graphs.free)}",
                *self.advice,
            ]
        )

    def _columns(self):
        return zip(self.products.items(), self.seconds_per_product.values(), strict=True)


@without_autocast
def plan(risk: Risk, **settings: Any) -> Plan:
    """Forecast `spectrum_of(risk, **settings)`; spends one product to build graphs and three a
    matrix.

    Args:
        risk: what is to be measured; the graphs that the products build stay with it.
        settings: matrices, top, steps, probes, tol, seed: those of `spectrum`.

    Returns:
        The forecast, which `print(plan(risk))` says in words. Products of the top eigenpairs are
        guessed (30 + 8 a pair), so where the spectrum has no gap it takes longer.

    Raises:
        ValueError: settings that `spectrum` refuses, or a matrix that the loss does not have.

    Example:
        >>> net = torch.nn.Linear(4, 3)
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1]))])
        >>> plan(risk, matrices="Hess", top=2).products
        {'Hess': 15}
    """
    return forecast(risk, Settings(**settings))


@without_autocast
def forecast(risk: Risk, settings: Settings) -> Plan:
    """`plan`, of settings that have been checked."""
    p, probes = risk.num_parameters, settings.probes
    memory, operators = (
        graph_memory(risk),
        {name: MATRICES[name](risk) for name in settings.matrices},
    )
    seconds_of_product(next(iter(operators.values())))  # builds the graphs
    seconds = {
        name: min(seconds_of_product(A), seconds_of_product(A)) for name, A in operators.items()
    }
    lock_step = probes * settings.steps * p * risk.dtype.itemsize <= LOCK_STEP
    width = probes if lock_step else 1
    k = settings.pairs(p)
    if settings.is_dense(p):
        products = dict.fromkeys(operators, p)
        total = sum(seconds.values()) * p
        rows = p
    else:
        of_pairs = AT_LEAST + PER_PAIR * k if k else 0
        products = dict.fromkeys(operators, of_pairs + settings.steps * probes)
        blocks = {name: seconds_of_product(A, width) for name, A in operators.items()}
        row = _seconds_of_row(risk)
        orthogonal = of_pairs * (BASIS_ROWS + 2 * k) + settings.steps**2 * probes / 2
        total = sum(
            of_pairs * seconds[n] + settings.steps * probes / width * blocks[n] for n in operators
        )
        total += len(operators) * orthogonal * row
        rows = max(2 * (BASIS_ROWS + 2 * k), k + settings.steps * width)
    basis_bytes = rows * p * risk.dtype.itemsize
    classes = class_cost(risk)
    of_classes = classes.products and classes.products * _seconds_with_G(risk, seconds)
    found = Plan(
        p,
        risk.num_examples,
        products,
        seconds,
        total + of_classes,
        basis_bytes,
        memory,
        class_seconds=of_classes,
        class_bytes=classes.num_bytes,
    )
    return replace(found, advice=_advice(found, settings, risk))


def _seconds_with_G(risk: Risk, measured: dict[str, float]) -> float:
    return measured.get("G") or seconds_of_product(gauss_newton(risk))


def _seconds_of_row(risk: Risk) -> float:
    """Of one inner product of p numbers and one update, by a handful."""
    V = torch.zeros(8, risk.num_parameters, dtype=risk.dtype, device=risk.device)
    start = time.perf_counter()
    float((V[0] - (V @ V[0]) @ V)[0])
    return (time.perf_counter() - start) / len(V)


def _advice(found: Plan, settings: Settings, risk: Risk) -> tuple[str, ...]:
    said, graphs = [], found.graphs
    if not found.fits:
        room = max(0, graphs.free - min(graphs.graph_bytes, graphs.budget))
        rows = room // (found.num_parameters * risk.dtype.itemsize)
        steps, top = max(0, rows - settings.top), max(0, (rows // 2 - BASIS_ROWS) // 2)
        said.append(
            f"It does not fit: there is room for {rows} vectors of p numbers. Lower steps to "
            f"{min(steps, settings.steps)} and top to {min(top, settings.top)}, give graphs less "
            "(memory_budget=…), or choose fewer parameters (parameters=…)"
        )
    if graphs.num_fitting < graphs.num_batches:
        said.append(
            f"{graphs.num_batches - graphs.num_fitting} of {graphs.num_batches} graphs are built "
            "anew for "
            "every product, at half as much again: to keep all, take fewer examples or "
            f"memory_budget={graphs.graph_bytes}"
        )
    return tuple(said)


def spoken(seconds: float) -> str:
    """A duration in words.

    Example:
        >>> spoken(0.2), spoken(75), spoken(9000)
        ('a second', '75 seconds', '2.5 hours')
    """
    if seconds < 1.5:
        return "a second"
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def sized(num_bytes: float) -> str:
    """A number of bytes with its unit.

    Example:
        >>> sized(3 * 2**20), sized(100)
        ('3 MiB', '100 B')
    """
    for unit, name in UNITS:
        if num_bytes >= unit:
            return f"{num_bytes / unit:.3g} {name}"
    return f"{num_bytes:.0f} B"
